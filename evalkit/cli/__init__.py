"""The command line: one small file a command; each builds a value and calls one function.

Nothing heavy is imported here: `evalkit --help` answers in a fraction of a second.
"""

from __future__ import annotations


def main() -> None:
    """Entry point of the console script."""
    from evalkit.cli.app import app

    app(prog_name="evalkit")
