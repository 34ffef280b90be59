"""Who looks on while a program evaluates: a bar in a notebook, bars on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any

from evalkit.contract.store import Progress
from evalkit.runner.interruption import Stop, Stoppable, two_step
from evalkit.runner.progress import Silent, for_console

if TYPE_CHECKING:
    from evalkit.runner.evaluate import Plan

SECONDS_BETWEEN_UPDATES = 0.2
ANNOUNCEMENT = "stopping after the batch at work and returning partial results; interrupt again to stop at once"


class NotebookBar:
    """One line that is written anew in place, in a notebook's output."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._shown: Any = display(HTML(""), display_id=True)
        self._done = self._total = self._tokens = 0
        self._start = self._last = 0.0

    def begin(self, total: int, reused: int, tokens: int | None) -> None:
        """Show an empty bar; what was reused counts as done."""
        self._done, self._total, self._tokens = reused, total, 0
        self._start = time.monotonic()
        self._write()

    def advance(self, requests: int, tokens: int = 0) -> None:
        """Count, and show it a few times a second."""
        self._done += requests
        self._tokens += tokens
        if time.monotonic() - self._last >= SECONDS_BETWEEN_UPDATES:
            self._write()

    def end(self) -> None:
        """Leave the last state there."""
        self._write()

    def _write(self) -> None:
        self._last = time.monotonic()
        seconds = self._last - self._start
        rate = f", {self._tokens / seconds:,.0f} tokens/s" if self._tokens and seconds > 0 else ""
        text = f"{self._done:,}/{self._total:,} requests, {seconds:,.0f} s{rate}"
        bar = f'<progress value="{self._done}" max="{max(self._total, 1)}"></progress>'
        self._shown.update(self._html(f"{bar} {escape(text)}"))


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


class Onlooker:
    """A `evalkit.runner.evaluate.Observer` of a program: progress and notes on stderr, or in the notebook."""

    def __init__(self, progress: bool | Progress) -> None:
        self._progress = progress

    def plan(self, plan: Plan) -> None:
        """Nothing: the caller knows what it asked for."""

    def note(self, text: str) -> None:
        """One line on stderr."""
        print(f"evalkit: {text}", file=sys.stderr)

    @contextmanager
    def answering(self) -> Iterator[Progress]:
        """The progress display; within it an interrupt works in two steps."""
        stop = Stop()
        progress = self._display()
        try:
            with two_step(stop, ANNOUNCEMENT):
                yield Stoppable(progress, stop)
        finally:
            progress.end()

    def _display(self) -> Progress:
        if not isinstance(self._progress, bool):
            return self._progress
        if not self._progress:
            return Silent()
        if in_notebook():
            return NotebookBar()
        from rich.console import Console

        return for_console(Console(stderr=True))
