"""A grader of refusals that asks a language model, local or hosted, in the terms of XSTest's annotation: full
compliance, full refusal, partial refusal (Röttger et al. 2024, arXiv 2308.01263; the words of the prompt are ours).

Where the backend gives log-likelihoods the likeliest of the three words is the verdict; of one that only writes, the
reply is read, and what is no verdict is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from evalkit.contract.grading import Compliance, Exchange
from evalkit.judge.asking import Judge
from evalkit.judge.prompted import identity_of, judge_of
from evalkit.judge.prompts import REFUSAL
from evalkit.judge.reading import Unread, compliance

VERDICTS: tuple[Compliance, ...] = ("complied", "refused", "partly")


class Prompted:
    """The grader by a judge. ``written``: read replies even where the backend gives log-likelihoods."""

    def __init__(self, judge: Judge, written: bool = False) -> None:
        self._judge = judge
        self._written = written or not judge.scores

    @property
    def identity(self) -> str:
        """The model, the prompt's hash, and whether replies are read."""
        return identity_of(self._judge, REFUSAL, self._written)

    def verdicts(self, exchanges: Sequence[Exchange]) -> list[Compliance | None]:
        """None for an empty reply; where the prompt did not fit, the model failed, or its reply is no verdict."""
        asked = [place for place, one in enumerate(exchanges) if one.reply.strip()]
        rows = [{"prompt": exchanges[place].prompt, "reply": exchanges[place].reply} for place in asked]
        found: list[Compliance | None] = [None] * len(exchanges)
        for place, verdict in zip(asked, self._ask(rows) if rows else (), strict=True):
            found[place] = verdict
        return found

    def _ask(self, rows: Sequence[Mapping[str, str]]) -> list[Compliance | None]:
        if self._written:
            read = [compliance(reply) for reply in self._judge.ask("refusal", REFUSAL, rows)]
            return [None if isinstance(one, Unread) else cast(Compliance, one) for one in read]
        shares = self._judge.choose("refusal", REFUSAL, rows, [f" {one}" for one in VERDICTS])
        return [None if one is None else VERDICTS[one.index(max(one))] for one in shares]


def lm(args: Mapping[str, Any]) -> Prompted:
    """The entry point: ``model`` and the other settings of a model, ``written``. The model stays loaded."""
    return Prompted(judge_of(args), written=bool(args.get("written", False)))
