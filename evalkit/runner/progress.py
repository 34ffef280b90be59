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
LATE_SECONDS, LATE_SHARE = 60.0, 0.25
"""The time left is judged by the pace of the last minute, or of the last quarter of the time where that is longer."""


class Silent:
    """Says nothing (--quiet)."""

    def begin(self, total: int, reused: int, tokens: int | None) -> None: ...

    def advance(self, requests: int, tokens: int = 0) -> None: ...

    def end(self) -> None: ...


class Bars:
    """A bar with rate and time left. Where the tokens to compute are known they are what is measured."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars: RichBars | None = None
        self._bar: TaskID | None = None
        self._by_tokens = False
        self._requests = 0
        self._total = 0
        self._usd: float | None = None

    def begin(self, total: int, reused: int, tokens: int | None) -> None:
        """Show the bar; what was reused counts as done from the start."""
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._by_tokens = bool(tokens)
        self._requests, self._total = reused, total
        self._bars = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            # Without the bar the numbers stay whole on a terminal of 80 columns.
            *([BarColumn()] if self._console.width >= WIDE else []),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("elapsed"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
        )
        units, done = (tokens, 0) if tokens else (total, reused)
        self._bar = self._bars.add_task(self._label(), total=units, completed=done, rate="")
        self._bars.start()

    def advance(self, requests: int, tokens: int = 0) -> None:
        """``requests`` more are answered; ``tokens`` more were computed for them."""
        if self._bars is None or self._bar is None:
            return
        self._requests += requests
        speed = self._bars.tasks[0].speed
        unit = " tokens" if self._by_tokens else ""  # requests stand before the bar
        rate = f"{speed:,.0f}{unit}/s" if speed else ""
        rate += f" {_dollars(self._usd)}" if self._usd is not None else ""
        self._bars.update(
            self._bar, advance=tokens if self._by_tokens else requests, description=self._label(), rate=rate
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
        self._past: deque[tuple[float, int]] = deque()
        """Seconds since the start, and what was done by then."""

    def begin(self, total: int, reused: int, tokens: int | None) -> None:
        """Say what is ahead."""
        self._requests, self._reused, self._total, self._tokens, self._expected = reused, reused, total, 0, tokens
        self._start = self._last = time.monotonic()
        self._past = deque([(0.0, 0)])
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
        done, ahead = (
            (self._tokens, self._expected)
            if self._expected
            else (self._requests - self._reused, self._total - self._reused)
        )
        rate = done / seconds if seconds > 0 else 0.0
        # Prompts all read, answers still being written: how long they will be is not known.
        known = ahead > done and seconds >= KNOWN_SECONDS and done >= KNOWN_SHARE * ahead
        pace = self._pace(seconds, done)
        left = f", {_clock((ahead - done) / pace)} left" if known and pace > 0 else ""
        unit = "tokens" if self._expected else "requests"
        share = f"{100 * self._requests / self._total:.0f} %" if self._total else "100 %"
        done_so_far = f"{self._requests:,}/{self._total:,} requests ({share})"
        paid = f", {_dollars(self._usd)}" if self._usd is not None else ""
        return f"{done_so_far}, {rate:,.1f} {unit}/s, {_clock(seconds)} elapsed{left}{paid}"

    def _pace(self, seconds: float, done: int) -> float:
        """What is done a second of late: texts are written behind the scores, and far slower than those were read."""
        self._past.append((seconds, done))
        while len(self._past) > 2 and self._past[1][0] <= seconds - max(LATE_SECONDS, LATE_SHARE * seconds):
            self._past.popleft()
        since, then = self._past[0]
        return (done - then) / (seconds - since) if seconds > since else 0.0

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
