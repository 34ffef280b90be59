"""Has a model been trained on a text, by its own probabilities of it.

``min_k``     the mean log-probability (nats) of the k % of a text's tokens that are least likely (Shi et al. 2023,
              arXiv 2310.16789, Min-K% Prob, k = 20).
``min_k_pp``  the same of each token's log-probability in standard deviations above the mean log-probability of a token
              drawn from the model there (Zhang et al. 2024, arXiv 2404.02936, Min-K%++).

A text that was seen has few surprising tokens: both are high. Neither has a level of its own that tells seen from
unseen: texts of the same kind that cannot have been seen are what they are compared with, by the area under the ROC
curve (0.5: nothing to tell).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from evalkit.contract.backend import Backend, TokenBackend
from evalkit.contract.errors import UserError
from evalkit.contract.optional import TellsTokens, TokenStatistics
from evalkit.statistics.area import area_under_curve
from evalkit.statistics.inference import Range

if TYPE_CHECKING:
    import numpy.typing as npt

K = 20
FEWEST = 8
"""Tokens below which a text is left out: a fifth of them would be no token at all, or one by chance."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A text's two scores; None for one that is too short. ``cut``: its tokens beyond the model's window."""

    min_k: float | None
    min_k_pp: float | None
    tokens: int
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Membership:
    """A task's texts beside unseen ones. ``area``, ``area_pp``: how often a text of the task has a higher score than an
    unseen one, with the 95 % interval; None without unseen texts.
    """

    n: int
    n_unseen: int
    left_out: int
    cut: int
    mean: float | None
    mean_pp: float | None
    area: tuple[float, Range] | None
    area_pp: tuple[float, Range] | None

    @property
    def suspicious(self) -> bool:
        """Whether the task's texts are surely more familiar to the model than the unseen ones, by either score."""
        return any(one is not None and one[1][0] > 0.5 for one in (self.area, self.area_pp))


def scores(backend: Backend, texts: Sequence[str], k: float = K) -> list[Seen]:
    """Both scores of each text. Raises UserError for a backend that shows no probabilities of the whole vocabulary."""
    if not isinstance(backend, TellsTokens) or not isinstance(backend, TokenBackend):
        raise UserError(
            f"--model {backend.info.name}: shows no probabilities of every token (backend {backend.info.backend}): "
            "min-k% needs a causal model that runs here, by transformers"
        )
    most = backend.info.max_length
    found = []
    for tokens in backend.encode(list(texts)):
        row = np.array(
            tokens[:most] if tokens[:1] == [backend.prefix_id] else [backend.prefix_id, *tokens][:most], np.int32
        )
        cut = max(len(tokens) - len(row), 0)
        if len(row) <= FEWEST:
            found.append(Seen(None, None, len(tokens), cut))
            continue
        (one,) = backend.token_statistics([row])
        found.append(Seen(*_lowest(one, k), len(tokens), cut))
    return found


def _lowest(one: TokenStatistics, k: float) -> tuple[float, float]:
    count = max(int(len(one.loglikelihood) * k / 100), 1)
    standard = (one.loglikelihood - one.mean) / np.maximum(one.spread, 1e-6)
    return float(np.sort(one.loglikelihood)[:count].mean()), float(np.sort(standard)[:count].mean())


def compared(texts: Sequence[Seen], unseen: Sequence[Seen]) -> Membership:
    """The texts of a task beside unseen ones, which may be none."""
    return Membership(
        n=sum(one.min_k is not None for one in texts),
        n_unseen=sum(one.min_k is not None for one in unseen),
        left_out=sum(one.min_k is None for one in texts),
        cut=sum(one.cut > 0 for one in texts),
        mean=_mean([one.min_k for one in texts]),
        mean_pp=_mean([one.min_k_pp for one in texts]),
        area=_area([one.min_k for one in texts], [one.min_k for one in unseen]),
        area_pp=_area([one.min_k_pp for one in texts], [one.min_k_pp for one in unseen]),
    )


def _known(values: Sequence[float | None]) -> npt.NDArray[np.float64]:
    return np.array([one for one in values if one is not None], dtype=np.float64)


def _mean(values: Sequence[float | None]) -> float | None:
    known = _known(values)
    return float(known.mean()) if len(known) else None


def _area(texts: Sequence[float | None], unseen: Sequence[float | None]) -> tuple[float, Range] | None:
    one, other = _known(texts), _known(unseen)
    return area_under_curve(np.concatenate([one, other]), np.arange(len(one) + len(other)) < len(one))
