"""A grader by a model of entailment: any of transformers' sequence classifiers, of three classes, of two
(consistent or not, as HHEM has them), or of one (a probability).

The source is cut into pieces of whole sentences that fit the model's window beside the sentence under test; a
sentence's score is the largest probability of support over the pieces, as SummaC takes it (Laban et al. 2022, arXiv
2111.09525), and a text's that of its worst sentence. Which class means support is read from the model's configuration;
where its names do not say, it is asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.grading import Claim
from evalkit.probes import entailment
from evalkit.probes.entailment import Settings
from evalkit.probes.grading.sentences import sentences

_SUPPORT = re.compile(
    r"^(?:entail(?:s|ed|ment|ing)?|support(?:s|ed|ive)?|(?:factually[ _-])?consistent|factual|faithful|grounded"
    r"|attributable|not[ _-]?hallucinat(?:ed|ion))$"
)
_ARGUMENTS = ("model", "revision", "device", "batch_size", "supported")


class Entailment:
    """The grader by a classifier; loads its model when it is first asked."""

    def __init__(self, settings: Settings, supported: int | None = None) -> None:
        """``supported``: the number of the class that means support, where its name does not say. UserError for a
        model that is nowhere, or whose classes do not say.
        """
        self._settings = settings
        self._place, self._count = _supporting(settings, supported)
        entailment.refuse_pickled(settings)

    @property
    def identity(self) -> str:
        """ "nli:MODEL@WEIGHTS", with the class where it was told by number."""
        name = f"nli:{self._settings.model}@{entailment.identity(self._settings)}".replace("|", "/")
        return name if self._settings.entail is None else f"{name}:supported={self._settings.entail}"

    def grade(self, claims: Sequence[Claim]) -> list[float | None]:
        """None where a sentence does not fit the model's window with any sentence of the source."""
        asked: list[tuple[int, int, tuple[str, str]]] = []
        for number, claim in enumerate(claims):
            for place, sentence in enumerate(sentences(claim.text)):
                stated = f"{claim.question} {sentence}" if claim.question else sentence
                asked += [(number, place, (piece, stated)) for piece in self._pieces(claim.source, stated)]
        found = entailment.classifier(self._settings)([pair for _, _, pair in asked])
        best: list[dict[int, float]] = [{} for _ in claims]
        for (number, place, _), logits in zip(asked, found, strict=True):
            if logits is not None:
                before = best[number].get(place, 0.0)
                best[number][place] = max(before, self._probability(logits))
        return [
            min(own.values()) if own and len(own) == len(sentences(claim.text)) else None
            for claim, own in zip(claims, best, strict=True)
        ]

    def _probability(self, logits: Sequence[float]) -> float:
        if self._count == 1:
            return 0.5 * (1 + math.tanh(logits[0] / 2))
        top = max(logits)
        return math.exp(logits[self._place] - top) / sum(math.exp(one - top) for one in logits)

    def _pieces(self, source: str, stated: str) -> Iterator[str]:
        """The source in runs of whole sentences, as long as they fit beside ``stated``."""
        tokenizer, window = entailment.window_of(self._settings)
        if len(tokenizer(source, stated)["input_ids"]) <= window:
            yield source
            return
        run: list[str] = []
        for sentence in sentences(source):
            if run and len(tokenizer(" ".join([*run, sentence]), stated)["input_ids"]) > window:
                yield " ".join(run)
                run = []
            run.append(sentence)
        if run:
            yield " ".join(run)


def nli(args: Mapping[str, Any]) -> Entailment:
    """The entry point: ``model`` (a folder or a Hub id), ``revision``, ``device``, ``batch_size``, ``supported``."""
    if unknown := sorted(set(args) - set(_ARGUMENTS)):
        raise UserError(f"grader nli: there is no argument {unknown[0]!r}; it takes {', '.join(_ARGUMENTS)}")
    if not args.get("model"):
        raise UserError("grader nli: which classifier? Name its folder or Hub id (model)")
    told = args.get("supported")
    settings = Settings(
        model=str(args["model"]),
        revision=args.get("revision"),
        device=str(args.get("device", "auto")),
        batch_size=int(args.get("batch_size", 16)),
        entail=told,
        who="grader nli",
    )
    return Entailment(settings, told)


def _supporting(settings: Settings, told: int | None) -> tuple[int, int]:
    """(the class that means support, how many there are). UserError where that cannot be told."""
    config = entailment.config_of(settings)
    names = {int(place): str(name).lower() for place, name in config.id2label.items()}
    if told is not None:
        if told not in names:
            raise UserError(f"grader nli: {settings.model} has the classes {entailment.listed(names)}")
        return told, len(names)
    fitting = [place for place, name in names.items() if _SUPPORT.match(name.strip())]
    if len(fitting) != 1:
        raise UserError(
            f"grader nli: which class of {settings.model} means that a text is supported? It has "
            f"{entailment.listed(names)}; give its number (supported=N)"
        )
    return fitting[0], len(names)
