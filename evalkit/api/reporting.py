"""`evalkit.report`: runs as one page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.api.run import Run
from evalkit.render import interactive
from evalkit.render.report import write

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

RunLike = Run | str | os.PathLike[str]


def report(runs: Sequence[RunLike], path: str | os.PathLike[str]) -> Path:
    """Write one self-contained report of one or several runs side by side; Markdown where the name ends in ".md".

    Returns the path. Raises UserError for what is no run and for a file that cannot be written.
    """
    return write([run_path(run) for run in runs], Path(path))


def figures(runs: Sequence[RunLike]) -> list[Figure]:
    """Plotly figures of one or several runs side by side: scores with intervals, then the report's plots.

    Raises UserError for what is no run.
    """
    return interactive.figures([run_path(run) for run in runs])


def run_path(run: RunLike) -> Path:
    """The folder of a run, given as itself or by its folder."""
    return run.path if isinstance(run, Run) else Path(run)
