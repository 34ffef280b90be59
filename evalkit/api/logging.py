"""A run's numbers to other places: `--log-to` while running, `evalkit log` and `evalkit push` afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from evalkit.api.run import Run
from evalkit.publish import sinks


def targets(places: Sequence[str]) -> list[sinks.Target]:
    """What the texts of --log-to name. UserError as `evalkit.publish.sinks.target`."""
    return [sinks.target(one) for one in places]


def log_run(run: Run | Path, places: Sequence[str], samples: bool, note: Callable[[str], None]) -> int:
    """Hand a finished run to every place; how many failed, each said by ``note``. UserError for what is no run and for
    places that cannot be.
    """
    found = targets(places)
    return sinks.send(run if isinstance(run, Run) else Run(run), found, samples, note)
