"""`--log-to trackio[:PROJECT]`: trackio's local store (TRACKIO_DIR), or a Space by its own settings."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

from evalkit.publish.figures import configuration, flat, metrics, name_of, results_table, samples_table
from evalkit.publish.sinks import Published, Sink

SETTINGS = frozenset({"project", "name", "group", "space_id", "dataset_id"})
DEFAULT_PROJECT = "evalkit"


def log(run: Published, settings: Mapping[str, str], samples: bool) -> str:
    """One trackio run with metrics, configuration and tables."""
    import trackio

    given: dict[str, Any] = dict(settings)
    project = given.pop("project", DEFAULT_PROJECT)
    given.setdefault("name", name_of(run.result))
    told = ""
    with contextlib.redirect_stdout(io.StringIO()):  # stdout is for results alone
        trackio.init(
            project, config=flat(configuration(run.result)), resume="allow", embed=False,
            auto_log_gpu=False, auto_log_cpu=False, **given,
        )  # fmt: skip
        try:
            tables = {"results": trackio.Table(dataframe=results_table(run))}
            for task in run.tasks if samples else ():
                frame, cut = samples_table(run, task)
                told += cut
                tables[f"samples/{task}"] = trackio.Table(dataframe=frame)
            trackio.log({**metrics(run), **tables})
        finally:
            trackio.finish()
    return f"trackio: project {project}, run {given['name']}{told}"


SINK = Sink(log, "project", SETTINGS, "trackio", "trackio", "trackio")
