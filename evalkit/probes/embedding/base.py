"""What every task of an embedder has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalkit.contract.types import DatasetRef, Document, Documents, Response, SampleResult, Shots, TaskInfo
from evalkit.store.identity import digest

Row = Mapping[str, Any]


MTEB = (
    "@inproceedings{muennighoff2023mteb, title={MTEB: Massive Text Embedding Benchmark}, year={2023}, "
    'booktitle={EACL}, author={Muennighoff, Niklas and Tazi, Nouamane and Magne, Lo{\\"i}c and Reimers, Nils}}'
)
"""Where the tasks' rules are from."""


def info(
    name: str, dataset: DatasetRef, split: str, metrics: Mapping[str, bool], description: str, **more: Any
) -> TaskInfo:
    """A task's description; ``metrics`` are its metrics' names, the primary one first, and whether higher is better."""
    primary = next(iter(metrics))
    return TaskInfo(
        name=name,
        version="1.0",
        kind="embed",
        dataset=dataset,
        split=split,
        num_fewshot=0,
        primary=f"{primary},none",
        higher_is_better={f"{key},none": good for key, good in metrics.items()},
        description=description,
        tags=("embedding",),
        citation=more.pop("citation", MTEB),
        config={
            "task": name,
            "output_type": "embed",
            "dataset_path": dataset.id,
            "dataset_name": dataset.config,
            "test_split": split,
            "num_fewshot": 0,
            "metric_list": [{"metric": key, "higher_is_better": good} for key, good in metrics.items()],
            "metadata": {"version": "1.0"},
        },
        shots=Shots(0, "locked", "an embedder is shown no examples"),
        **more,
    )


def documents(rows: Sequence[Row], pool: Sequence[Any] = ()) -> Documents:
    """Rows as documents, with what they share."""
    return Documents(tuple(Document(index, row, digest(row)) for index, row in enumerate(rows)), pool)


def unit(vectors: Any) -> Any:
    """Vectors of length one; a vector of zeros stays one."""
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths == 0, np.ones_like(lengths), lengths)


def scored(result: SampleResult, score: Callable[[Response], SampleResult]) -> SampleResult:
    """The sample by ``score`` of its one response; a failure stays one."""
    (response,) = result.responses
    if response.status != "ok":
        return replace(result, status=response.status, error=response.error)
    return score(response)
