"""`--log-to wandb[:PROJECT]`: Weights & Biases, online or (WANDB_MODE=offline) into a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from evalkit.publish.figures import configuration, metrics, name_of, results_table, run_id, samples_table
from evalkit.publish.sinks import Published, Sink

SETTINGS = frozenset({"project", "entity", "name", "group", "job_type", "tags", "notes", "dir", "mode", "id"})
DEFAULT_PROJECT = "evalkit"


def log(run: Published, settings: Mapping[str, str], samples: bool) -> str:
    """One W&B run: summary, a table of results, and of samples if asked. Sent again, the same run is updated."""
    import wandb

    given: dict[str, Any] = dict(settings)
    project = given.pop("project", None) or os.environ.get("WANDB_PROJECT") or DEFAULT_PROJECT
    if "/" in project and "entity" not in given:
        given["entity"], _, project = project.partition("/")
    if "tags" in given:
        given["tags"] = given["tags"].split("+")
    given.setdefault("name", name_of(run.result))
    given.setdefault("id", run_id(run.result))
    # What W&B would collect by itself (git remote, host, source) is left out: our own record has it without secrets.
    quiet = wandb.Settings(
        silent=True, console="off", disable_git=True, disable_code=True, x_disable_meta=True, x_disable_stats=True
    )
    with wandb.init(
        project=project, config=configuration(run.result), resume="allow", settings=quiet, **given
    ) as tracked:
        values = metrics(run)
        tracked.log({**values, "results": wandb.Table(dataframe=results_table(run))})
        tracked.summary.update(values)
        told = ""
        for task in run.tasks if samples else ():
            frame, cut = samples_table(run, task)
            told += cut
            tracked.log({f"samples/{task}": wandb.Table(dataframe=frame)})
        where = tracked.url if not tracked.offline else f"{tracked.settings.sync_dir} (wandb sync sends it)"
    return f"wandb: {where}{told}"


SINK = Sink(log, "project", SETTINGS, "wandb", "wandb", "wandb")
