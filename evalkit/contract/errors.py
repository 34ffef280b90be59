"""Errors a user can mend: one clear line (what, where, what to do) and exit code 2."""

from __future__ import annotations

from typing import Any


class UserError(Exception):
    """Bad input. The command line prints the message without a traceback and exits with code 2."""

    exit_code = 2


class LimitReached(UserError):
    """The model answers no more, by a limit that the user set; what came before stands. The message says why, and how
    to go on. The exit code is that of an interrupted run.
    """

    exit_code = 130


class MetricsFailed(UserError):
    """Some metrics of a task fail over its items; ``found`` are the others (`MetricResult`)."""

    def __init__(self, message: str, found: tuple[Any, ...]) -> None:
        super().__init__(message)
        self.found = found


class MissingExtra(UserError):
    """An optional package is needed; the message names the extra that brings it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}: install it with: pip install 'evalkit-harness[{extra}]'")
