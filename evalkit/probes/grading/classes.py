"""Any of transformers' sequence classifiers as a grader of replies: its classes by what they mean.

A class means what its name says, or what its number was given for. Probabilities are a softmax over all classes; of a
model with one class, or with several that do not exclude each other (``problem_type:
multi_label_classification``), each class's logistic function.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.contract.errors import MissingExtra, UserError
from evalkit.contract.grading import Exchange
from evalkit.probes import entailment
from evalkit.probes.entailment import Settings

_SHARED = ("model", "revision", "device", "batch_size", "shown")
_SHOWN = ("reply", "pair")


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a class may mean: ``name``, which is also the argument that gives its number, and the ``pattern`` of class
    names that say so (in small letters, whole).
    """

    name: str
    pattern: str
    needed: bool = True


class Classifier:
    """A sequence classifier that is shown replies, or prompts and replies; loads its weights when it is first asked."""

    def __init__(self, who: str, purpose: str, meanings: Sequence[Meaning], args: Mapping[str, Any]) -> None:
        """UserError for an unknown argument, a model that is nowhere, and one whose classes do not say what they mean;
        MissingExtra without transformers.
        """
        from importlib.util import find_spec

        known = (*_SHARED, *(one.name for one in meanings))
        if unknown := sorted(set(args) - set(known)):
            raise UserError(f"{who}: there is no argument {unknown[0]!r}; it takes {', '.join(known)}")
        if not args.get("model"):
            raise UserError(f"{who}: which classifier? Name its folder or Hub id (model)")
        if args.get("shown", "reply") not in _SHOWN:
            raise UserError(f"{who}: shown is {args['shown']!r}; choose one of {', '.join(_SHOWN)}")
        if find_spec("torch") is None or find_spec("transformers") is None:
            raise MissingExtra(who, "transformers", "hf")
        self._settings = Settings(
            model=str(args["model"]),
            revision=args.get("revision"),
            device=str(args.get("device", "auto")),
            batch_size=int(args.get("batch_size", 16)),
            who=who,
            purpose=purpose,
        )
        self._pair = args.get("shown", "reply") == "pair"
        config = entailment.config_of(self._settings)
        self._apart = getattr(config, "problem_type", None) != "multi_label_classification"
        self._places = self._meant(meanings, args, {int(key): str(name) for key, name in config.id2label.items()})
        self._told = {one.name: args[one.name] for one in meanings if one.name in args}
        entailment.refuse_pickled(self._settings)

    @property
    def identity(self) -> str:
        """ "classifier:MODEL@WEIGHTS", with what was given by number, and whether it sees the prompt."""
        name = f"classifier:{self._settings.model}@{entailment.identity(self._settings)}".replace("|", "/")
        told = "".join(f":{key}={value}" for key, value in sorted(self._told.items()))
        return f"{name}{told}{':pair' if self._pair else ''}"

    def shares(self, exchanges: Sequence[Exchange]) -> list[dict[str, float] | None]:
        """Of every reply the probability of each meaning; None for one without a word, or beyond the model's window."""
        asked = [place for place, one in enumerate(exchanges) if one.reply.strip()]
        shown = [(one.prompt, one.reply) if self._pair else (one.reply,) for one in (exchanges[at] for at in asked)]
        found: list[dict[str, float] | None] = [None] * len(exchanges)
        for place, logits in zip(asked, entailment.classifier(self._settings)(shown) if shown else (), strict=True):
            if logits is not None:
                found[place] = {name: self._share(logits, at) for name, at in self._places.items()}
        return found

    def _share(self, logits: Sequence[float], place: int) -> float:
        if len(logits) == 1 or not self._apart:
            return 0.5 * (1 + math.tanh(logits[place] / 2))
        top = max(logits)
        return math.exp(logits[place] - top) / math.fsum(math.exp(one - top) for one in logits)

    def _meant(self, meanings: Sequence[Meaning], args: Mapping[str, Any], names: Mapping[int, str]) -> dict[str, int]:
        """The number of each meaning's class."""
        model, listed = self._settings.model, entailment.listed(names)
        found: dict[str, int] = {}
        for one in meanings:
            if one.name in args:
                if args[one.name] not in names:
                    raise UserError(f"{self._settings.who}: {model} has the classes {listed}; {one.name} is none")
                found[one.name] = int(args[one.name])
                continue
            fitting = [place for place, name in names.items() if re.fullmatch(one.pattern, name.strip().lower())]
            if len(fitting) > 1 or (one.needed and not fitting):
                raise UserError(
                    f"{self._settings.who}: which class of {model} means {one.name}? It has {listed}; give its number "
                    f"({one.name}=N)"
                )
            if fitting:
                found[one.name] = fitting[0]
        if len(set(found.values())) < len(found):
            raise UserError(f"{self._settings.who}: one class of {model} cannot mean two things; it has {listed}")
        return found
