"""Ctrl-C, SIGTERM and SIGHUP in two steps: the first stops the run when the batch at work is done, the second at once.

A backend that works in passes says when one is done (`Stoppable.by_passes`). Of the others only the answers are seen:
there a batch counts as done when no answer has come for a moment.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from evalkit.contract.store import Progress, ShowsCost

QUIET_SECONDS = 0.05
"""A batch's answers are reported back to back; that long without one, the next batch has begun."""


PATIENCE_SECONDS = 2.0
"""Where answers come one by one without a pause, so long is waited for one."""


ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, what kill and a job's scheduler send, and what a terminal sends that closes."""


class Interrupted(KeyboardInterrupt):
    """The user asked to stop. Not an Exception, so that nobody takes it for a failed row."""


class Stop:
    """Set by the first Ctrl-C."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        """Ask the run to stop after the batch at work."""
        self._event.set()


@contextmanager
def two_step(stop: Stop, announce: str) -> Iterator[None]:
    """Within the block the first of `ENDING` signals sets ``stop`` (and prints ``announce``); the second interrupts at
    once.

    Outside the main thread, where Python allows no handlers, the block changes nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.default_int_handler)
        stop.set()
        with suppress(OSError):  # a terminal that hung up takes no more text
            os.write(2, f"\n{announce}\n".encode())  # a handler may run in the middle of a print

    before = {number: signal.signal(number, ask) for number in _heard()}
    try:
        yield
    finally:
        _disarm()
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def as_interrupts() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP do what Ctrl-C does: KeyboardInterrupt, so that files are closed and locks
    let go. Those that are ignored (nohup) or handled already stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    mine = [number for number in _heard() if signal.getsignal(number) is signal.SIG_DFL]
    for number in mine:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in mine:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def at_once(announce: Callable[[], str], code: int) -> Iterator[None]:
    """Within the block a signal of `ENDING` prints what ``announce`` says and ends the process with ``code``.

    For the time in which a model loads: libraries in C++ import Python modules there, and abort the process where one
    raises KeyboardInterrupt. Nothing has been answered by then, and the system lets go of all locks.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        with suppress(OSError):  # a terminal that hung up takes no more text
            os.write(2, f"\n{announce()}\n".encode())
        os._exit(code)

    before = {number: signal.signal(number, end) for number in _heard()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _heard() -> list[signal.Signals]:
    """The signals of `ENDING` that this system has and that are not ignored."""
    found = [getattr(signal, name) for name in ENDING if hasattr(signal, name)]
    return [one for one in found if one is signal.SIGINT or signal.getsignal(one) is not signal.SIG_IGN]


class Stoppable:
    """A Progress that ends the run once ``stop`` is set: Interrupted is raised in the main thread as soon as all
    answers of the pass or batch at work have been reported, and so are in the journal.
    """

    def __init__(self, inner: Progress, stop: Stop) -> None:
        self._inner = inner
        self._stop = stop
        self._deadline: float | None = None
        self._knows_passes = False

    def begin(self, total: int, reused: int, tokens: int | None) -> None:
        self._inner.begin(total, reused, tokens)
        self._knows_passes = False
        self.end_if_asked()

    def paid(self, usd: float) -> None:
        """See `ShowsCost`."""
        if isinstance(self._inner, ShowsCost):
            self._inner.paid(usd)

    def by_passes(self) -> Callable[[], None]:
        """From now on the run ends nowhere but where the returned function is called."""
        self._knows_passes = True
        return self.end_if_asked

    def end_if_asked(self) -> None:
        """Raise Interrupted if the user asked to stop."""
        if self._stop:
            raise Interrupted

    def advance(self, requests: int, tokens: int = 0) -> None:
        self._inner.advance(requests, tokens)
        if not self._stop or self._knows_passes:
            return
        if self._deadline is None:
            self._deadline = time.monotonic() + PATIENCE_SECONDS
        if time.monotonic() > self._deadline:
            raise Interrupted
        _raise_when_quiet()

    def end(self) -> None:
        _disarm()
        self._inner.end()


def _raise_when_quiet() -> None:
    """Raise Interrupted after QUIET_SECONDS, unless called again before; at once where there are no timers."""
    if not hasattr(signal, "setitimer"):
        raise Interrupted
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, _interrupt)
    # Repeated, because an exception raised inside a destructor is lost.
    signal.setitimer(signal.ITIMER_REAL, QUIET_SECONDS, QUIET_SECONDS)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted


def _disarm() -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
