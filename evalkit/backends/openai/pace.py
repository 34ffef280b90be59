"""Rate limits as a server tells them: what is left of this minute's requests and tokens, and when there is more.

OpenAI and those who follow it say x-ratelimit-remaining-requests and -reset-requests ("1s", "6m0s", "20ms"), Anthropic
anthropic-ratelimit-requests-remaining and -reset (RFC 3339); tokens likewise (platform.openai.com/docs/guides/
rate-limits, docs.claude.com/en/api/rate-limits, looked up in November 2026).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

MOST_S = 120.0
"""Seconds: the longest that a header alone makes everybody wait."""

_PARTS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_KINDS = ("requests", "tokens", "input-tokens", "output-tokens")


class Pace:
    """Nobody asks before the server said that there is room. On one event loop."""

    def __init__(self) -> None:
        self._free_at = 0.0
        self.refusals = 0
        """Requests that the server refused because of its limits (429)."""
        self.held_seconds = 0.0
        """The longest waits that were asked for, added up."""

    async def wait(self) -> None:
        """Until there is room."""
        while (left := self._free_at - time.monotonic()) > 0:
            await asyncio.sleep(left)

    def told(self, headers: Mapping[str, str]) -> None:
        """What a reply's headers say of the limits."""
        for remaining, reset in _limits(headers):
            if remaining <= 0:
                self._hold(reset)

    def refused(self, status: int, seconds: float | None) -> None:
        """The server had no room, and said when to come back (None: not)."""
        self.refusals += status == 429
        if seconds is not None:
            self._hold(seconds)

    def _hold(self, seconds: float) -> None:
        free_at = time.monotonic() + min(seconds, MOST_S)
        if free_at > self._free_at:
            self.held_seconds += free_at - max(self._free_at, time.monotonic())
            self._free_at = free_at


def _limits(headers: Mapping[str, str]) -> Iterator[tuple[float, float]]:
    """(what is left, seconds until there is more) of each limit that the headers tell whole."""
    for kind in _KINDS:
        for remaining, reset in (
            (f"x-ratelimit-remaining-{kind}", f"x-ratelimit-reset-{kind}"),
            (f"anthropic-ratelimit-{kind}-remaining", f"anthropic-ratelimit-{kind}-reset"),
        ):
            left, seconds = headers.get(remaining, ""), duration(headers.get(reset, ""))
            if left.strip().isdigit() and seconds is not None:
                yield int(left), seconds


def duration(text: str) -> float | None:
    """Seconds of "1m2.5s", "20ms", "7.66" or a date by RFC 3339; None for anything else."""
    text = text.strip()
    parts = _PARTS.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return float(sum(float(number) * _UNITS[unit] for number, unit in parts))
    try:
        return max(0.0, float(text)) if len(text) < 16 and not text.lower().startswith(("nan", "inf")) else None
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
        return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except ValueError:
        return None
