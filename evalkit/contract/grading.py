"""Graders: is what a text says supported by its source?

A grader is a plug-in: an entry point of the group ``evalkit.graders``, or a function registered at run time
(`evalkit.register_grader`), that makes a `Grader` of its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

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
