"""What was found in a benchmark's items, as tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evalkit.probes.contamination.check import Share, TaskCheck
from evalkit.text.numbers import MISSING

SHOWN = 3
"""Items of a task that are named below the table."""


def columns(checks: Sequence[TaskCheck]) -> tuple[str, ...]:
    """Of the table of shares: those of what was looked for."""
    return tuple(name for name, _ in _cells(checks[0], checks)) if checks else ()


def rows(checks: Sequence[TaskCheck]) -> list[tuple[str, ...]]:
    """A row a task."""
    return [tuple(text for _, text in _cells(one, checks)) for one in checks]


def _cells(one: TaskCheck, checks: Sequence[TaskCheck]) -> Iterator[tuple[str, str]]:
    yield "task", one.name
    yield "items", f"{one.n:,}"
    yield "repeated", share(one.repeated)
    if any(each.near is not None for each in checks):
        yield "near-copies in the pool", share(one.near)
        yield "ROUGE-L 0.7 with the pool", share(one.like)
    if any(each.gpt3 is not None for each in checks):
        yield "in the folder: gpt3", share(one.gpt3)
        yield "palm", share(one.palm)
        yield "gpt4", share(one.gpt4)


def share(one: Share | None) -> str:
    """ "3 (1.2 % [0.4, 3.5])"; a dash where nothing was compared."""
    if one is None:
        return MISSING
    low, high = one.interval
    return f"{one.count:,} ({100 * one.count / one.n:.1f} % [{100 * low:.1f}, {100 * high:.1f}])"


MEMBERSHIP = ("task", "texts", "min-k%", "min-k%++", "AUC of min-k%", "AUC of min-k%++")


def membership_rows(checks: Sequence[TaskCheck]) -> list[tuple[str, ...]]:
    """A row a task that a model was asked about."""
    return [
        (one.name, f"{seen.n:,}", _number(seen.mean), _number(seen.mean_pp), _area(seen.area), _area(seen.area_pp))
        for one in checks
        if (seen := one.membership) is not None
    ]


def _number(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _area(one: tuple[float, tuple[float, float]] | None) -> str:
    return MISSING if one is None else f"{one[0]:.2f} [{one[1][0]:.2f}, {one[1][1]:.2f}]"


def lines(checks: Sequence[TaskCheck]) -> Iterator[str]:
    """What is behind the numbers: places in the folder, copies, texts left out."""
    for one in checks:
        for hit in one.found[:SHOWN]:
            yield f"{one.name}: {hit.key[:12]} in {hit.place} ({hit.rule}): {hit.excerpt}"
        for copy in one.copies[:SHOWN]:
            where = "repeats" if copy.within else f"is in {one.pool_split} as"
            how = f"({copy.kind}, {copy.value:.2f})"
            yield f"{one.name}: {copy.key[:12]} {where} {copy.other[:12]} {how}: {' '.join(copy.excerpt.split())}"
        rest = max(len(one.found) - SHOWN, 0) + max(len(one.copies) - SHOWN, 0)
        if rest:
            yield f"{one.name}: and {rest:,} more; --output FILE has them all"
        if seen := one.membership:
            yield from _membership_lines(one.name, seen.left_out, seen.cut, seen.n_unseen, seen.suspicious)


def _membership_lines(name: str, left_out: int, cut: int, unseen: int, suspicious: bool) -> Iterator[str]:
    if left_out:
        yield f"{name}: {left_out:,} texts are too short for min-k%"
    if cut:
        yield f"{name}: {cut:,} texts are longer than the model's window: their ends were not read"
    if not unseen:
        yield f"{name}: min-k% has no level of its own: compare with texts that cannot have been seen (--unseen FILE)"
    elif suspicious:
        yield f"{name}: the model finds these texts more familiar than the {unseen:,} unseen ones"
