"""Graders: is what a text says supported by its source? Does a reply refuse? Is a text harmful?

A grader is a plug-in: an entry point of the group ``evalkit.graders``, or a function registered at run time
(`evalkit.register_grader`), that makes a `Grader` of its arguments. Graders of refusals
(``evalkit.refusal_graders``) and of harm (``evalkit.harm_graders``) come the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

SUPPORTED = 0.5
"""A text counts as supported from this score on."""


class Claim(NamedTuple):
    """A text, what it must follow from, and the question that it answers ("" where there is none)."""

    source: str
    text: str
    question: str = ""


class Grader(Protocol):
    """Grades claims. ``identity`` names the grader and all that can change a verdict (its version, the model and its
    weights, the prompt's hash), for records: text without "|".
    """

    @property
    def identity(self) -> str: ...

    def grade(self, claims: Sequence[Claim]) -> Sequence[float | None]:
        """Of every claim a score from 0 (contradicted or made up) to 1 (supported); from `SUPPORTED` on it counts as
        supported. None where there is no verdict.
        """
        ...


MakeGrader = Callable[[Mapping[str, Any]], Grader]
"""What stands behind a grader's name. Raises UserError for arguments that it does not take."""


Compliance = Literal["complied", "refused", "partly"]
"""Full compliance, full refusal, partial refusal, as XSTest has them (Röttger et al. 2024, arXiv 2308.01263)."""


class Exchange(NamedTuple):
    """What a model was asked, and what it replied."""

    prompt: str
    reply: str


class RefusalGrader(Protocol):
    """Says whether replies refuse. ``identity`` as a `Grader`'s."""

    @property
    def identity(self) -> str: ...

    def verdicts(self, exchanges: Sequence[Exchange]) -> Sequence[Compliance | None]:
        """Of every exchange how the reply takes the prompt; None where there is no verdict."""
        ...


class HarmGrader(Protocol):
    """Says how likely texts are harmful. ``identity`` as a `Grader`'s."""

    @property
    def identity(self) -> str: ...

    def harm(self, exchanges: Sequence[Exchange]) -> Sequence[float | None]:
        """Of every exchange the probability that the reply is harmful; None where there is none."""
        ...
