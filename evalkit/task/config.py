"""A task's resolved definition as plain JSON values, under the names that readers of lm-eval's results expect."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.contract.types import Kind
from evalkit.metrics.base import Metric
from evalkit.task.definition import Definition
from evalkit.task.generation import Settings

_OUTPUT_TYPE: Mapping[Kind, str] = {
    "multiple_choice": "multiple_choice",
    "score": "loglikelihood",
    "generate": "generate_until",
    "rolling": "loglikelihood_rolling",
    "embed": "embed",
}


def resolved(one: Definition, num_fewshot: int, chosen: Settings, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """results.json's "configs" entry of a task; the definition as it was written stands under "evalkit"."""
    config: dict[str, Any] = {
        "task": one.name,
        "task_alias": one.alias,
        "tag": list(one.tags) or None,
        "dataset_path": one.dataset.id,
        "dataset_name": one.dataset.config,
        "dataset_kwargs": {"revision": one.dataset.revision} if one.dataset.revision else None,
        "test_split": one.dataset.splits.eval,
        "fewshot_split": one.dataset.splits.fewshot,
        "fewshot_config": {"sampler": "default" if one.fewshot.sampler == "random" else one.fewshot.sampler},
        "doc_to_text": one.prompt,
        "doc_to_target": list(one.target) if isinstance(one.target, tuple) else one.target,
        "doc_to_choice": list(one.choices) if isinstance(one.choices, tuple) else one.choices,
        "description": one.instruction,
        "target_delimiter": one.target_delimiter,
        "fewshot_delimiter": one.fewshot_delimiter,
        "num_fewshot": num_fewshot,
        "output_type": _OUTPUT_TYPE[one.kind],
        "repeats": chosen.repeats if one.kind == "generate" else None,
        "generation_kwargs": chosen.as_lm_eval() if one.kind == "generate" else None,
        "filter_list": [{"name": name, "filter": steps} for name, steps in one.filters.items()] or None,
        "metric_list": [
            {
                "metric": entry.key.rpartition(",")[0],
                "aggregation": metrics[entry.key].aggregator,
                "higher_is_better": metrics[entry.key].higher_is_better,
                **entry.args,
            }
            for entry in one.metrics
        ],
        "metadata": {"version": one.version},
    }
    config = {key: value for key, value in config.items() if value is not None}
    config["evalkit"] = _without_folders(one.model_dump(mode="json", exclude_defaults=True))
    return config


def _without_folders(definition: dict[str, Any]) -> dict[str, Any]:
    """Files by name alone: where a machine keeps them is nobody's business, and changes from one to the next."""
    for entry in definition.get("metrics", ()):
        if ".py:" in entry["metric"] or entry["metric"].endswith(".py"):
            entry["metric"] = Path(entry["metric"]).name
    if "process" in definition:
        definition["process"] = Path(definition["process"]).name
    if "file" in definition.get("fewshot", {}):
        definition["fewshot"]["file"] = Path(definition["fewshot"]["file"]).name
    if "sample" in definition:
        definition["sample"]["file"] = Path(definition["sample"]["file"]).name
    return definition
