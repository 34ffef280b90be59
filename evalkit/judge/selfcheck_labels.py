"""SelfCheckGPT's scores against people's labels, on the passages of WikiBio (Manakul et al. 2023, arXiv 2303.08896).

Sentence by sentence the area under the precision-recall curve, as the paper reports it: NonFact (any inaccuracy),
NonFact* (major ones, in passages that are not wholly so), Factual (accurate, by the score turned round); and passage
by passage the correlation of the mean score with the mean label (accurate 0, minor 0.5, major 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.grading import Claim, Grader
from evalkit.contract.types import DatasetRef, DataSource
from evalkit.judge.validation import Figure, figure_of
from evalkit.probes.selfcheck import surprises
from evalkit.statistics.corpus import items_estimate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

DATA = DatasetRef("potsawee/wiki_bio_gpt3_hallucination", "default", None)
LABELS = {"accurate": 0.0, "minor_inaccurate": 0.5, "major_inaccurate": 1.0}
WHOLLY = 0.99
"""A mean label from which a passage is wholly made up, and no longer of NonFact*."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage, its sentences with people's labels (0 to 1), and other samples on the same subject."""

    text: str
    sentences: tuple[str, ...]
    labels: tuple[float, ...]
    samples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Detection:
    """How well a score tells what is made up: areas over sentences, correlations over passages; ``random`` is the area
    of a score that knows nothing (the share of positives) in each.
    """

    score: str
    sentences: int
    passages: int
    nonfact: Figure
    nonfact_star: Figure
    factual: Figure
    random: tuple[float, float, float]
    pearson: Figure
    spearman: Figure


def passages(source: DataSource) -> list[Passage]:
    """The labelled passages. UserError where they cannot be had, or lack a field."""
    try:
        return [
            Passage(
                row["gpt3_text"],
                tuple(row["gpt3_sentences"]),
                tuple(LABELS[label] for label in row["annotation"]),
                tuple(row["gpt3_text_samples"]),
            )
            for row in source.load(DATA, "evaluation")
        ]
    except KeyError as error:
        raise UserError(f"{DATA.id}: its rows lack {error}; fetch the set again") from error


def by_unigram(found: Sequence[Passage]) -> dict[str, list[list[float]]]:
    """ "unigram_avg" and "unigram_max": of each passage the scores of its sentences, in nats."""
    scores = [surprises(one.text, one.samples, one.sentences) for one in found]
    return {
        name: [[pair[part] for pair in own] for own in scores]
        for part, name in enumerate(("unigram_avg", "unigram_max"))
    }


def by_grader(found: Sequence[Passage], grader: Grader) -> list[list[float]]:
    """A sentence's score: one minus the mean score that it follows from a sample (SelfCheckGPT by NLI or by prompt, of
    any grader). Without a verdict a half.
    """
    claims = [Claim(sample, sentence) for one in found for sentence in one.sentences for sample in one.samples]
    verdicts = iter(grader.grade(claims))
    scores = []
    for one in found:
        own = []
        for _ in one.sentences:
            given = [next(verdicts) for _ in one.samples]
            own.append(1 - sum(0.5 if value is None else value for value in given) / len(given))
        scores.append(own)
    return scores


def detection(name: str, found: Sequence[Passage], scores: Sequence[Sequence[float]]) -> Detection:
    """The figures of a score; intervals leave out one passage at a time."""
    import numpy as np
    from scipy.stats import pearsonr, spearmanr

    labels = np.array([label for one in found for label in one.labels])
    flat = np.array([score for own in scores for score in own])
    codes = np.repeat(np.arange(len(found)), [len(one.labels) for one in found])
    mixed = np.array([sum(one.labels) / len(one.labels) < WHOLLY for one in found])[codes]
    areas = [
        (labels > 0.25, flat, np.ones(len(flat), bool)),
        (labels > 0.75, flat, mixed),
        (labels < 0.25, -flat, np.ones(len(flat), bool)),
    ]
    means = np.array(
        [(sum(own) / len(own), sum(one.labels) / len(one.labels)) for one, own in zip(found, scores, strict=True)]
    )
    nonfact, star, factual = (_area(*one, codes) for one in areas)
    shares = [float(truth[kept].mean()) for truth, _, kept in areas]
    return Detection(
        score=name,
        sentences=len(flat),
        passages=len(found),
        nonfact=nonfact,
        nonfact_star=star,
        factual=factual,
        random=(shares[0], shares[1], shares[2]),
        pearson=_correlation(means, pearsonr),
        spearman=_correlation(means, spearmanr),
    )


def precision_recall_area(truth: NDArray[np.bool_], scores: Vector) -> float:
    """The area under the precision-recall curve by the trapezoid rule, from recall 0 (precision 1) on, as scikit-learn
    has it: ``auc(*precision_recall_curve(...))``.
    """
    import numpy as np

    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    if not len(hits) or not hits[-1]:
        return float("nan")
    ends = np.append(np.nonzero(np.diff(scores[order]))[0], len(order) - 1)
    precision = np.concatenate([[1.0], hits[ends] / (ends + 1)])
    recall = np.concatenate([[0.0], hits[ends] / hits[-1]])
    return float(np.trapezoid(precision, recall))


def _area(truth: Any, scores: Any, kept: Any, codes: Any) -> Figure:
    import numpy as np

    truth, scores = truth[kept], scores[kept]
    own = np.unique(codes[kept], return_inverse=True)[1]
    return figure_of(
        items_estimate(
            len(truth), lambda rows: precision_recall_area(truth[rows], scores[rows]), codes=own, bounds=(0.0, 1.0)
        )
    )


def _correlation(means: Any, function: Any) -> Figure:
    return figure_of(
        items_estimate(
            len(means), lambda rows: float(function(means[rows, 0], means[rows, 1]).statistic), bounds=(-1.0, 1.0)
        )
    )
