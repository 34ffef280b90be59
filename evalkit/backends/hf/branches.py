"""The prefix tree as nodes, for models that go on from a state of their own instead of sharing attention's keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Branch:
    """Tokens [begin, end) that rows share behind a node. ``first`` and ``last`` bound the ranks (places in the sorted
    order) of these rows; those from ``rest`` on, if any, go on behind ``end``, apart from each other.
    """

    begin: int
    end: int
    first: int
    last: int
    rest: int

    @property
    def is_leaf(self) -> bool:
        """Whether nothing goes on behind it."""
        return self.rest == self.last


def grow(lengths: Sequence[int], shared: Sequence[int], first: int, last: int, depth: int) -> list[Branch]:
    """The branches behind the node at ``depth`` that the sorted rows [first, last) have in common. ``lengths`` and
    ``shared``: tokens of each row, and those it shares with the row before it (any value up to the true one). Rows
    that end at the node have no branch.
    """
    cuts = [first, *(rank for rank in range(first + 1, last) if shared[rank] <= depth), last]
    found = []
    for begin, end in pairwise(cuts):
        if lengths[end - 1] > depth:
            reach, rest = _reach(lengths, shared, begin, end)
            found.append(Branch(depth, reach, begin, end, rest))
    return found


def _reach(lengths: Sequence[int], shared: Sequence[int], begin: int, end: int) -> tuple[int, int]:
    """How far rows [begin, end) go on as one, and the first of those that go on beyond that. A row that ends on the
    way of the others is no reason to stop: what it asks is read in passing.
    """
    while end - begin > 1:
        reach = min(shared[begin + 1 : end])
        if lengths[begin] > reach:
            return reach, begin
        while begin < end and lengths[begin] == reach:
            begin += 1
        if end - begin > 1 and min(shared[begin + 1 : end]) == reach:
            return reach, begin
    if begin == end:
        return lengths[end - 1], end
    return lengths[begin], end
