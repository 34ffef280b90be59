"""`evalkit card RUN`: a model card's block of results (``model-index``), and the table for people below it.

The block is what huggingface_hub's `ModelCard` and `EvalResult` read. That joins all results of one split under one
data set, so what tells tasks apart (name, shots, how many items) stands with each metric, beside its standard error and
its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.publish.sinks import Published
from evalkit.store.files import write_bytes
from evalkit.text.markdown import inline

if TYPE_CHECKING:
    from huggingface_hub import EvalResult

    from evalkit.contract.types import MetricResult, TaskResult

TASK_TYPE = "text-generation"
"""The Hub's pipeline of language models."""
BEGIN, END = "<!-- evalkit: evaluation -->", "<!-- evalkit: end of evaluation -->"


def eval_results(run: Published, every: bool = False) -> list[EvalResult]:
    """One `EvalResult` a task, of its primary metric; of ``every`` metric if asked. UserError for a run without any."""
    from huggingface_hub import EvalResult

    found = [
        EvalResult(
            task_type=TASK_TYPE,
            task_name="Text Generation",
            dataset_type=_dataset(task),
            dataset_name=_dataset_name(task),
            dataset_config=task.info.dataset.config if task.info.dataset else None,
            dataset_split=task.info.split,
            dataset_revision=task.info.dataset.revision if task.info.dataset else None,
            metric_type=metric.name,
            metric_value=metric.value,
            metric_name=f"{_title(task)}, {task.info.num_fewshot}-shot: {metric.key}",
            metric_args=_details(task, metric),
        )
        for task in run.result.tasks
        for metric in _shown(task, every)
        if metric.value is not None
    ]
    if not found:
        raise UserError(f"{run.path}: no task of this run has a score: there is nothing to write into a card")
    return found


def block(run: Published, every: bool = False) -> str:
    """The whole card: the YAML block between its lines of dashes, and the table. UserError as `eval_results`."""
    from huggingface_hub import ModelCardData

    data = ModelCardData(model_name=run.result.label or "model", eval_results=eval_results(run, every))
    return f"---\n{data.to_yaml()}\n---\n\n{section(run, every)}"


def section(run: Published, every: bool = False) -> str:
    """The table for people, between two marks, by which `into` finds it again."""
    lines = ["| Task | Metric | Value | 95 % interval | n | Shots |", "|:--|:--|--:|:--|--:|--:|"]
    for task in run.result.tasks:
        for metric in _shown(task, every):
            interval = "" if metric.interval is None else "[{:.4f}, {:.4f}]".format(*metric.interval)
            value = "not scored" if metric.value is None else f"{metric.value:.4f}"
            name = metric.name if metric.filter == "none" else f"{metric.name} ({metric.filter})"
            cells = (inline(_title(task)), inline(name), value, interval, f"{metric.n:,}", str(task.info.num_fewshot))
            lines.append(f"| {' | '.join(cells)} |")
    command = inline(run.result.environment.get("command", ""))
    how = f"\nMeasured with evalkit: {command}\n" if command else ""
    return "\n".join([BEGIN, "## Evaluation", "", *lines, how, END, ""])


def into(run: Published, readme: Path, every: bool = False) -> int:
    """Write the results into a card that is there; results of other data sets and metrics, and all other text, stay.
    Returns how many results the card has now. UserError for a file that is no card.
    """
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    try:
        card = ModelCard.load(readme, ignore_metadata_errors=False)
    except (OSError, ValueError, YAMLError) as error:
        raise UserError(
            f"{readme}: is not a model card that can be read ({error}): mend it, or print the block"
        ) from error
    new = eval_results(run, every)
    ours = {_identity(one) for one in new}
    kept = [one for one in card.data.eval_results or [] if _identity(one) not in ours]
    card.data.eval_results = [*kept, *new]
    card.data.model_name = card.data.model_name or run.result.label or "model"
    before, _, rest = card.text.partition(BEGIN)
    after = rest.partition(END)[2].lstrip("\n")
    card.text = f"{before.rstrip()}\n\n{section(run, every)}{after and chr(10) + after}"
    write_bytes(readme, str(card).encode())
    return len(card.data.eval_results)


def _identity(one: Any) -> tuple[Any, ...]:
    return (*one.unique_identifier, one.metric_type, one.metric_name)


def _shown(task: TaskResult, every: bool) -> Sequence[MetricResult]:
    if every:
        return task.metrics
    return [one for one in task.metrics if one.primary or one.key == task.info.primary][:1] or task.metrics[:1]


def _dataset(task: TaskResult) -> str:
    return task.info.dataset.id if task.info.dataset else task.info.name


def _title(task: TaskResult) -> str:
    """The task's name, and what keeps its number from being that of the whole split."""
    kept: Iterable[str] = (
        "bundled items" if task.info.sample else "",
        f"{task.n:,} of {task.n_total:,} items" if task.n < task.n_total else "",
    )
    told = ", ".join(filter(None, kept))
    return f"{task.info.name} ({told})" if told else task.info.name


def _dataset_name(task: TaskResult) -> str:
    config = task.info.dataset.config if task.info.dataset else None
    return f"{_dataset(task)} ({config})" if config else _dataset(task)


def _details(task: TaskResult, metric: MetricResult) -> dict[str, Any]:
    """What a reader of the number needs, without what is not known."""
    interval = None if metric.interval is None else list(metric.interval)
    found = {
        "task": task.info.name,
        "version": task.info.version,
        "num_fewshot": task.info.num_fewshot,
        "filter": metric.filter,
        "stderr": metric.stderr,
        "ci95": interval,
        "n": metric.n,
        "n_total": task.n_total,
        "bundled_items": task.info.sample or None,
    }
    return {key: value for key, value in found.items() if value is not None}
