"""A grader that asks a language model, local or hosted: is the text supported by its source?

Where the backend gives log-likelihoods, the score is the probability of "yes" among "yes" and "no"; of one that only
writes, the reply is read (1 or 0), and what is no verdict has no score.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.backends import opening
from evalkit.contract.errors import UserError
from evalkit.contract.grading import Claim
from evalkit.judge.asking import Judge
from evalkit.judge.prompts import SUPPORT
from evalkit.judge.reading import Unread, yes_or_no
from evalkit.spec.models import EngineSpec, ModelSpec

VERDICTS = (" yes", " no")


class Prompted:
    """The grader by a judge; ``template`` has the fields context and statement. ``written``: read replies even where
    the backend gives log-likelihoods.
    """

    def __init__(self, judge: Judge, template: str = SUPPORT, written: bool = False) -> None:
        self._judge = judge
        self._template = template
        self._written = written or not judge.scores

    @property
    def identity(self) -> str:
        """As `identity_of`."""
        return identity_of(self._judge, self._template, self._written)

    def grade(self, claims: Sequence[Claim]) -> list[float | None]:
        """None where the prompt did not fit, the model failed, or its reply is no verdict."""
        rows = [
            {
                "context": claim.source,
                "statement": f"{claim.question} {claim.text}" if claim.question else claim.text,
            }
            for claim in claims
        ]
        if not rows:
            return []
        if not self._written:
            found = self._judge.choose("support", self._template, rows, VERDICTS)
            return [None if one is None else one[0] for one in found]
        read = [yes_or_no(reply) for reply in self._judge.ask("support", self._template, rows)]
        return [None if isinstance(one, Unread) else float(one == "yes") for one in read]


def lm(args: Mapping[str, Any]) -> Prompted:
    """The entry point: ``model`` and the other settings of a model (``backend``, ``revision``, ``device``,
    ``base_url`` in ``args``, ...), ``written``. The model stays loaded.
    """
    return Prompted(judge_of(args), written=bool(args.get("written", False)))


def judge_of(args: Mapping[str, Any]) -> Judge:
    """The judge that a grader's arguments name. UserError for one that they do not, and for unknown ones."""
    given = {key: value for key, value in args.items() if key != "written"}
    name = given.pop("model", None)
    if not name:
        raise UserError("grader lm: which model? Name it (model)")
    if unknown := sorted(set(given) - set(ModelSpec.model_fields)):
        raise UserError(f"grader lm: there is no argument {unknown[0]!r}; it takes a model's settings, and written")
    model = ModelSpec.model_validate({"name": name, **given})
    return Judge(opening.open_backend(model, EngineSpec()), chat=bool(model.chat_template))


def identity_of(judge: Judge, template: str, written: bool) -> str:
    """ "lm:MODEL@FINGERPRINT:prompt=HASH", and whether replies are read."""
    info = judge.backend.info
    prompt = hashlib.sha256(template.encode()).hexdigest()[:12]
    how = "written" if written else "likelihood"
    chat = ":chat" if judge.chat else ""
    return f"lm:{info.name}@{info.fingerprint[:12]}:prompt={prompt}:{how}{chat}".replace("|", "/")
