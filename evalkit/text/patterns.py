"""Regular expressions that a task's author wrote, on texts that a model wrote: a pattern may not outlast its limit.

Patterns are held to the grammar of Python's `re`, so that they mean what they mean to lm-evaluation-harness, and are
run by the package regex, which can be stopped.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

LIMIT_SECONDS = 5.0
"""For one pattern on one text; a pattern that takes time in proportion to the text's length needs milliseconds."""


class TooSlow(ValueError):
    """A pattern ran out of time on a text."""


class Pattern:
    """A compiled pattern. Raises re.error for one that is malformed; its methods raise TooSlow."""

    def __init__(self, source: str, limit: float = LIMIT_SECONDS) -> None:
        import regex

        re.compile(source)
        try:
            self._compiled = regex.compile(source, regex.VERSION0)
        except regex.error as error:
            raise re.error(str(error)) from None
        self.source = source
        self._limit = limit

    def findall(self, text: str) -> list[Any]:
        """As `re.Pattern.findall`."""
        return list(self._run("findall", text))

    def search(self, text: str) -> bool:
        """Whether the pattern is found."""
        return self._run("search", text) is not None

    def sub(self, replacement: str, text: str, count: int = 0) -> str:
        """As `re.Pattern.sub`."""
        return str(self._run("sub", replacement, text, count=count))

    def _run(self, method: str, *given: Any, **named: Any) -> Any:
        try:
            return getattr(self._compiled, method)(*given, timeout=self._limit, **named)
        except TimeoutError:
            raise TooSlow(
                f"the pattern {self.source[:80]!r} takes more than {self._limit:g} s on a text of {len(given[-1])} "
                "characters: write it so that no part of it can match in many ways"
            ) from None


@lru_cache(maxsize=512)
def compiled(source: str) -> Pattern:
    """The pattern, compiled once. Raises re.error."""
    return Pattern(source)
