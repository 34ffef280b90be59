"""lm-evaluation-harness on the mirror, and what both programs answered in one shape that can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from evalkit.task.lm_eval.index import manager
from evalkit.task.lm_eval.mirror import served

BATCH_SIZE = 8


@dataclass(frozen=True)
class Answered:
    """What one program says of one task: per document the log-likelihoods with is_greedy, or the texts; and metrics.

    ``metrics`` maps "acc,none" to (value, standard error); the error is None where a program gives none.
    """

    documents: tuple[tuple[Any, ...], ...]
    metrics: dict[str, tuple[float, float | None]]
    by_mean: frozenset[str] = frozenset()
    """Metrics that are plain means, whose standard error has one formula."""


def load(model: Any, tokenizer: Any, **options: Any) -> Any:
    """lm-eval's transformers model around a model that is already loaded."""
    from lm_eval.models.huggingface import HFLM

    settings = {"batch_size": BATCH_SIZE, "device": "cpu", "dtype": "float32", **options}
    return HFLM(pretrained=model, tokenizer=tokenizer, **settings)


def evaluate(lm: Any, mirror: Path, samples: dict[str, int], **options: Any) -> dict[str, Answered]:
    """lm-eval's answers and results on the first ``samples[task]`` documents of each task."""
    import lm_eval

    with served(mirror):
        results = lm_eval.simple_evaluate(
            model=lm,
            tasks=list(samples),
            samples={name: list(range(count)) for name, count in samples.items()},
            bootstrap_iters=2,
            task_manager=manager(),
            **options,
        )
    assert results is not None
    return {name: _answered(results["samples"][name], results["results"][name]) for name in samples}


def _answered(samples: Sequence[dict[str, Any]], results: dict[str, Any]) -> Answered:
    first = samples[0]["filter"]
    mine = sorted((one for one in samples if one["filter"] == first), key=lambda one: one["doc_id"])
    metrics = {}
    for key, value in results.items():
        name, comma, filter_name = key.partition(",")
        if comma and not name.endswith("_stderr"):
            stderr = results.get(f"{name}_stderr,{filter_name}")
            metrics[key] = (float(value), stderr if isinstance(stderr, float) else None)
    return Answered(tuple(_flat(one["resps"]) for one in mine), metrics)


def _flat(responses: Iterable[Sequence[Any]]) -> tuple[Any, ...]:
    """One answer a request: (log-likelihood, is_greedy), a text, or a log-likelihood."""
    flat = []
    for repeats in responses:
        for one in repeats:
            flat.append((float(one[0]), bool(one[1])) if isinstance(one, tuple | list) else one)
    return tuple(flat)


def requests(*arguments: tuple[Any, ...]) -> list[Any]:
    """Requests as lm-eval's models take them."""
    return [SimpleNamespace(args=one) for one in arguments]


def assert_same_answers(ours: Answered, theirs: Answered, note: Callable[[float], None]) -> None:
    """Log-likelihoods within 1e-3 nats, is_greedy and texts equal; each difference is told to ``note``."""
    assert len(ours.documents) == len(theirs.documents)
    for answers, expected in zip(ours.documents, theirs.documents, strict=True):
        assert len(answers) == len(expected)
        for mine, other in zip(answers, expected, strict=True):
            if isinstance(other, str):
                assert mine == other
                continue
            note(abs(mine[0] - other[0]))
            assert mine[0] == pytest.approx(other[0], abs=1e-3)
            assert mine[1] == other[1]


def assert_same_metrics(ours: Answered, theirs: Answered) -> None:
    """Every metric of lm-eval's is there and the same, and so are the standard errors of means."""
    assert theirs.metrics
    for key, (value, stderr) in theirs.metrics.items():
        # A perplexity carries the rounding of its mean log-likelihood, times itself.
        assert ours.metrics[key][0] == pytest.approx(value, abs=1e-6, rel=1e-4 if "perplexity" in key else 1e-9), key
        if key in ours.by_mean and stderr is not None:
            assert ours.metrics[key][1] == pytest.approx(stderr, abs=1e-6), key
