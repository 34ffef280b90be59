"""Whether two results are the same, by the rules of Spider's test-suite script and of defog's sql-eval."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from evalkit.metrics.sql_running import Result, Row

if TYPE_CHECKING:
    import pandas as pd

_ASKS_ORDER = re.compile(r"\b(order|sort|arrange)\b", re.IGNORECASE)


def same_denotation(gold: Sequence[Row], found: Sequence[Row], ordered: bool) -> bool:
    """Spider's rule (taoyds/test-suite-sql-eval, exec_eval.py, ``result_eq``): the same rows, as often, for some order
    of the columns; in the same order of rows where ``ordered``. Two empty results are the same whatever their columns.
    Before, rows with their cells sorted by how they are written must agree, so that 1 and 1.0 may part.
    """
    if not gold and not found:
        return True
    if len(gold) != len(found) or len(gold[0]) != len(found[0]):
        return False
    loose_gold, loose_found = [_loose(row) for row in gold], [_loose(row) for row in found]
    if loose_gold != loose_found if ordered else set(loose_gold) != set(loose_found):
        return False
    return _permuted(list(zip(*gold, strict=True)), list(zip(*found, strict=True)), ordered)


def _loose(row: Row) -> Row:
    return tuple(sorted(row, key=lambda value: str(value) + str(type(value))))


def _permuted(gold: list[Row], found: list[Row], ordered: bool) -> bool:
    """Whether some order of the columns of ``found`` gives ``gold``: columns are chosen one after another, and only
    those that leave the rows so far equal.
    """

    def alike(one: list[Row], other: list[Row]) -> bool:
        rows, others = list(zip(*one, strict=True)), list(zip(*other, strict=True))
        return rows == others if ordered else Counter(rows) == Counter(others)

    def chosen(places: list[int]) -> bool:
        depth = len(places)
        if depth == len(gold):
            return True
        tried: list[Row] = []
        for place, column in enumerate(found):
            if place in places or column in tried:  # an equal column would lead to the same
                continue
            tried.append(column)
            if alike(gold[: depth + 1], [found[at] for at in (*places, place)]) and chosen([*places, place]):
                return True
        return False

    return chosen([])


def defogs(gold: Result, found: Result, category: str, question: str) -> tuple[bool, bool]:
    """defog-ai/sql-eval's rule (eval/eval.py): (the same table, the gold one is part of what was found). Duplicate rows
    do not count, nor does the order of columns; that of rows does only where the question asks for one. A result with
    more columns than were asked for has the gold one as a part.
    """
    one, other = _frame(gold), _frame(found)
    try:
        if _equal(one, other) or _equal(_normal(one, category, question), _normal(other, category, question)):
            return True, True
        return False, _part(one, other, category, question)
    except TypeError:  # values that cannot be sorted; the official script counts them as a failure
        return False, False


def _frame(result: Result) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame.from_records(list(result.rows), columns=list(result.columns))


def _equal(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    return one.shape == other.shape and bool((one.values == other.values).all())


def _normal(table: pd.DataFrame, category: str, question: str) -> pd.DataFrame:
    table = table.drop_duplicates()
    names = sorted(range(table.shape[1]), key=lambda place: str(table.columns[place]))
    table = table.iloc[:, names]
    places = list(range(table.shape[1]))
    if category == "order_by" or _ASKS_ORDER.search(question):
        sorted_ones = [place for place in places if _is_sorted(table.iloc[:, place])]
        places = [*sorted_ones, *(place for place in places if place not in sorted_ones)] if sorted_ones else []
    if places:
        numbered = table.set_axis([f"{at:06d}" for at in range(table.shape[1])], axis=1)
        numbered = numbered.sort_values(by=[f"{at:06d}" for at in places])
        table = numbered.set_axis(table.columns, axis=1)
    return table.reset_index(drop=True)


def _is_sorted(column: Any) -> bool:
    return bool(column.equals(column.sort_values()))


def _part(small: pd.DataFrame, large: pd.DataFrame, category: str, question: str) -> bool:
    from pandas.testing import assert_frame_equal

    if small.empty:
        return False
    left, matched = list(range(large.shape[1])), []
    for place in range(small.shape[1]):
        at = next((one for one in left if _same_values(small.iloc[:, place], large.iloc[:, one])), None)
        if at is None:
            return False
        left.remove(at)
        matched.append(at)
    taken = large.iloc[:, matched].set_axis(small.columns, axis=1)
    try:
        one, other = _normal(small, category, question), _normal(taken, category, question)
        assert_frame_equal(one, other, check_dtype=False)
    except AssertionError:
        return False
    return True


def _same_values(one: Any, other: Any) -> bool:
    from pandas.testing import assert_series_equal

    try:
        assert_series_equal(
            one.sort_values().reset_index(drop=True),
            other.sort_values().reset_index(drop=True),
            check_dtype=False,
            check_names=False,
        )
    except AssertionError:
        return False
    return True
