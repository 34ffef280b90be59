"""lm-evaluation-harness's own tasks on the mirror of data sets: what evalkit's prompts are held against.

``patched()`` puts the mirror behind ``datasets.load_dataset``; ``build()`` makes one of lm-eval's tasks from its YAML.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from evalkit.contract.types import DatasetRef

MOVED = {"baber/piqa": "ybisk/piqa"}
"""Where the mirror keeps a data set that lm-eval loads from a copy."""
CONFIGS = {
    "Rowan/hellaswag": "default",
    "ybisk/piqa": "plain_text",
    "google-research-datasets/nq_open": "nq_open",
}
"""The config that stands for lm-eval's ``dataset_name: null``."""
FILES = {
    "hellaswag": "hellaswag/hellaswag.yaml",
    "boolq": "super_glue/boolq/default.yaml",
    "triviaqa": "triviaqa/default.yaml",
    "arc_easy": "arc/arc_easy.yaml",
    "arc_challenge": "arc/arc_challenge.yaml",
    "piqa": "piqa/piqa.yaml",
    "openbookqa": "openbookqa/openbookqa.yaml",
    "truthfulqa_mc1": "truthfulqa/truthfulqa_mc1.yaml",
    "truthfulqa_mc2": "truthfulqa/truthfulqa_mc2.yaml",
    "lambada_openai": "lambada/lambada_openai.yaml",
    "nq_open": "nq_open/nq_open.yaml",
}

Extra = Mapping[tuple[str, str], Sequence[Mapping[str, Any]]]
"""Rows of splits that the mirror lacks, by (data set id, split)."""


def mirror() -> Path:
    """The mirror's folder; skips the test where EVALKIT_DATA_DIR does not name it."""
    folder = os.environ.get("EVALKIT_DATA_DIR")
    if not folder:
        pytest.skip("EVALKIT_DATA_DIR is not set: it names the folder with the mirror of data sets")
    return Path(folder)


def folder_of(path: str, name: str | None) -> Path:
    """The mirror's folder of a data set as lm-eval names it."""
    path = MOVED.get(path, path)
    return mirror() / path / (name or CONFIGS.get(path, "default"))


def rows(path: str, name: str | None, split: str) -> list[dict[str, Any]]:
    """The rows of one split."""
    with (folder_of(path, name) / f"{split}.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


class Mirror:
    """The mirror as evalkit's data source."""

    name = "mirror"

    def __init__(self, extra: Extra | None = None) -> None:
        self.extra = extra or {}

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Mapping[str, Any]]:
        if (dataset.id, split) in self.extra:
            return self.extra[dataset.id, split]
        return rows(dataset.id, dataset.config, split)


@contextmanager
def patched(extra: Extra | None = None) -> Iterator[None]:
    """While it lasts, ``datasets.load_dataset`` reads the mirror; splits that it lacks are absent."""
    import datasets

    def load(path: str, name: str | None = None, **_: Any) -> Any:
        folder = folder_of(path, name)
        splits = {file.stem: rows(path, name, file.stem) for file in sorted(folder.glob("*.jsonl"))}
        splits |= {split: list(more) for (one, split), more in (extra or {}).items() if one == MOVED.get(path, path)}
        return datasets.DatasetDict({split: datasets.Dataset.from_list(found) for split, found in splits.items()})

    with mock.patch("datasets.load_dataset", load):
        yield


def build(name: str, **changes: Any) -> Any:
    """One of lm-eval's tasks (inside ``patched()``), its configuration changed as asked."""
    import lm_eval.tasks
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    file = FILES.get(name) or f"mmlu/default/{name}.yaml"
    config = load_yaml(Path(lm_eval.tasks.__file__).parent / file) | changes
    config.pop("tag", None)
    return ConfigurableTask(config=config)
