"""Run directories with known contents, written by the store itself, for tests of what reads them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.contract.types import (
    Document,
    Generate,
    Group,
    GroupResult,
    MetricResult,
    Response,
    RunResult,
    SampleResult,
    Score,
    TaskInfo,
    TaskResult,
)
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.statistics import intervals
from evalkit.store import RunDir

COLOURS = ("red", "green", "blue", "white")


def info(name: str, **changes: Any) -> TaskInfo:
    """A small multiple-choice task."""
    plain = TaskInfo(
        name=name,
        version="1",
        kind="multiple_choice",
        dataset=None,
        split="test",
        num_fewshot=2,
        primary="acc,none",
        higher_is_better={"acc,none": True},
        description="Questions about colours, made up for tests.",
        baseline=0.25,
    )
    return replace(plain, **changes)


def choice_sample(
    number: int, right: bool, *, task: str = "t", question: str | None = None, extra: Mapping[str, Any] | None = None
) -> SampleResult:
    """One scored multiple-choice document; its hash depends on task and number alone."""
    question = question if question is not None else f"Which colour has number {number}?"
    gold = number % len(COLOURS)
    picked = gold if right else (gold + 1) % len(COLOURS)
    prompt = "Q: What colour is snow?\nA: white\n\n" * 8 + f"Q: {question}\nA:"
    return SampleResult(
        document=Document(number, {"question": question, "number": number}, digest(f"{task}/{number}")),
        requests=tuple(Score(prompt, f" {colour}") for colour in COLOURS),
        responses=tuple(
            Response(
                loglikelihood=-1.0 - abs(place - picked) - 0.01 * number, is_greedy=place == picked, prompt_tokens=40
            )
            for place in range(len(COLOURS))
        ),
        target=gold,
        metrics={"acc,none": float(right)},
        extra=extra or {},
    )


def text_sample(number: int, value: float, text: str = "an answer", *, task: str = "t") -> SampleResult:
    """One scored generation with a continuous metric."""
    return SampleResult(
        document=Document(number, {"question": f"Say something about {number}."}, digest(f"{task}/{number}")),
        requests=(Generate(f"Say something about {number}."),),
        responses=(Response(text=text, finish="stop", output_tokens=3),),
        target=["an answer", "the answer"],
        filtered={"none": text},
        metrics={"f1,none": value},
    )


def digest(text: str) -> str:
    """A document hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def summarize(task: TaskInfo, samples: Sequence[SampleResult], n_total: int | None = None) -> TaskResult:
    """Mean of the primary metric with Wilson's interval (shares) or Student's t."""
    name = task.primary.partition(",")[0]
    values = [v for s in samples if s.status == "ok" and (v := s.metrics.get(task.primary)) is not None]
    metrics: tuple[MetricResult, ...] = ()
    if values:
        mean = sum(values) / len(values)
        stderr = intervals.mean_stderr(values)
        binary = set(values) <= {0.0, 1.0}
        bounds = (
            intervals.wilson(int(sum(values)), len(values))
            if binary
            else intervals.t_interval(mean, stderr, len(values))
        )
        metrics = (
            MetricResult(
                name,
                "none",
                mean,
                stderr,
                bounds,
                len(values),
                task.higher_is_better[task.primary],
                f"{name}|agg:mean|n:{len(values)}",
                primary=True,
                baseline=task.baseline,
                bounds=(0.0, 1.0),
                unit="share",
                aggregator="mean",
            ),
        )
    count = {status: sum(s.status == status for s in samples) for status in ("ok", "unscored", "error")}
    return TaskResult(
        info=task,
        metrics=metrics,
        n=len(samples),
        n_total=n_total or len(samples),
        n_ok=count["ok"],
        n_unscored=count["unscored"],
        n_error=count["error"],
        n_truncated=sum(any(r.truncated for r in s.responses) for s in samples),
        data_source="generated",
    )


def write_run(
    folder: Path,
    tasks: Sequence[tuple[TaskInfo, Sequence[SampleResult]]],
    *,
    label: str | None = None,
    model: str = "mock",
    groups: Sequence[Group] = (),
    counters: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    partial: bool = False,
    n_total: Mapping[str, int] | None = None,
) -> Path:
    """A finished run directory. ``n_total``: how many documents tasks have of which only some were asked."""
    spec = RunSpec(model=ModelSpec(name=model, label=label), tasks=tuple(TaskSpec(name=t.name) for t, _ in tasks))
    around = {"python": "3.11", "hardware": {"cpu": "test", "gpu": None}, **(environment or {})}
    results = tuple(summarize(task, samples, (n_total or {}).get(task.name)) for task, samples in tasks)
    with RunDir.create(folder, spec, around) as run:
        for task, samples in tasks:
            run.write_samples(task.name, samples, task)
        run.write_results(
            RunResult(
                spec=spec.model_dump(mode="json"),
                environment=around,
                model={
                    "name": model,
                    "backend": "mock",
                    "fingerprint": model,
                    "max_length": 2048,
                    "n_parameters": 134_515_008,
                },
                tasks=results,
                groups=tuple(_group(group, groups, results) for group in groups),
                counters=counters or {},
                partial=partial,
            )
        )
    return folder


def _group(group: Group, groups: Sequence[Group], tasks: Sequence[TaskResult]) -> GroupResult:
    """Micro and macro averages of the acc of a group's leaves."""
    inner = {one.name: one for one in groups}

    def leaves(one: Group) -> list[str]:
        return [leaf for child in one.children for leaf in (leaves(inner[child]) if child in inner else [child])]

    found = [task for task in tasks if task.info.name in leaves(group)]
    total = sum(task.n_ok for task in found)
    right = sum(task.metrics[0].value * task.n_ok for task in found if task.metrics)
    means = [task.metrics[0].value for task in found if task.metrics]
    if not means:
        return GroupResult(group, (), ())
    micro = MetricResult(
        "acc",
        "none",
        right / total,
        (0.25 / total) ** 0.5,
        intervals.wilson(round(right), total),
        total,
        True,
        "acc|agg:micro",
        True,
        0.25,
    )
    macro = MetricResult(
        "acc", "none", sum(means) / len(means), (0.25 / total) ** 0.5, None, total, True, "acc|agg:macro", True, 0.25
    )
    return GroupResult(group, (micro,), (macro,))


def answers(n: int, share: float, seed: int) -> list[bool]:
    """``n`` right-or-wrong draws."""
    generator = random.Random(seed)
    return [generator.random() < share for _ in range(n)]


def correlated(base: Sequence[bool], lose: float, gain: float, seed: int) -> list[bool]:
    """Another model's answers: loses a share of what was right, gains a share of what was wrong."""
    generator = random.Random(seed)
    return [generator.random() >= lose if right else generator.random() < gain for right in base]


def choice_task(name: str, outcomes: Sequence[bool], **changes: Any) -> tuple[TaskInfo, list[SampleResult]]:
    """A task with the given outcomes."""
    return info(name, **changes), [choice_sample(number, right, task=name) for number, right in enumerate(outcomes)]


Maker = Callable[..., Path]
