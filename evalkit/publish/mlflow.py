"""`--log-to mlflow[:URI]`: MLflow's tracking server, a database file (sqlite:///mlflow.db), or a folder (mlruns)."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evalkit.publish.figures import configuration, flat, metrics, name_of, plain_name, run_id, samples_table
from evalkit.publish.sinks import Published, Sink
from evalkit.store.files import write_json

SETTINGS = frozenset({"uri", "experiment", "name"})
DEFAULT_EXPERIMENT = "evalkit"
TAG = "evalkit.run_id"
LONGEST = 6_000
"""Characters of a parameter's value (MLflow takes 6,000)."""
FOLDER = "MLFLOW_ALLOW_FILE_STORE"
METRICS_AT_ONCE, PARAMETERS_AT_ONCE = 1_000, 100


def log(run: Published, settings: Mapping[str, str], samples: bool) -> str:
    """One MLflow run with metrics, parameters and tags, results.json, and with ``samples`` a table of each task. Sent
    again, the same run is updated.
    """
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    uri = settings.get("uri")
    with _folders_allowed(uri), _tracked(client := MlflowClient(uri), run, settings) as (tracked, new):
        now = int(time.time() * 1000)
        values = [Metric(plain_name(key), value, now, 0) for key, value in metrics(run).items()]
        for some in _batches(values, METRICS_AT_ONCE):
            client.log_batch(tracked, metrics=some)
        whole = configuration(run.result)
        parameters = [
            Param(plain_name(key)[:250], str(value)[:LONGEST])
            for part in ("spec", "model", "tasks")
            for key, value in flat({part: whole[part]}).items()
        ]
        if new:  # of a run that is there already they cannot be changed, and have not
            for some in _batches(parameters, PARAMETERS_AT_ONCE):
                client.log_batch(tracked, params=some)
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "evalkit.json"
            write_json(record, {"configuration": whole, "results": run.rows()})
            client.log_artifact(tracked, str(record))
        told = ""
        for task in run.tasks if samples else ():
            frame, cut = samples_table(run, task)
            told += cut
            name = f"{plain_name(task).replace('/', '_')}.json"
            if new:
                client.log_table(tracked, frame, f"samples/{name}")
            else:  # log_table would add the rows to those that are there
                with tempfile.TemporaryDirectory() as folder:
                    frame.to_json(table := str(Path(folder) / name), orient="split", index=False)
                    client.log_artifact(tracked, table, "samples")
    return f"mlflow: run {tracked} at {client.tracking_uri}{told}"


@contextmanager
def _folders_allowed(uri: str | None) -> Iterator[None]:
    """MLflow refuses folders unless it is told that they are meant; a folder that was named is meant."""
    if uri is None or FOLDER in os.environ or not (uri.startswith("file:") or "://" not in uri):
        yield
        return
    os.environ[FOLDER] = "true"
    try:
        yield
    finally:
        del os.environ[FOLDER]


@contextmanager
def _tracked(client: Any, run: Published, settings: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """The id of this run's MLflow run, and whether it is new; it ends with the block."""
    name = settings.get("experiment", DEFAULT_EXPERIMENT)
    experiment = client.get_experiment_by_name(name)
    number = client.create_experiment(name) if experiment is None else experiment.experiment_id
    known = client.search_runs([number], f"tags.`{TAG}` = '{run_id(run.result)}'", max_results=1)
    environment = run.result.environment
    tags = {
        TAG: run_id(run.result),
        "evalkit.path": str(run.path.resolve()),
        "evalkit.command": str(environment.get("command", ""))[:5_000],
        "evalkit.partial": str(run.result.partial).lower(),
        "mlflow.source.git.commit": str((environment.get("git") or {}).get("commit") or ""),
    }
    label = settings.get("name") or name_of(run.result)
    tracked = known[0].info.run_id if known else client.create_run(number, tags=tags, run_name=label).info.run_id
    try:
        yield tracked, not known
    except BaseException:
        client.set_terminated(tracked, "FAILED")
        raise
    client.set_terminated(tracked)


def _batches(values: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]


SINK = Sink(log, "uri", SETTINGS, "mlflow", "mlflow-skinny", "mlflow")
