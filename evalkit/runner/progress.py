"""Telling how far the work is: bars on a terminal, plain lines every few seconds elsewhere."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from evalkit.contract.store import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichBars
    from rich.progress import TaskID

SECONDS_BETWEEN_LINES = 5.0
WIDE = 120
"""Columns of a terminal that has room for a bar beside the numbers."""
KNOWN_SECONDS, KNOWN_SHARE = 3.0, 0.02
"""How long and how much of the work must have been done before it says how long the rest will take."""
SECONDS_BETWEEN_SAMPLES = 1.0
"""The pace is looked at so often: a fast run tells of its progress thousands of times a second."""
LATE_SECONDS, LATE_SHARE = 60.0, 0.25
"""The time left is judged by the pace of the last minute, or of the last quarter of the time where that is longer."""


class Silent:
    """Says nothing (--quiet)."""

    def begin(self, total: int, reused: int, tokens: int | None) -> None: ...

    def advance(self, requests: int, tokens: int = 0) -> None: ...

    def end(self) -> None: ...


class TimeLeft:
    """How long the rest will take, by the pace of late: of the tokens of the prompts, or of the answers where these are
    slower, as when all prompts are read and texts are still being written.
    """

    def __init__(self, requests: int, tokens: int | None) -> None:
        self._ahead = (requests, tokens or 0)
        self._past: deque[tuple[float, tuple[int, int]]] = deque([(0.0, (0, 0))])
        """Seconds since the start, and the requests and tokens that were done by then."""
        self._known: float | None = None

    def after(self, seconds: float, requests: int, tokens: int) -> float | None:
        """Seconds that are left, ``seconds`` after the start, with so many requests and tokens done; None where that is
        not known yet.
        """
        if len(self._past) < 2 or seconds - self._past[-1][0] >= SECONDS_BETWEEN_SAMPLES:
            self._past.append((seconds, (requests, tokens)))
            while len(self._past) > 2 and self._past[1][0] <= seconds - max(LATE_SECONDS, LATE_SHARE * seconds):
                self._past.popleft()
            self._known = self._estimate()
        return self._known if requests < self._ahead[0] else None

    def _estimate(self) -> float | None:
        """By the first and the last of the samples."""
        (since, then), (seconds, done) = self._past[0], self._past[-1]
        measure = 1 if self._ahead[1] else 0
        if seconds < KNOWN_SECONDS or done[measure] < KNOWN_SHARE * self._ahead[measure]:
            return None
        found = []
        for whole, now, before in zip(self._ahead, done, then, strict=True):
            if whole > now == before:
                return None  # none came of late
            if whole > now:
                found.append((whole - now) * (seconds - since) / (now - before))
        return max(found, default=None)


class Bars:
    """A bar with rate and time left. Where the tokens to compute are known they are what is measured."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: RichBars | None = None
        self._bar: TaskID | None = None
        self._by_tokens = False
        self._requests = self._reused = self._tokens = 0
        self._total = 0
        self._usd: float | None = None
        self._left = TimeLeft(0, None)

    def begin(self, total: int, reused: int, tokens: int | None) -> None:
        """Show the bar; what was reused counts as done from the start."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._by_tokens = bool(tokens)
        self._requests, self._reused, self._total, self._tokens = reused, reused, total, 0
        self._left = TimeLeft(total - reused, tokens)
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            # Without the bar the numbers stay whole on a terminal of 80 columns.
            *([BarColumn()] if self._console.width >= WIDE else []),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("elapsed"),
            TextColumn("{task.fields[left]}"),
            console=self._console,
        )
        units, done = (tokens, 0) if tokens else (total, reused)
        self._bar = self._bars.add_task(self._label(), total=units, completed=done, rate="", left="")
        self._bars.start()

    def advance(self, requests: int, tokens: int = 0) -> None:
        """``requests`` more are answered; ``tokens`` more were computed for them."""
        if self._bars is None or self._bar is None:
            return
        self._requests += requests
        self._tokens += tokens
        elapsed = self._bars.tasks[0].elapsed or 0.0
        left = self._left.after(elapsed, self._requests - self._reused, self._tokens)
        speed = self._bars.tasks[0].speed
        unit = " tokens" if self._by_tokens else ""  # requests stand before the bar
        rate = f"{speed:,.0f}{unit}/s" if speed else ""
        rate += f" {_dollars(self._usd)}" if self._usd is not None else ""
        self._bars.update(
            self._bar,
            advance=tokens if self._by_tokens else requests,
            description=self._label(),
            rate=rate,
            left="" if left is None else f"{_clock(left)} left",
        )

    def paid(self, usd: float) -> None:
        """So much more was paid; shown with the next answer."""
        self._usd = (self._usd or 0.0) + usd

    def end(self) -> None:
        """Leave the finished bar on the screen."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None

    def _label(self) -> str:
        return f"{self._requests:,}/{self._total:,} requests"


class Lines:
    """One plain line every five seconds, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._requests = self._reused = self._total = self._tokens = 0
        self._expected: int | None = None
        self._usd: float | None = None
        self._start = self._last = 0.0
        self._running = False
        self._left = TimeLeft(0, None)

    def begin(self, total: int, reused: int, tokens: int | None) -> None:
        """Say what is ahead."""
        self._requests, self._reused, self._total, self._tokens, self._expected = reused, reused, total, 0, tokens
        self._start = self._last = time.monotonic()
        self._left = TimeLeft(total - reused, tokens)
        self._running = True
        known = f", {tokens:,} tokens to compute" if tokens else ""
        kept = f" ({reused:,} already answered)" if reused else ""
        self._print(f"answering {total:,} requests{kept}{known}")

    def advance(self, requests: int, tokens: int = 0) -> None:
        """Print a line if the last one is five seconds old."""
        self._requests += requests
        self._tokens += tokens
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._print(self._line(now - self._start))

    def paid(self, usd: float) -> None:
        """So much more was paid; told with the next line."""
        self._usd = (self._usd or 0.0) + usd

    def end(self) -> None:
        """Print the last line, once."""
        if self._running:
            self._running = False
            self._print(self._line(time.monotonic() - self._start))

    def _line(self, seconds: float) -> str:
        answered = self._requests - self._reused
        rate = (self._tokens if self._expected else answered) / seconds if seconds > 0 else 0.0
        rest = self._left.after(seconds, answered, self._tokens)
        left = "" if rest is None else f", {_clock(rest)} left"
        unit = "tokens" if self._expected else "requests"
        share = f"{100 * self._requests / self._total:.0f} %" if self._total else "100 %"
        done_so_far = f"{self._requests:,}/{self._total:,} requests ({share})"
        paid = f", {_dollars(self._usd)}" if self._usd is not None else ""
        return f"{done_so_far}, {rate:,.1f} {unit}/s, {_clock(seconds)} elapsed{left}{paid}"

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)


def for_console(console: Console, quiet: bool = False) -> Progress:
    """Bars on a terminal, lines elsewhere, nothing when ``quiet``."""
    if quiet:
        return Silent()
    return Bars(console) if console.is_terminal else Lines(console)


def _dollars(usd: float) -> str:
    return f"${usd:,.2f}" if usd >= 10 else f"${usd:.4f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
