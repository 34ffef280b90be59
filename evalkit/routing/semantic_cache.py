"""A cache that answers what is like a known question, and how often it is wrong to: hit rate, false hits, latency.

Questions are alike by the cosine of their vectors (as GPTCache has it, Bang 2023, NLP-OSS). On pairs that people have
labelled, the first of each pair is stored and the second asked. A hit is right where it finds its own partner and the
two mean the same; one on its partner with another meaning, and one on any other question, is false.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.contract.errors import UserError
from evalkit.statistics.intervals import wilson
from evalkit.statistics.routing import Estimate

if TYPE_CHECKING:
    import numpy.typing as npt

    from evalkit.contract.embedding import Vectors

    Whole = npt.NDArray[np.int64]
    Vector = npt.NDArray[np.float64]

Embed = Callable[[Sequence[str]], "Vectors"]
THRESHOLDS = tuple(round(0.5 + 0.01 * step, 2) for step in range(51))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions, and whether people say that they mean the same."""

    first: str
    second: str
    same: bool


@dataclass(frozen=True, slots=True)
class Hit:
    """A stored question that is alike enough, with its answer."""

    question: str
    answer: str
    similarity: float


class SemanticCache:
    """Answers by questions; ``embed`` gives a vector of each text. A question with nothing in it hits nothing."""

    def __init__(self, embed: Embed, threshold: float) -> None:
        self._embed = embed
        self._threshold = threshold
        self._questions: list[str] = []
        self._answers: list[str] = []
        self._vectors: list[Vectors] = []
        self._matrix: Vectors | None = None

    def __len__(self) -> int:
        return len(self._questions)

    def put(self, question: str, answer: str) -> None:
        """Keep an answer."""
        self._questions.append(question)
        self._answers.append(answer)
        self._vectors.append(unit(self._embed([question]))[0])
        self._matrix = None

    def get(self, question: str) -> Hit | None:
        """The answer to the most similar question that is stored; None where it is not similar enough."""
        if not self._questions:
            return None
        if self._matrix is None:
            self._matrix = np.stack(self._vectors)
        alike = self._matrix @ unit(self._embed([question]))[0]
        best = int(alike.argmax())
        if float(alike[best]) < self._threshold:
            return None
        return Hit(self._questions[best], self._answers[best], float(alike[best]))


def unit(vectors: Vectors) -> Vectors:
    """Vectors of length one; those of no length stay."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a threshold gives on some pairs. None where nothing is there to take a share of."""

    threshold: float
    n: int
    hit_rate: Estimate
    """Of all questions."""
    found: Estimate | None
    """Of the questions whose partner means the same: right hits."""
    false_share: Estimate | None
    """Of the hits: false ones."""
    strangers: int
    """Of the false hits: those on a question that is not the partner."""


@dataclass(frozen=True)
class CacheStudy:
    """``chosen``: the threshold chosen on the training pairs, as it is on the others; None where none of THRESHOLDS
    keeps false hits below ``most_false`` on the training pairs. ``curve``: every threshold on the test pairs.
    """

    n_train: int
    n_test: int
    n_same: int
    most_false: float
    chosen: Rates | None
    curve: tuple[Rates, ...]


def study_cache(pairs: Sequence[Pair], embed: Embed, most_false: float = 0.05, seed: int = 1234) -> CacheStudy:
    """The lowest threshold whose share of false hits is at most ``most_false``, and that of every higher one, on one
    half of the pairs; rates on the other. Raises UserError for fewer than 20 pairs, and where all have one label.
    """
    if len(pairs) < 20 or len({one.same for one in pairs}) < 2:
        same = sum(one.same for one in pairs)
        raise UserError(
            f"{len(pairs)} pairs, {same} of them with one meaning: a study needs at least 20, of both kinds"
        )
    order = np.random.default_rng(seed).permutation(len(pairs))
    half = len(pairs) // 2
    inside, outside = ([pairs[place] for place in part] for part in (order[:half], order[half:]))
    learnt = _rates(inside, embed)
    allowed = None
    for one in reversed(learnt):
        if one.false_share is not None and one.false_share.value > most_false:
            break
        if one.false_share is not None:
            allowed = one.threshold
    curve = _rates(outside, embed)
    return CacheStudy(
        n_train=len(inside),
        n_test=len(outside),
        n_same=sum(one.same for one in outside),
        most_false=most_false,
        chosen=next((one for one in curve if one.threshold == allowed), None),
        curve=tuple(curve),
    )


def _rates(pairs: Sequence[Pair], embed: Embed) -> list[Rates]:
    stored = unit(embed([one.first for one in pairs]))
    asked = unit(embed([one.second for one in pairs]))
    alike = asked @ stored.T
    best = alike.argmax(axis=1)
    similarity = alike.max(axis=1)
    same = np.array([one.same for one in pairs])
    own = np.array([pairs[place].first == one.first for place, one in zip(best, pairs, strict=True)])
    found = []
    for threshold in THRESHOLDS:
        hit = similarity >= threshold - 1e-6
        right = hit & own & same
        found.append(
            Rates(
                threshold,
                len(pairs),
                _share(int(hit.sum()), len(pairs)),
                _share(int(right.sum()), int(same.sum())) if same.any() else None,
                _share(int((hit & ~right).sum()), int(hit.sum())) if hit.any() else None,
                int((hit & ~own).sum()),
            )
        )
    return found


def _share(count: int, n: int) -> Estimate:
    return Estimate(count / n, wilson(count, n))
