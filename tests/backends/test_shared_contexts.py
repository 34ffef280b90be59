"""Rows grouped by their contexts, and what is known of them from reports that leave out what was cached."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.backends.vllm import contexts
from evalkit.backends.vllm.contexts import Known, Value
from evalkit.contract.backend import LoglikelihoodResult, LoglikelihoodRow

ROWS = st.lists(
    st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=5), st.lists(st.integers(0, 2), min_size=1, max_size=4)),
    min_size=1,
    max_size=12,
)


def row(context: Sequence[int], continuation: Sequence[int]) -> LoglikelihoodRow:
    return LoglikelihoodRow(np.array([*context, *continuation], dtype=np.int32), len(context))


def value(tokens: Sequence[int], position: int) -> Value:
    """One for each beginning of a row, so that a value of another position or row shows."""
    name = sum((token + 1) * 4**place for place, token in enumerate(tokens[: position + 1]))
    return Value(-float(name), name % 2 == 0)


@given(ROWS)
def test_every_row_is_in_the_one_group_of_its_context(pairs: list[tuple[list[int], list[int]]]) -> None:
    rows = [row(*pair) for pair in pairs]
    groups = contexts.grouped(rows)
    assert sorted(index for group in groups for index in group.rows) == list(range(len(rows)))
    for group in groups:
        assert all(pairs[index][0] == group.context for index in group.rows)
    assert [group.context for group in groups] == sorted(group.context for group in groups)
    assert len({tuple(group.context) for group in groups}) == len(groups)


@given(ROWS, st.integers(1, 30), st.integers(1, 6))
def test_portions_hold_every_group_in_turn_and_no_more_than_allowed(
    pairs: list[tuple[list[int], list[int]]], tokens: int, most: int
) -> None:
    groups = contexts.grouped([row(*pair) for pair in pairs])
    parts = list(contexts.portions(groups, tokens, most))
    assert [group for part in parts for group in part] == groups
    for part in parts:
        small = sum(group.new for group in part) <= tokens and sum(len(group.rows) for group in part) <= most
        assert small or len(part) == 1


@settings(max_examples=200)
@given(ROWS, st.data())
def test_what_is_known_is_right_and_what_a_row_before_it_read_is_known(
    pairs: list[tuple[list[int], list[int]]], data: st.DataObject
) -> None:
    """Each row is read from some position on, as after a cache that holds what rows before it had."""
    rows = [row(*pair) for pair in pairs]
    for group in contexts.grouped(rows):
        start = len(group.context)
        known = Known()
        if data.draw(st.booleans()):
            whole = [rows[index].tokens.tolist() for index in group.rows]
            known.first = {tokens[start]: value(tokens, start) for tokens in whole}
        held: set[tuple[int, ...]] = set()
        for index in group.rows:
            tokens = rows[index].tokens.tolist()
            seen = max((at for at in range(len(tokens) + 1) if tuple(tokens[:at]) in held or at <= start), default=0)
            cached = data.draw(st.integers(0, min(seen, len(tokens) - 1)))
            report = [{token: value(tokens, at).logprob, 9: 0.0} for at, token in enumerate(tokens)]
            known.rows[index] = contexts.read_positions(report, tokens, start, cached)
            assert all(at > cached for at in known.rows[index])
            held |= {tuple(tokens[:at]) for at in range(start, len(tokens) + 1)}
        for index, answer in contexts.results(group, rows, known):
            tokens = rows[index].tokens.tolist()
            if answer is None:  # a position whose token before it was cached, with no row before it that has it
                assert any(at not in known.rows[index] for at in range(start, len(tokens)))
                continue
            assert isinstance(answer, LoglikelihoodResult)
            assert answer.loglikelihood == sum(value(tokens, at).logprob for at in range(start, len(tokens)))


def test_a_report_without_what_was_cached_is_aligned_at_its_end() -> None:
    tokens = [5, 6, 7, 8, 9]
    whole = [{token: -float(token)} for token in tokens]
    for report in (whole, whole[3:], whole[2:]):
        found = contexts.read_positions(report, tokens, 3, 2)
        assert found == {3: Value(-8.0, True), 4: Value(-9.0, True)}
    assert contexts.read_positions(whole, tokens, 3, 3) == {4: Value(-9.0, True)}
    assert contexts.read_positions([*whole, {1: -1.0}], tokens, 3, 2) == {}


def test_a_value_that_is_no_number_is_an_error() -> None:
    assert isinstance(contexts.summed([Value(float("nan"), True)]), ArithmeticError)


def test_more_first_tokens_than_a_request_may_name() -> None:
    rows = [row([1], [token]) for token in range(300)]
    (group,) = contexts.grouped(rows)
    lists = contexts.first_tokens(group, rows)
    assert [len(one) for one in lists] == [128, 128, 44]
    assert [token for one in lists for token in one] == list(range(300))
