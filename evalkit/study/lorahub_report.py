"""What a study of LoraHub shows: each task by every way of using its few examples, tokens, and the weights found."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evalkit.render import study_page
from evalkit.render.study_page import Page, Part, Table
from evalkit.study.lorahub import Composed, Outcome
from evalkit.study.scoring import Scored

TITLE = "LoraHub"


def report(outcome: Outcome, out: Path) -> Path:
    """Write the report: HTML, or Markdown where the name ends in ".md". Returns ``out``."""
    study = outcome.study
    lead = (
        f"{study.model}, {study.dtype}; LoRAs of {', '.join(outcome.modules)}, trained for {study.steps} steps of "
        f"{study.batch_size} examples, composed for {len(outcome.tasks)} other tasks from {study.examples} items each, "
        f"{len(study.seeds)} draws of them; scored on at most {study.eval_items} held-out items a task."
    )
    page = Page(TITLE, (lead, *_cautions(outcome)), (_scores(outcome), _tokens(outcome), _weights(outcome)))
    return (study_page.write_markdown if out.suffix.lower() == ".md" else study_page.write_page)(page, out)


def _cautions(outcome: Outcome) -> Iterator[str]:
    if (most := outcome.study.max_tokens) is not None:
        yield f"Generated answers end after {most} tokens at the latest, whatever their task says."
    if outcome.study.bundled:
        yield "Bundled items, which are few and of our own writing: not comparable with the data sets."
    yield (
        "The paper composes twenty of some two hundred LoRAs of FLAN-T5-large, which is another model and another "
        "number: its table is not set beside this one."
    )
    yield "The best of several seeds is chosen by the held-out items themselves and so looks better than it is."


def _of(outcome: Outcome, task: str) -> list[Composed]:
    return [one for one in outcome.composed if one.task == task]


def _percent(scored: Scored, task: str) -> float:
    found = scored.scores[task]
    return (100 if found.share else 1) * (found.value or 0.0)


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _row(outcome: Outcome, task: str) -> list[float]:
    parts = _of(outcome, task)
    shown = [_percent(one.shown, task) for one in parts]
    composed = [_percent(one.score, task) for one in parts]
    single = [_percent(outcome.alone[one.best_single][task], task) for one in parts]
    zero = _percent(outcome.zero_shot[task], task)
    return [zero, _mean(shown), max(shown), _mean(single), _mean(composed), max(composed)]


def _scores(outcome: Outcome) -> Part:
    rows = {task: _row(outcome, task) for task in outcome.tasks}
    lines = [
        (f"{task} ({_unit(outcome, task)})", *(f"{value:.1f}" for value in values), f"{_n(outcome, task)}")
        for task, values in rows.items()
    ]
    if len(rows) > 1:
        means = [_mean(column) for column in zip(*rows.values(), strict=True)]
        lines.append(("mean", *(f"{value:.1f}" for value in means), ""))
    heads = (
        "task",
        "zero-shot",
        "in context, mean",
        "in context, best",
        "best LoRA alone",
        "LoraHub, mean",
        "LoraHub, best",
        "items",
    )
    note = (
        "In context: the same items shown in the prompt of the bare model. Best LoRA alone: the one of least loss on "
        "the items. Means and bests are over seeds; a mean's 95 % interval over items is in each run's results."
    )
    return Part("Scores", note, tables=(Table("Scores by task", heads, tuple(lines)),))


def _unit(outcome: Outcome, task: str) -> str:
    found = outcome.zero_shot[task].scores[task]
    return f"{found.metric.partition(',')[0]}{', %' if found.share else ''}"


def _n(outcome: Outcome, task: str) -> int:
    return outcome.zero_shot[task].scores[task].n


def _tokens(outcome: Outcome) -> Part:
    def each(scored: Sequence[Scored], task: str) -> str:
        return f"{_mean(one.tokens for one in scored) / _n(outcome, task):,.0f}"

    rows = tuple(
        (
            task,
            each([outcome.zero_shot[task]], task),
            each([one.shown for one in _of(outcome, task)], task),
            each([one.score for one in _of(outcome, task)], task),
            f"{_mean(one.tuning_tokens for one in _of(outcome, task)):,.0f}",
        )
        for task in outcome.tasks
    )
    heads = ("task", "zero-shot, an item", "in context, an item", "LoraHub, an item", "LoraHub, search")
    note = "Tokens of prompts and answers. The search reads its few items once for every choice of weights."
    return Part("Tokens", note, tables=(Table("Tokens by task", heads, rows),))


def _weights(outcome: Outcome) -> Part:
    rows = tuple(
        (
            f"{one.task}, seed {one.seed}",
            *(f"{weight:+.2f}" for weight in one.weights),
            f"{one.base_loss:.3f}",
            f"{min(one.single_losses):.3f}",
            f"{one.loss:.3f}",
        )
        for one in outcome.composed
    )
    heads = ("task", *outcome.modules, "loss of base", "of best LoRA", "composed")
    note = "Losses are in nats a token of the few items; composed is never worse there than the base or a LoRA alone."
    return Part("Weights", note, tables=(Table("Weights by task and seed", heads, rows),))
