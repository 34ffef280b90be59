"""Items of two runs joined: by the document's hash and never by place; what makes two tasks different measurements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.analysis.scores import Series, TaskScores


@dataclass(frozen=True, slots=True)
class Pairs:
    """Row numbers of the items that both runs have, in the base's order, and what of them belongs together.

    ``clusters`` has one label a pair (None: independent items), of the document field ``cluster_field``.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    clusters: tuple[str, ...] | None = None
    cluster_field: str = ""

    def values(self, base: Series, candidate: Series) -> tuple[list[Any], list[Any], list[int]]:
        """Both runs' values where both have one, and the places of these pairs."""
        kept = [
            place
            for place, (i, j) in enumerate(zip(self.left, self.right, strict=True))
            if base.values[i] is not None and candidate.values[j] is not None
        ]
        return [base.values[self.left[k]] for k in kept], [candidate.values[self.right[k]] for k in kept], kept

    def labels(self, kept: Sequence[int]) -> list[str] | None:
        """The cluster of every pair in ``kept``."""
        return None if self.clusters is None else [self.clusters[place] for place in kept]


def pairs_of(base: TaskScores, candidate: TaskScores) -> Pairs:
    """The items of a task that both runs have. Clusters are the base's or, where it knows none, the candidate's: a
    saved baseline keeps no documents, and the items are the same.
    """
    place = {key: index for index, key in enumerate(candidate.keys)}
    both = [(index, place[key]) for index, key in enumerate(base.keys) if key in place]
    left, right = tuple(i for i, _ in both), tuple(j for _, j in both)
    if base.clusters is not None:
        return Pairs(left, right, tuple(base.clusters[i] for i in left), base.cluster_field)
    if candidate.clusters is not None:
        return Pairs(left, right, tuple(candidate.clusters[j] for j in right), candidate.cluster_field)
    return Pairs(left, right)


def mismatches(base: TaskScores, candidate: TaskScores, pairs: Pairs) -> Iterator[str]:
    """What makes two tasks of one name different measurements."""
    for what, a, b in (
        ("version", base.version, candidate.version),
        ("few-shot examples", base.num_fewshot, candidate.num_fewshot),
        ("bundled items", base.sample, candidate.sample),
    ):
        if a != b:
            yield f"{base.name}: {what} {a} against {b}"
    different = sum(base.prompts[i] != candidate.prompts[j] for i, j in zip(pairs.left, pairs.right, strict=True))
    if different:
        yield f"{base.name}: {different} of {len(pairs.left)} shared documents have different prompts"
