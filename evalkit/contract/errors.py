"""Errors a user can mend: one clear line (what, where, what to do) and exit code 2."""

from __future__ import annotations


class UserError(Exception):
    """Bad input. The command line prints the message without a traceback and exits with code 2."""

    exit_code = 2


class MissingExtra(UserError):
    """An optional package is needed; the message names the extra that brings it."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(f"{what} needs the package {package}: install it with: pip install 'evalkit[{extra}]'")
