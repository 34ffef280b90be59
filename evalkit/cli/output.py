"""Where the command line prints: as wide as the terminal, or as COLUMNS says; wide in pipes and files without it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDTH_OF_PIPES = 160


def console(stderr: bool = False) -> Console:
    """A console on stdout or stderr."""
    from rich.console import Console

    own = Console(stderr=stderr)
    return (
        own
        if own.is_terminal or os.environ.get("COLUMNS", "").isdecimal()
        else Console(stderr=stderr, width=WIDTH_OF_PIPES)
    )
