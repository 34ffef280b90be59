"""One model of a study on some items: an ordinary run directory, and of it the primary scores."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.analysis.baseline import load_scores
from evalkit.analysis.decision import decide_task
from evalkit.analysis.pairing import pairs_of
from evalkit.contract.errors import UserError
from evalkit.contract.types import Task
from evalkit.runner.evaluate import Live, Unwatched, evaluate
from evalkit.runner.progress import Silent
from evalkit.spec.given import Given
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec, TaskSpec
from evalkit.store.identity import digest
from evalkit.study.config import Study
from evalkit.study.splitting import Split

if TYPE_CHECKING:
    from evalkit.backends.hf.backend import HfBackend
    from evalkit.backends.hf.loading import Parts


@dataclass(frozen=True)
class Score:
    """A task's primary metric over the items of one run; ``interval`` is of 95 %."""

    metric: str
    value: float | None
    interval: tuple[float, float] | None
    n: int
    share: bool
    higher_is_better: bool


Scores = dict[str, Score]


@dataclass(frozen=True)
class Change:
    """A task's primary metric of one run minus that of another, in the metric's own unit, over the ``n`` items of both.
    ``interval`` is of 95 %, of paired items, and not corrected for other comparisons; None where it cannot be had.
    """

    value: float
    interval: tuple[float, float] | None
    n: int

    @property
    def shown(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval is not None and not self.interval[0] <= 0 <= self.interval[1]


Changes = dict[str, Change]


@dataclass(frozen=True)
class Scored:
    """A run's scores by task, the tokens that it read and wrote, and its seconds."""

    scores: Scores
    tokens: int
    seconds: float


def load(study: Study) -> Parts:
    """The model of a study, which must be a decoder that transformers loads. Raises UserError."""
    from evalkit.backends.hf.loading import load_parts

    parts = load_parts(model_of(study))
    if parts.family != "causal":
        raise UserError(f"study: {study.model} is no decoder: only decoders are trained here")
    return parts


def model_of(study: Study, label: str | None = None) -> ModelSpec:
    """The study's model as a run has it."""
    return ModelSpec(name=study.model, backend="hf", dtype=study.dtype, device=study.device, label=label)


def score(
    study: Study,
    parts: Parts,
    model: Any,
    identity: Any,
    label: str,
    places: Mapping[str, Sequence[int]],
    splits: Sequence[Split],
    folder: Path,
) -> Scored:
    """Ask a copy of ``model``; ``identity`` tells its weights from those of others. ``places``: items by task. What an
    earlier run in ``folder`` answered is not asked again.
    """
    from evalkit.backends.hf.backend import HfBackend

    fingerprint = digest({"base": parts.fingerprint, "tuned": identity})
    # A backend lays weights out anew and changes how attention is called: the model at work keeps its own.
    own = replace(parts, model=copy.deepcopy(model).eval().requires_grad_(False), fingerprint=fingerprint)
    backend = HfBackend(own, model_of(study, label), EngineSpec())
    try:
        return ask(study, backend, label, places, [one.entry for one in splits], folder)
    finally:
        backend.close()


def ask(
    study: Study,
    backend: HfBackend,
    label: str,
    places: Mapping[str, Sequence[int]],
    entries: Sequence[TaskSpec],
    folder: Path,
    tasks: Sequence[Task] = (),
) -> Scored:
    """Ask a backend zero-shot about the items of ``places``; ``tasks`` are the objects of those entries that say so."""
    given = Given(type="evalkit.study", fingerprint=backend.info.fingerprint)
    asked = RunSpec(
        model=model_of(study, label).model_copy(update={"given": given}),
        tasks=tuple(one for one in entries if one.name in places),
        samples={name: tuple(numbers) for name, numbers in places.items()},
        num_fewshot=0,
        gen_kwargs=study.gen_kwargs,
        sample=study.bundled,
        seed=study.seed,
        data_dir=study.data_dir,
        output=folder,
    )
    done = evaluate(asked, Unwatched(Silent()), live=Live(backend, tuple(tasks)))
    done.aftermath.tell(done.path)
    if done.result.partial:
        raise KeyboardInterrupt
    if done.error_rate:
        raise UserError(f"{done.path}: {done.error_rate:.1%} of the items ended in an error: see its report")
    return scored(done.path, done.result)


def scored(path: Path, result: Any) -> Scored:
    """The primary scores of a finished run. UserError where a task has none."""
    found: Scores = {}
    for task in result.tasks:
        metric = next((one for one in task.metrics if one.key == task.info.primary), None)
        if metric is None or metric.value is None:
            raise UserError(f"{path}: {task.info.name} has no score: see its report")
        found[task.info.name] = Score(
            metric.key, metric.value, metric.interval, metric.n, metric.is_share, metric.higher_is_better
        )
    counted = result.counters
    tokens = sum(int(counted.get(key) or 0) for key in ("prompt_tokens", "output_tokens"))
    return Scored(found, tokens, float((counted.get("seconds") or {}).get("total") or 0.0))


def changes(before: Path, after: Path) -> Changes:
    """By task, what ``after`` differs by from ``before``; both are finished runs on the same items."""
    base, other = load_scores(before), load_scores(after)
    found: Changes = {}
    for name in base.tasks.keys() & other.tasks.keys():
        one, two = base.tasks[name], other.tasks[name]
        difference = decide_task(one, two, one.primary, pairs_of(one, two)).difference
        if difference.value is not None:
            found[name] = Change(difference.value, difference.interval, difference.n)
    return dict(sorted(found.items()))


def changes_from_json(value: Mapping[str, Any]) -> Changes:
    """What ``asdict`` made of each change."""
    return {
        name: Change(one["value"], tuple(one["interval"]) if one["interval"] else None, one["n"])
        for name, one in value.items()
    }


def as_json(found: Scored) -> dict[str, Any]:
    """JSON values that `from_json` reads."""
    return asdict(found)


def from_json(value: Mapping[str, Any]) -> Scored:
    """What `as_json` wrote."""
    scores = {
        name: Score(**{**one, "interval": tuple(one["interval"]) if one["interval"] else None})
        for name, one in value["scores"].items()
    }
    return Scored(scores, int(value["tokens"]), float(value["seconds"]))
