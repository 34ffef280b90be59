"""A task on a scripted mock model, without run directories: its metrics by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evalkit.backends import mock
from evalkit.data import open_source
from evalkit.engine import answer
from evalkit.runner.styling import style_of
from evalkit.runner.workload import build_requests, load_documents
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.task.catalog import resolve


def metrics_of(
    name: str,
    *script: dict[str, Any],
    sample: bool = True,
    limit: float | None = None,
    data_dir: Path | None = None,
    **args: Any,
) -> dict[str, float | None]:
    """Every document must be scored; metric names go without their filter."""
    model = ModelSpec(name="mock", backend="mock", args={"script": list(script), **args})
    spec = RunSpec.model_validate({"model": model, "tasks": [{"name": name}], "sample": sample})
    backend = mock.load(model, EngineSpec())
    (task,) = resolve(spec).tasks
    work = build_requests(load_documents(task, open_source(data_dir), limit, None), style_of(model, backend))
    responses = iter(answer(backend, [request for asked in work.requests for request in asked], None, EngineSpec()))
    samples = [
        task.score(document, asked, [next(responses) for _ in asked])
        for document, asked in zip(work.documents, work.requests, strict=True)
    ]
    assert {one.status for one in samples} == {"ok"}, [one.error for one in samples if one.error]
    return {metric.name: metric.value for metric in task.summarize(samples)}
