"""Prompts of the reasoning, reading and bias tasks are lm-evaluation-harness's own, on the bundled samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from evalkit.contract.types import Generate, PromptStyle, Score
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.store import paths
from evalkit.task.catalog import resolve

pytestmark = pytest.mark.lm_eval

FILES = {
    "gsm8k": "gsm8k/gsm8k.yaml",
    "race": "race/race.yaml",
    "siqa": "siqa/siqa.yaml",
    "winogrande": "winogrande/default.yaml",
    "crows_pairs": "crows_pairs/crows_pairs_english.yaml",
    "cnn_dailymail": "cnn_dailymail/cnn_dailymail.yaml",
}
BBH = sorted(file.parent.name for file in (paths.share("tasks") / "bbh").glob("*/task.yaml"))
FILES |= {f"bbh_{name}": f"bbh/zeroshot/{name}.yaml" for name in BBH}
SHOTS = {"gsm8k": 3, "siqa": 3, "winogrande": 3}


def sample_rows(name: str) -> dict[str, list[dict[str, Any]]]:
    folder = f"bbh/{name.removeprefix('bbh_')}" if name.startswith("bbh_") else name
    found: dict[str, list[dict[str, Any]]] = {}
    for line in (paths.share("tasks") / folder / "sample.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found.setdefault(row.pop("_split"), []).append(row)
    return found


@contextmanager
def sample_behind_load_dataset(name: str) -> Iterator[None]:
    import datasets

    def load(*_: Any, **__: Any) -> Any:
        return datasets.DatasetDict(
            {split: datasets.Dataset.from_list(one) for split, one in sample_rows(name).items()}
        )

    with mock.patch("datasets.load_dataset", load):
        yield


def theirs(name: str, shots: int) -> list[tuple[Any, ...]]:
    import lm_eval.tasks
    from lm_eval.api.task import ConfigurableTask
    from lm_eval.tasks._yaml_loader import load_yaml

    root = Path(lm_eval.tasks.__file__).parent
    config = load_yaml(root / FILES[name])
    config.pop("tag", None)
    if name == "cnn_dailymail":
        config.pop("process_results", None)  # its scorer loads another package
        config["metric_list"] = [{"metric": "exact_match"}]
    with sample_behind_load_dataset(name):
        task = ConfigurableTask(config=config)
    task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(1234)
    task.build_all_requests()
    found = []
    for instance in task.instances:
        context, second = instance.args[:2]
        found.append((context, second["until"] if instance.request_type == "generate_until" else second))
    return found


def ours(name: str, shots: int) -> list[tuple[Any, ...]]:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name=name, num_fewshot=shots, sample=True),))
    task = resolve(spec).tasks[0]
    documents = task.documents(mock.Mock())
    found: list[tuple[Any, ...]] = []
    for requests in task.requests(documents, PromptStyle()):
        for one in requests:
            if isinstance(one, Score):
                found.append((one.context, one.continuation))
            else:
                assert isinstance(one, Generate)
                found.append((one.context, list(one.until)))
    return found


@pytest.mark.parametrize("name", FILES)
def test_requests_equal_lm_evals(name: str) -> None:
    for shots in {0, SHOTS.get(name, 0)}:
        mine, reference = ours(name, shots), theirs(name, shots)
        assert len(mine) >= (3 if name.startswith("bbh_") else 24)
        assert mine == reference, f"{name}, {shots} shots"
