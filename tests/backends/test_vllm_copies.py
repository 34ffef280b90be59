"""vLLM's data parallelism is evalkit's replicas; nothing here needs vLLM."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.backends.opening import open_backend
from evalkit.backends.vllm import arrange
from evalkit.contract.errors import UserError
from evalkit.spec.models import EngineSpec, ModelSpec


def arranged(engine: EngineSpec | None = None, **args: Any) -> tuple[dict[str, Any], int, float]:
    model, made = arrange(ModelSpec(name="org/m", backend="vllm", args=args), engine or EngineSpec())
    return model.args, made.replicas, made.gpus_per_replica


def test_copies_become_replicas_with_the_gpus_of_one_copy() -> None:
    assert arranged(tensor_parallel_size=2) == ({"tensor_parallel_size": 2}, 1, 0)
    assert arranged(data_parallel_size=4) == ({}, 4, 0)
    assert arranged(data_parallel=2, tensor_parallel_size=4, pipeline_parallel_size=2) == (
        {"tensor_parallel_size": 4, "pipeline_parallel_size": 2},
        2,
        8,
    )
    assert arranged(EngineSpec(gpus_per_replica=0.5), data_parallel=2, tensor_parallel_size=2)[2] == 0.5
    assert arranged(EngineSpec(replicas=2), data_parallel=2)[1] == 2


@pytest.mark.parametrize(
    ("args", "replicas", "told"),
    [
        ({"data_parallel_size": 0}, 1, "data_parallel_size=0: must be a number of 1 or more"),
        ({"data_parallel": "two"}, 1, "data_parallel=two: must be a number"),
        ({"data_parallel": 2, "data_parallel_size": 3}, 1, "give one of them"),
        ({"data_parallel": 2}, 3, "give one of them"),
        ({"tensor_parallel_size": True, "data_parallel": 2}, 1, "tensor_parallel_size=True"),
    ],
)
def test_what_is_no_number_of_copies_is_told_before_anything_starts(
    args: dict[str, Any], replicas: int, told: str
) -> None:
    with pytest.raises(UserError, match=told) as caught:
        open_backend(ModelSpec(name="org/m", backend="vllm", args=args), EngineSpec(replicas=replicas))
    assert "\n" not in str(caught.value)
