"""How likely an answer is right, by a small classifier over question, answer and the model's own log-probabilities: the
generation scorer of FrugalGPT (Chen et al. 2023, arXiv 2305.05176), whose scorer is a DistilBERT; here it is a logistic
regression over hashed words and four numbers, calibrated by Platt's method.

This file reads a scorer and asks it; `evalkit.routing.training` makes one. The file is JSON: a scorer is a list of
numbers, and nothing of it is ever executed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.contract.types import Request, Response, Score
from evalkit.spec.strict import Strict, mistake
from evalkit.store.identity import digest
from evalkit.store.samples import prompt_of
from evalkit.text.reading import Malformed, parse_json, read_text

if TYPE_CHECKING:
    import numpy.typing as npt

FORMAT: Literal["evalkit-answer-scorer-1"] = "evalkit-answer-scorer-1"
BUCKETS = 4096
"""Of the hashed words: a few hundred labelled items tell no more apart."""
SHOWN = 2000
"""Characters of the end of a prompt, and of the beginning of an answer, that are read: few-shot examples, which stand
before the question, are the same for every item."""
FACTS = ("log_odds", "margin", "mean_logprob", "words")
"""The numbers beside the words: log-odds of the confidence, distance of the two likeliest choices, log-probability a
token of the answer, log of one plus its words."""
CLIP = 8.0
"""The largest log-odds, and log-probability a token, that is told apart."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A document's question and answer as the scorer reads them, and FACTS. ``failed``: there is no answer."""

    question: str = ""
    answer: str = ""
    facts: tuple[float, ...] = (0.0,) * len(FACTS)
    failed: bool = False


class Linear(Strict):
    """One model's scorer: log-odds = bias + facts, standardised, times weights + hashed words times weights; then the
    line of its calibration.
    """

    model: str
    bias: float
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    facts: tuple[float, ...]
    words: dict[int, float] = Field(default_factory=dict)
    """Weights that are not 0, by bucket."""
    slope: float = 1.0
    shift: float = 0.0
    trained_on: int = 0
    """Labelled items."""

    def scores(self, answers: Sequence[Answered]) -> npt.NDArray[np.float64]:
        """The probability that each answer is right, shape [answers]; 0 where there is none."""
        if not answers:
            return np.zeros(0)
        facts = (facts_of(answers) - np.array(self.mean)) / np.array(self.scale)
        odds = self.bias + facts @ np.array(self.facts)
        if self.words:
            weights = np.zeros(BUCKETS)
            weights[list(self.words)] = list(self.words.values())
            odds = odds + hashed(answers) @ weights
        known = np.array([not one.failed for one in answers])
        return np.where(known, expit(self.slope * odds + self.shift), 0.0)


class Scorer(Strict):
    """The scorers of a cascade's models."""

    format: Literal["evalkit-answer-scorer-1"] = FORMAT
    stages: tuple[Linear, ...]

    def of(self, model: str) -> Linear:
        """The scorer of the model with this name. Raises UserError where there is none."""
        found = next((one for one in self.stages if one.model == model), None)
        if found is None:
            known = ", ".join(one.model for one in self.stages)
            raise UserError(f"--model_args scorer: knows no model {model!r}, only {known}: label the stages so")
        return found

    @property
    def identity(self) -> str:
        """A digest of all that can change a score."""
        return digest(self.model_dump(mode="json"))


def read(path: Path) -> Scorer:
    """A scorer from its file. Raises UserError for what is none."""
    try:
        found: Any = parse_json(read_text(path, "scorer (--model_args scorer)"))
        made = Scorer.model_validate(found)
    except Malformed as error:
        raise UserError(f"{path}: no scorer: {error.reason}") from None
    except ValidationError as error:
        first = mistake(error)
        raise UserError(f"{path}: no scorer of this version: {first.where}: {first.message}") from None
    for one in made.stages:
        sizes = {len(one.mean), len(one.scale), len(one.facts)}
        whole = [*one.mean, *one.scale, *one.facts, *one.words.values(), one.bias, one.slope, one.shift]
        if (
            sizes != {len(FACTS)}
            or not all(map(math.isfinite, whole))
            or not all(one.scale)
            or not all(0 <= bucket < BUCKETS for bucket in one.words)
        ):
            raise UserError(f"{path}: no scorer: the weights of {one.model} have another shape: train it again")
    return made


def facts_of(answers: Sequence[Answered]) -> npt.NDArray[np.float64]:
    """FACTS of each answer, shape [answers, 4]."""
    return np.array([one.facts for one in answers], dtype=np.float64).reshape(len(answers), len(FACTS))


def hashed(answers: Sequence[Answered]) -> Any:
    """Words and pairs of words of questions and answers, apart, in BUCKETS (scipy CSR, rows of length one). Raises
    MissingExtra without scikit-learn.
    """
    try:
        from sklearn.feature_extraction import FeatureHasher
        from sklearn.preprocessing import normalize
    except ImportError as error:
        raise MissingExtra("a learned scorer", "scikit-learn", "routing") from error
    rows = [[*_grams("q", one.question), *_grams("a", one.answer)] for one in answers]
    return normalize(FeatureHasher(n_features=BUCKETS, input_type="string").transform(rows))


def _grams(part: str, text: str) -> list[str]:
    words = text.lower().split()
    return [f"{part} {word}" for word in words] + [f"{part} {one} {two}" for one, two in pairwise(words)]


def expit(values: Any) -> Any:
    """The logistic function, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * values))


def answered(pairs: Sequence[tuple[Request, Response]]) -> Answered:
    """A document's answer out of its requests and responses: the likeliest choice, or the first text. Of a generated
    text the response has the log-likelihood that the model gives to it (`evalkit.backends.confidence.own_text`), where
    the model can tell.
    """
    if not pairs or any(response.status != "ok" for _, response in pairs):
        return Answered(failed=True)
    request, response = pairs[0]
    if isinstance(request, Score):
        return of_choices(
            prompt_of(request),
            [one.continuation for one, _ in pairs if isinstance(one, Score)],
            [one.loglikelihood for _, one in pairs],
            [one.output_tokens for _, one in pairs],
        )
    return of_text(prompt_of(request), response.text, response.loglikelihood, response.output_tokens)


def of_choices(
    prompt: str, choices: Sequence[str], loglikelihoods: Sequence[float | None], tokens: Sequence[int]
) -> Answered:
    """The answer among choices with these log-likelihoods (nats) and lengths in tokens."""
    values = np.array([-np.inf if one is None else one for one in loglikelihoods], dtype=float)
    if len(choices) != len(values) or not np.isfinite(values).all():
        return Answered(failed=True)
    best = int(values.argmax())
    weights = np.exp(values - values.max())
    first, second = (*np.sort(weights / weights.sum())[::-1], 0.0)[:2]
    if len(values) == 1:
        first, second = float(np.exp(min(values[0], 0.0))), 0.0
    return _answered(prompt, choices[best], float(first), float(first - second), values[best] / max(1, tokens[best]))


def of_text(prompt: str, text: str | None, loglikelihood: float | None, tokens: int) -> Answered:
    """A generated answer. Without its log-likelihood (nats) the numbers are those of a model that is half sure."""
    if not text:
        return Answered(failed=True)
    if loglikelihood is None:
        return _answered(prompt, text, 0.5, 0.0, 0.0)
    mean = loglikelihood / max(1, tokens)
    sure = math.exp(min(mean, 0.0))
    return _answered(prompt, text, sure, sure, mean)


def _answered(prompt: str, answer: str, sure: float, margin: float, mean: float) -> Answered:
    odds = math.log(max(sure, 1e-9)) - math.log(max(1 - sure, 1e-9))
    facts = (max(-CLIP, min(CLIP, odds)), margin, max(-CLIP, float(mean)), math.log1p(len(answer.split())))
    return Answered(prompt[-SHOWN:], answer[:SHOWN], facts)
