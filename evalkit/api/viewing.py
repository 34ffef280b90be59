"""`evalkit.view`: a local page over a folder of runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from evalkit.contract.errors import MissingExtra

PORT = 7575


def view(
    folder: str | os.PathLike[str] = "runs",
    *,
    port: int = PORT,
    open_browser: bool | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Show the runs in a folder in a browser, those at work too, until Ctrl-C. Nothing is written into the folder.

    ``port`` 0 takes a free one; ``open_browser`` None opens a browser where there is a display; ``tell`` is given the
    address. Only this machine, and a browser that was given the address, can read the pages.
    Raises UserError for a folder that is none, a port that is taken, and without the extra ``view``.
    """
    try:
        from evalkit.viewer.server import serve
    except ModuleNotFoundError as error:
        if error.name not in ("starlette", "uvicorn"):
            raise
        raise MissingExtra("evalkit view", error.name, "view") from None
    serve(Path(folder), port, open_browser, tell)
