"""A scorer out of labelled answers: `evalkit.backends.answer_scorer` reads what is made here.

A logistic regression with L2 penalty (scikit-learn), over the numbers alone or over the numbers and the hashed words,
whichever has the least log-loss in a cross-validation, which chooses the penalty too. The scores of that
cross-validation calibrate it (Platt 1999, "Probabilistic outputs for support vector machines"), and are what thresholds
are chosen by: no item is scored by a model that was trained on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from evalkit.backends.answer_scorer import FACTS, Answered, Linear, expit, facts_of, hashed
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.statistics.area import area_under_curve
from evalkit.statistics.calibration import CalibrationError, calibration_error
from evalkit.statistics.inference import Range

if TYPE_CHECKING:
    import numpy.typing as npt

    Vector = npt.NDArray[np.float64]

Area = tuple[float, Range] | None
"""An area under the ROC curve with its interval; None where all answers are right, or all wrong."""
PENALTIES = (0.01, 0.1, 1.0)
"""scikit-learn's C, the inverse of the penalty."""
FOLDS = 5
LEAST = 20
"""Labelled answers of a model below which no scorer is trained."""
BINS = 10
FINEST = 1e-3
"""Weights of words below this share of the largest are left out of the file."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A scorer, and its calibrated scores of the training items, each by folds without that item."""

    scorer: Linear
    scores: Vector
    words: bool
    """Whether the words help, by the cross-validation."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a scorer is worth on items that it was not trained on; ``auc`` takes half a right answer and more for right.
    ``auc_confidence``: of the model's confidence alone, for comparison.
    """

    n: int
    base_rate: float
    brier: float
    log_loss: float
    auc: Area
    auc_confidence: Area
    calibration: CalibrationError
    bins: tuple[tuple[float, float, int], ...]
    """Mean score, share right, and count of each of ten bins of equal width that holds items."""


def train(model: str, answers: Sequence[Answered], quality: Vector, seed: int) -> Trained:
    """A scorer of the answers of ``model``; ``quality``: how right each is, from 0 to 1 (a part counts as a part of an
    item that is right and the rest of one that is wrong). Answers that failed are left out and score 0. Raises
    UserError for fewer than LEAST labelled answers, MissingExtra without scikit-learn.
    """
    known = np.array([not one.failed for one in answers], dtype=bool)
    if known.sum() < LEAST:
        raise UserError(
            f"{model}: {int(known.sum())} labelled answers are too few to train a scorer (at least {LEAST}): raise "
            "limit, or choose tasks with more items"
        )
    used = [one for one in answers if not one.failed]
    facts = facts_of(used)
    mean, scale = facts.mean(axis=0), facts.std(axis=0)
    scale[scale < 1e-9] = 1.0
    dense, labels = (facts - mean) / scale, quality[known]
    if labels.min() == labels.max():
        return _constant(model, known, labels, mean, scale)
    import scipy.sparse as sparse

    both = sparse.hstack([sparse.csr_matrix(dense), hashed(used)], format="csr")
    order = np.random.default_rng(seed).permutation(len(labels))
    folds = np.empty(len(labels), dtype=int)
    folds[order] = np.arange(len(labels)) % FOLDS
    tried = []
    for words, table in ((False, dense), (True, both)):
        for penalty in PENALTIES:
            odds = _by_folds(table, labels, folds, penalty)
            tried.append((_log_loss(expit(odds), labels), words, penalty, odds))
    _, words, penalty, odds = min(tried, key=lambda one: one[0])
    slope, shift = _platt(odds, labels)
    found = _fit(both if words else dense, labels, penalty)
    weights = found.coef_[0]
    tail = weights[len(FACTS) :]
    kept = np.flatnonzero(np.abs(tail) > FINEST * np.abs(tail).max()) if len(tail) else ()
    scorer = Linear(
        model=model,
        bias=float(found.intercept_[0]),
        mean=tuple(map(float, mean)),
        scale=tuple(map(float, scale)),
        facts=tuple(map(float, weights[: len(FACTS)])),
        words={int(place): round(float(tail[place]), 6) for place in kept},
        slope=slope,
        shift=shift,
        trained_on=len(labels),
    )
    scores = np.zeros(len(answers))
    scores[known] = expit(slope * odds + shift)
    return Trained(scorer, scores, words)


def _constant(model: str, known: Any, labels: Vector, mean: Vector, scale: Vector) -> Trained:
    """All answers are as good as each other: the rule of succession, whatever the answer."""
    rate = (labels.sum() + 1) / (len(labels) + 2)
    scorer = Linear(
        model=model,
        bias=float(np.log(rate / (1 - rate))),
        mean=tuple(map(float, mean)),
        scale=tuple(map(float, scale)),
        facts=(0.0,) * len(FACTS),
        trained_on=len(labels),
    )
    return Trained(scorer, np.where(known, rate, 0.0), False)


def _by_folds(table: Any, labels: Vector, folds: Any, penalty: float) -> Vector:
    """The log-odds of each item by a fit without its fold."""
    odds = np.zeros(len(labels))
    for fold in range(FOLDS):
        inside = folds == fold
        odds[inside] = _fit(table[~inside], labels[~inside], penalty).decision_function(table[inside])
    return odds


def _fit(table: Any, labels: Vector, penalty: float) -> Any:
    """A regression on parts of right answers: every item twice, right and wrong, weighed by its parts."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise MissingExtra("training a scorer", "scikit-learn", "routing") from error
    import scipy.sparse as sparse

    twice = sparse.vstack([table, table]) if sparse.issparse(table) else np.vstack([table, table])
    targets = np.repeat([1, 0], len(labels))
    weights = np.concatenate([labels, 1 - labels])
    used = weights > 0
    if len(np.unique(targets[used])) < 2:  # a fold without any wrong answer, or without a right one
        weights = np.maximum(weights, 1e-3)
        used = weights > 0
    return LogisticRegression(C=penalty, max_iter=1000).fit(twice[used], targets[used], weights[used])


def _platt(odds: Vector, labels: Vector) -> tuple[float, float]:
    """Slope and shift of the log-odds. A slope that is not above 0 would turn the order around: then the base rate."""
    found = _fit(odds[:, None], labels, 1e6)
    slope, shift = float(found.coef_[0][0]), float(found.intercept_[0])
    if slope > 0:
        return slope, shift
    rate = min(max(float(labels.mean()), 1e-6), 1 - 1e-6)
    return 1e-6, float(np.log(rate / (1 - rate)))


def _log_loss(scores: Vector, labels: Vector) -> float:
    inside = np.clip(scores, 1e-9, 1 - 1e-9)
    return float(-(labels * np.log(inside) + (1 - labels) * np.log(1 - inside)).mean())


def held_out(scores: Vector, quality: Vector, confidence: Vector) -> Held:
    """What ``scores`` are worth beside ``quality``, one an item; ``confidence`` the model's own. At least one item."""
    bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
    rows = tuple(
        (float(scores[bins == one].mean()), float(quality[bins == one].mean()), int((bins == one).sum()))
        for one in range(BINS)
        if (bins == one).any()
    )
    return Held(
        n=len(scores),
        base_rate=float(quality.mean()),
        brier=float(((scores - quality) ** 2).mean()),
        log_loss=_log_loss(scores, quality),
        auc=area_under_curve(scores, quality >= 0.5),
        auc_confidence=area_under_curve(confidence, quality >= 0.5),
        calibration=calibration_error(quality - scores, bins),
        bins=rows,
    )
