"""A run as the names and values that trackers know: metrics, configuration, provenance, tables."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from evalkit.publish.sinks import MOST_ROWS, Published
from evalkit.store.files import plain
from evalkit.text.secrets import mask

if TYPE_CHECKING:
    import pandas as pd

    from evalkit.contract.types import RunResult


def run_id(result: RunResult) -> str:
    """Sixteen hexadecimal digits that stay the same when a run is sent again."""
    began = result.environment.get("start_time")
    text = json.dumps([plain(result.spec), began], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def name_of(result: RunResult) -> str:
    """What the run is called where no name was given: its model and its id."""
    return f"{result.label or 'run'}-{run_id(result)[:6]}"


def metrics(run: Published) -> dict[str, float]:
    """ "boolq/acc", "boolq/acc_stderr", "boolq/acc_ci_low", "boolq/acc_ci_high", "boolq/n", each of those that are
    there. A filter stands behind the metric ("gsm8k/exact_match.strict-match"), and of a group with two averages that
    over its tasks is "mmlu/acc.macro".
    """
    found: dict[str, float] = {}
    rows = run.rows()
    double = {(row["task"], row["metric"]) for row in rows if row["level"] == "micro"}
    for row in rows:
        filtered = "" if row["filter"] == "none" else f".{row['filter']}"
        level = ".macro" if row["level"] == "macro" and (row["task"], row["metric"]) in double else ""
        name = f"{row['task']}/{row['metric']}{filtered}{level}"
        for suffix, key in (("", "value"), ("_stderr", "stderr"), ("_ci_low", "ci_low"), ("_ci_high", "ci_high")):
            if row[key] is not None:
                found[name + suffix] = float(row[key])
        if not level:
            found.setdefault(f"{row['task']}/n", float(row["n"]))
    for task in run.result.tasks:
        found[f"{task.info.name}/n"] = float(task.n)
        found |= {f"{task.info.name}/n_{what}": float(n) for what, n in _not_scored(task).items() if n}
    return found


def _not_scored(task: Any) -> dict[str, int]:
    return {"error": task.n_error, "unscored": task.n_unscored}


def configuration(result: RunResult) -> dict[str, Any]:
    """What was asked, of which model, and where it ran, as one nested mapping without secrets."""
    surroundings = {key: value for key, value in result.environment.items() if key != "resumes"}
    tasks = {
        task.info.name: {
            "version": task.info.version,
            "num_fewshot": task.info.num_fewshot,
            "n": task.n,
            "n_total": task.n_total,
            "data": task.data_source,
            "bundled_items": task.info.sample,
        }
        for task in result.tasks
    }
    whole: dict[str, Any] = mask(
        plain(
            {
                "evalkit": {"run_id": run_id(result), "partial": result.partial},
                "spec": {key: value for key, value in result.spec.items() if key != "log_to"},
                "model": result.model,
                "tasks": tasks,
                "environment": surroundings,
            }
        )
    )
    return whole


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"spec.model.name": "gpt2", ...}; lists as JSON, without what is None or empty."""
    found: dict[str, Any] = {}
    for key, one in value.items():
        name = f"{prefix}{key}"
        if isinstance(one, Mapping):
            found |= flat(one, f"{name}.")
        elif one not in (None, [], ()):
            found[name] = json.dumps(one, ensure_ascii=False) if isinstance(one, list | tuple) else one
    return found


def results_table(run: Published) -> pd.DataFrame:
    """One row a metric."""
    import pandas as pd

    return pd.DataFrame(run.rows())


def samples_table(run: Published, task: str) -> tuple[pd.DataFrame, str]:
    """The samples of a task with one plain value a cell, and a word where they are not all there."""
    frame = run.samples(task)
    left = len(frame) - MOST_ROWS
    frame = frame.head(MOST_ROWS)
    told = f"; of {task} {MOST_ROWS:,} of {len(frame) + left:,} samples" if left > 0 else ""
    return frame.map(_cell), told


def _cell(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict | list | tuple):
        return json.dumps(plain(value), ensure_ascii=False, default=str)
    return value


def plain_name(name: str) -> str:
    """A name of letters, digits and ``_-./ `` alone, which every tracker takes."""
    return re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)
