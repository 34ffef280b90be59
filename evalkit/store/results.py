"""results.json: lm-evaluation-harness's keys, so that tools made for it read our runs, and our full records beside
them under the one key ``evalkit``, from which a run is read back.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit import __version__
from evalkit.contract.errors import UserError
from evalkit.contract.types import GroupResult, MetricResult, RunResult, TaskResult
from evalkit.spec.strict import mistake
from evalkit.store import earlier
from evalkit.store.files import plain, read_json
from evalkit.text.secrets import mask

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 1


def document(result: RunResult, task_hashes: Mapping[str, str], end_time: float | None = None) -> dict[str, Any]:
    """The whole results.json as plain JSON values. ``end_time``: seconds since 1970; None: now."""
    spec, environment, model = (mask(plain(part)) for part in (result.spec, result.environment, result.model))
    began = _seconds(environment.get("start_time"))
    ended = time.time() if end_time is None else end_time
    tasks, groups = result.tasks, result.groups
    rows = {task.info.name: _task_row(task) for task in tasks}
    group_rows = {g.group.name: _group_row(g, tasks) for g in groups}
    averaged = {name: row for name, row in group_rows.items() if any("," in key for key in row)}
    name = str(model.get("name") or spec.get("model", {}).get("name", ""))
    packages = environment.get("packages") or {}
    return {
        "results": rows | group_rows,
        **({"groups": averaged} if averaged else {}),
        "group_subtasks": {g.group.name: list(g.group.children) for g in groups},
        "configs": {task.info.name: plain(task.info.config) for task in _sorted(tasks)},
        "versions": _versions(tasks, groups),
        "n-shot": {task.info.name: task.info.num_fewshot for task in _sorted(tasks)},
        "higher_is_better": {task.info.name: _directions(task) for task in _sorted(tasks)},
        "n-samples": {task.info.name: {"original": task.n_total, "effective": task.n} for task in tasks},
        "config": _config(spec, model),
        "git_hash": (environment.get("git") or {}).get("commit"),
        "date": began,
        "pretty_env_info": _pretty(environment),
        "transformers_version": packages.get("transformers"),
        "lm_eval_version": None,
        "upper_git_hash": None,
        "max_length": model.get("max_length"),
        "task_hashes": dict(task_hashes),
        "model_source": model.get("backend"),
        "model_name": name,
        "model_name_sanitized": _sanitized(name),
        **_prompting(spec, model),
        "start_time": began,
        "end_time": ended,
        "total_evaluation_time_seconds": None if began is None else str(max(0.0, ended - began)),
        "evalkit": _records(result, spec, environment, model),
    }


def _records(result: RunResult, spec: Any, environment: Any, model: Any) -> dict[str, Any]:
    sample = any(task.info.sample for task in result.tasks)
    whole = all(task.n == task.n_total and not (task.n_error or task.problem) for task in result.tasks)
    return {
        "schema": SCHEMA,
        "version": __version__,
        "spec": spec,
        "environment": environment,
        "model": model,
        "tasks": [plain(task) for task in result.tasks],
        "groups": [plain(group) for group in result.groups],
        "counters": plain(result.counters),
        "partial": result.partial,
        "sample": sample,
        # Numbers of a full, finished, error-free run on real splits, and of nothing else.
        "comparable": whole and not sample and not result.partial,
    }


def read(path: Path) -> RunResult:
    """The run that `document` described. Raises UserError if the file is missing, broken or of another kind."""
    from pydantic import ValidationError

    content = read_json(path, "results")
    records = content.get("evalkit") if isinstance(content, dict) else None
    if not isinstance(records, dict):
        raise UserError(f"{path}: not written by evalkit (no key 'evalkit'): give the folder of an evalkit run")
    if records.get("schema") != SCHEMA:
        raise UserError(
            f"{path}: results of schema {records.get('schema')!r}, this evalkit reads {SCHEMA}: "
            "read it with the version of evalkit that wrote it, or run again"
        )
    earlier.complete(records)
    try:
        return _adapter().validate_python(records)
    except ValidationError as error:
        wrong = mistake(error)
        raise UserError(f"{path}: evalkit.{wrong.where}: {wrong.message}: restore the file or run again") from None


@cache
def _adapter() -> TypeAdapter[RunResult]:
    from pydantic import TypeAdapter

    return TypeAdapter(RunResult)


def hash_samples(hashes: Iterable[tuple[str, ...]]) -> str:
    """lm-eval's task hash: SHA-256 over document, prompt and target hashes of all samples in order."""
    whole = hashlib.sha256()
    for row in hashes:
        whole.update("".join(row).encode())
    return whole.hexdigest()


# -- the parts ----------------------------------------


def _metric_keys(metrics: Iterable[MetricResult]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for metric in metrics:
        keys[f"{metric.name},{metric.filter}"] = plain(metric.value)
        stderr = plain(metric.stderr)
        keys[f"{metric.name}_stderr,{metric.filter}"] = "N/A" if stderr is None else stderr
    return keys


def _task_row(task: TaskResult) -> dict[str, Any]:
    info = task.info
    return {"alias": info.alias or info.name, "name": info.name, "sample_len": task.n, **_metric_keys(task.metrics)}


def _group_row(result: GroupResult, tasks: tuple[TaskResult, ...]) -> dict[str, Any]:
    # lm-eval's groups weigh by size unless they say otherwise, as our micro averages do.
    metrics = result.micro or result.macro
    group = result.group
    row = {"alias": group.alias or group.name, "name": group.name, **_metric_keys(metrics)}
    if metrics:
        row["sample_len"] = max(metric.n for metric in metrics) if result.micro else len(group.children)
    return row


def _sorted(tasks: Iterable[TaskResult]) -> list[TaskResult]:
    return sorted(tasks, key=lambda task: task.info.name)


def _versions(tasks: Iterable[TaskResult], groups: Iterable[GroupResult]) -> dict[str, Any]:
    versions = {task.info.name: task.info.version for task in tasks} | {g.group.name: g.group.version for g in groups}
    return dict(sorted(versions.items()))


def _directions(task: TaskResult) -> dict[str, bool]:
    """By metric name, without the filter, as lm-eval has it."""
    return {key.partition(",")[0]: bool(value) for key, value in task.info.higher_is_better.items()}


def _config(spec: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    asked, engine = spec.get("model", {}), spec.get("engine", {})
    details = model.get("details") or {}
    seed = spec.get("seed")
    return {
        "model": model.get("backend") or asked.get("backend"),
        "model_args": {"pretrained": asked.get("name"), **(asked.get("args") or {})},
        "model_num_parameters": model.get("n_parameters"),
        "model_dtype": model.get("dtype"),
        "model_revision": asked.get("revision") or "main",
        "model_sha": details.get("sha") or details.get("commit") or model.get("fingerprint"),
        "batch_size": engine.get("batch_size"),
        "batch_sizes": [],
        "device": model.get("device") or asked.get("device"),
        "use_cache": engine.get("cache"),
        "limit": spec.get("limit"),
        "bootstrap_iters": None,
        "gen_kwargs": spec.get("gen_kwargs") or None,
        "random_seed": seed,
        "numpy_seed": seed,
        "torch_seed": seed,
        "fewshot_seed": seed,
    }


def _prompting(spec: dict[str, Any], model: dict[str, Any]) -> dict[str, Any]:
    asked = spec.get("model", {})
    details = model.get("details") or {}
    system = asked.get("system")
    template = details.get("chat_template") if asked.get("chat_template") else None
    return {
        "system_instruction": system,
        "system_instruction_sha": _sha(system),
        "fewshot_as_multiturn": asked.get("fewshot_as_multiturn"),
        "chat_template": template,
        "chat_template_sha": _sha(template),
    }


def _sha(text: str | None) -> str | None:
    return hashlib.sha256(text.encode()).hexdigest() if isinstance(text, str) and text else None


def _sanitized(name: str) -> str:
    return "".join(char if char.isalnum() or char in "._-" else "__" for char in name)


def _seconds(stamp: Any) -> float | None:
    try:
        return datetime.fromisoformat(stamp).timestamp()
    except (TypeError, ValueError):
        return None


def _pretty(environment: Mapping[str, Any]) -> str:
    """A few lines for people, in place of torch's report."""
    cpu = environment.get("cpu") or {}
    lines = [f"Python: {environment.get('python')}", f"Platform: {environment.get('platform')}"]
    lines += [f"CPU: {cpu.get('model')} ({cpu.get('cores')} cores)"]
    lines += [f"GPU: {gpu.get('name')}" for gpu in environment.get("gpus") or []]
    lines += [f"{name}: {version}" for name, version in (environment.get("packages") or {}).items()]
    return "\n".join(lines)
