"""What a study of adaptation shows: quality against what was tuned, by step, in and out of the training items,
elsewhere, and what it cost.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from evalkit.render import study_page
from evalkit.render.figures import COLOURS, SYMBOLS, Axis, Heat, HeatCell, Mark, Scatter, Segment, scale
from evalkit.render.study_page import Page, Table
from evalkit.render.study_page import Part as Chapter
from evalkit.study.adaptation import Outcome, Part
from evalkit.study.scoring import Score

TITLE = "Adaptation"


def report(outcome: Outcome, out: Path) -> Path:
    """Write the report: HTML, or Markdown where the name ends in ".md". Returns ``out``."""
    study = outcome.study
    lead = (
        f"{study.model}, {study.dtype}; {len(study.methods)} ways to tune on {', '.join(_trained(outcome))}; "
        f"{_count(len(study.seeds), 'seed')}, {study.steps} steps of {study.batch_size} examples, "
        f"{study.train_items} training items and {study.eval_items} held-out ones a task."
    )
    page = Page(TITLE, (lead, *_cautions(outcome)), tuple(chapters(outcome)))
    return (study_page.write_markdown if out.suffix.lower() == ".md" else study_page.write_page)(page, out)


def chapters(outcome: Outcome) -> Iterator[Chapter]:
    """The report's parts."""
    tasks = _trained(outcome)
    yield Chapter(
        "Quality against tuned share",
        "Held-out score of the task that was trained on, after the last step; mean over seeds. Lines are 95 % "
        "intervals over the items of one seed, or from the lowest to the highest seed where there are several. The "
        "dotted line is the base model. Against base: with the paired 95 % interval over the same items for one seed, "
        "with the standard deviation for several.",
        tuple(_quality(outcome, task) for task in tasks),
        tuple(_quality_table(outcome, task) for task in tasks),
    )
    if outcome.study.evaluate_at:
        yield Chapter(
            "Score by step",
            "Held-out score of the trained task after so many steps, mean over seeds; step 0 is the base model.",
            tuple(_steps(outcome, task) for task in tasks),
            tuple(_steps_table(outcome, task) for task in tasks),
        )
    yield Chapter(
        "Generalization gap",
        "The score on the items that were trained on, minus that on held-out items of the same task, mean over seeds. "
        "The base model saw neither: its gap says how much the two draws of items differ.",
        tables=tuple(_gap_table(outcome, task) for task in tasks),
    )
    if len(tasks) > 1:
        yield _elsewhere(
            outcome,
            "Transfer",
            "Change against the base model on held-out items: rows are what was trained, columns where it is asked.",
            tasks,
        )
    others = [outcome.names[one] for one in outcome.study.untouched]
    if others:
        yield _elsewhere(
            outcome,
            "Forgetting",
            "Change against the base model on tasks that nothing was trained on: below zero is forgotten.",
            others,
        )
    yield Chapter("Tokens and seconds", _COST, tables=(_cost_table(outcome),))


_COST = (
    "Tokens read in training (without padding; each is read forwards and backwards) and the seconds of its steps; "
    "tokens and seconds of the runs that scored. Sums over seeds, on this machine."
)


def _cautions(outcome: Outcome) -> Iterator[str]:
    study = outcome.study
    if study.max_tokens is not None:
        yield f"generated answers end after {study.max_tokens} tokens at the latest, whatever their task says."
    if study.bundled:
        yield "bundled items, which are few and of our own writing: not comparable with the data sets."
    yield (
        "training items come out of each task's evaluated split, and the held-out items out of its rest: scores are "
        "not comparable with those of models trained on the data sets' own training splits."
    )
    yield (
        "learning rates are those of the configuration or evalkit's defaults, one for each method, and were not "
        "searched for; with few steps and items, order between methods says little beyond these settings."
    )
    if len(study.seeds) == 1:
        yield "one seed: how much a training varies is not shown."
    for label, note in dict.fromkeys((one.method, one.note) for one in outcome.parts if one.note):
        yield f"{label}: {note}."
    cut = {(one.task, one.cut) for one in outcome.parts if one.cut}
    for task, number in sorted(cut):
        yield f"{task}: {number} of {study.train_items} training items lost the beginning of their prompt (max_length)."


def _trained(outcome: Outcome) -> list[str]:
    return [outcome.names[one] for one in outcome.study.train]


def _of(outcome: Outcome, task: str) -> list[tuple[int, str, list[Part]]]:
    """The methods in their order, with their trainings on a task."""
    labels = [one.label for one in outcome.study.methods]
    return [
        (place, label, [one for one in outcome.parts if one.task == task and one.method == label])
        for place, label in enumerate(labels)
    ]


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _shown(score: Score) -> float:
    """In percent where it is a share."""
    return _factor(score) * (score.value or 0.0)


def _mean(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def _spread(values: Sequence[float]) -> str:
    return f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""


def _unit(score: Score) -> str:
    arrow = "↑" if score.higher_is_better else "↓"
    return f"{score.metric.partition(',')[0]}{', %' if score.share else ''} {arrow}"


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−") if abs(value) >= 0.05 else "0.0"


def _factor(score: Score) -> float:
    return 100 if score.share else 1


def _change(outcome: Outcome, parts: Sequence[Part], task: str) -> str:
    """Against the base model: of one seed with the interval of paired items, of several with their spread."""
    base = _shown(outcome.base.scores[task])
    values = [_shown(one.scores[task]) - base for one in parts]
    if len(parts) > 1 or (found := parts[0].against.get(task)) is None or found.interval is None:
        return f"{_signed(_mean(values))}{_spread(values)}"
    low, high = (_signed(_factor(outcome.base.scores[task]) * end) for end in found.interval)
    return f"{_signed(_mean(values))} [{low}, {high}]"


def _ends(parts: Sequence[Part], task: str) -> tuple[float, float] | None:
    values = [_shown(one.scores[task]) for one in parts]
    if len(values) > 1:
        return min(values), max(values)
    found = parts[0].scores[task]
    factor = _factor(found)
    return (factor * found.interval[0], factor * found.interval[1]) if found.interval else None


def _quality(outcome: Outcome, task: str) -> Scatter:
    rows = [(place, label, parts) for place, label, parts in _of(outcome, task) if parts]
    base = _shown(outcome.base.scores[task])
    points = [(100 * parts[0].share, _mean(_shown(one.scores[task]) for one in parts)) for _, _, parts in rows]
    ends = [_ends(parts, task) for _, _, parts in rows]
    across = scale([share for share, _ in points], log=True)
    share = outcome.base.scores[task].share
    up = scale(
        [base, *(value for _, value in points), *(end for pair in ends if pair for end in pair)],
        0.0,
        100.0 if share else None,
    )
    level = {place: rank for rank, place in enumerate(sorted(range(len(rows)), key=lambda n: points[n]))}
    marks = tuple(
        Mark(
            across.at(x),
            100 - up.at(y),
            f"{label}: {x:.3g} % tuned, {y:.1f}",
            place % COLOURS,
            SYMBOLS[place // COLOURS % len(SYMBOLS)],
            low=None if pair is None else 100 - up.at(pair[0]),
            high=None if pair is None else 100 - up.at(pair[1]),
            label=label,
            above=bool(level[number] % 2),
        )
        for number, ((place, label, _), (x, y), pair) in enumerate(zip(rows, points, ends, strict=True))
    )
    line = Segment(0, 100 - up.at(base), 100, 100 - up.at(base))
    return Scatter(
        task,
        f"{_unit(outcome.base.scores[task])}; base {base:.1f}.",
        Axis("tuned numbers, % of all (logarithmic)", across.ticks()),
        Axis(_unit(outcome.base.scores[task]), up.ticks()),
        marks,
        (line,),
        ((None, "base model"),),
        height=380,
    )


def _quality_table(outcome: Outcome, task: str) -> Table:
    base = outcome.base.scores[task]
    rows = [("base", "0", "0", f"{_shown(base):.1f}{_interval(base)}", "")]
    for _, label, parts in _of(outcome, task):
        values = [_shown(one.scores[task]) for one in parts]
        single = _interval(parts[0].scores[task]) if len(parts) == 1 else _spread(values)
        rows.append(
            (
                label,
                f"{parts[0].trainable:,}",
                f"{100 * parts[0].share:.3g}",
                f"{_mean(values):.1f}{single}",
                _change(outcome, parts, task),
            )
        )
    return Table(
        f"{task}: quality against tuned share",
        (task, "tuned numbers", "% of all", f"held-out, {_unit(base)}", "against base"),
        tuple(rows),
    )


def _interval(score: Score) -> str:
    if score.interval is None:
        return ""
    factor = _factor(score)
    return f" [{factor * score.interval[0]:.1f}, {factor * score.interval[1]:.1f}]"


def _curves(outcome: Outcome, task: str) -> list[tuple[int, str, list[tuple[int, float]]]]:
    start = _shown(outcome.base.scores[task])
    found = []
    for place, label, parts in _of(outcome, task):
        steps = sorted({step for one in parts for step in one.curve})
        line = [(step, _mean(_shown(one.curve[step][task]) for one in parts if step in one.curve)) for step in steps]
        found.append((place, label, [(0, start), *line]))
    return found


def _steps(outcome: Outcome, task: str) -> Scatter:
    curves = _curves(outcome, task)
    across = scale([step for _, _, line in curves for step, _ in line], 0.0)
    share = outcome.base.scores[task].share
    up = scale([value for _, _, line in curves for _, value in line], 0.0, 100.0 if share else None)
    marks, segments = [], []
    for place, label, line in curves:
        tone, symbol = place % COLOURS, SYMBOLS[place // COLOURS % len(SYMBOLS)]
        points = [(across.at(step), 100 - up.at(value)) for step, value in line]
        segments += [Segment(*one, *two, tone) for one, two in pairwise(points)]
        marks += [
            Mark(x, y, f"{label}, step {step}: {value:.1f}", tone, symbol)
            for (x, y), (step, value) in zip(points, line, strict=True)
        ]
    return Scatter(
        task,
        f"{_unit(outcome.base.scores[task])} on held-out items.",
        Axis("steps", across.ticks()),
        Axis(_unit(outcome.base.scores[task]), up.ticks()),
        tuple(marks),
        tuple(segments),
        # Beyond the page's colours a method has another symbol, which its key tells.
        tuple(
            (place, label if place < COLOURS else f"{SYMBOLS[place // COLOURS % len(SYMBOLS)]} {label}")
            for place, label, _ in curves
        ),
    )


def _steps_table(outcome: Outcome, task: str) -> Table:
    curves = _curves(outcome, task)
    steps = [step for step, _ in curves[0][2]]
    rows = tuple((label, *(f"{value:.1f}" for _, value in line)) for _, label, line in curves)
    return Table(f"{task}: score by step", (task, *(f"step {step}" for step in steps)), rows)


def _gap_table(outcome: Outcome, task: str) -> Table:
    def row(label: str, parts: Sequence[Part]) -> tuple[str, ...]:
        inside = [_shown(one.on_training[task]) for one in parts]
        outside = [_shown(one.scores[task]) for one in parts]
        gaps = [a - b for a, b in zip(inside, outside, strict=True)]
        return label, f"{_mean(inside):.1f}", f"{_mean(outside):.1f}", f"{_signed(_mean(gaps))}{_spread(gaps)}"

    rows = [row("base", [outcome.base]), *(row(label, parts) for _, label, parts in _of(outcome, task))]
    unit = _unit(outcome.base.scores[task])
    return Table(f"{task}: generalization gap", (task, f"trained on, {unit}", f"held out, {unit}", "gap"), tuple(rows))


def _elsewhere(outcome: Outcome, title: str, note: str, columns: Sequence[str]) -> Chapter:
    rows: list[tuple[str, list[tuple[float, str]]]] = []
    for task in _trained(outcome):
        for _, label, parts in _of(outcome, task):
            changes = [
                (
                    _mean(_shown(one.scores[column]) for one in parts) - _shown(outcome.base.scores[column]),
                    _star(parts, column),
                )
                for column in columns
            ]
            rows.append((f"{label} on {task}", changes))
    largest = max((abs(change) for _, changes in rows for change, _ in changes), default=0.0) or 1.0
    shown = tuple(f"{column} ({_unit(outcome.base.scores[column])})" for column in columns)
    heat = Heat(
        title,
        "In points of percent for shares, else in the metric's own unit; mean over seeds. Deeper colours are larger "
        "changes, of either sign. A star: the 95 % interval over paired items lies on this side of zero in every seed; "
        "nothing is corrected for how many cells there are.",
        "trained",
        "asked",
        shown,
        tuple(
            (
                label,
                tuple(HeatCell(f"{_signed(one)}{star}", round(100 * abs(one) / largest, 1)) for one, star in changes),
            )
            for label, changes in rows
        ),
    )
    base = tuple(f"{_shown(outcome.base.scores[column]):.1f}" for column in columns)
    return Chapter(title, note, (heat,), (Table(f"{title}: base model", ("base model", *shown), (("score", *base),)),))


def _star(parts: Sequence[Part], task: str) -> str:
    found = [one.against.get(task) for one in parts]
    signs = {one.value > 0 if one is not None and one.shown else None for one in found}
    return " *" if signs in ({True}, {False}) else ""


def _cost_table(outcome: Outcome) -> Table:
    rows = [("base", "0", "0.0", f"{outcome.base.scoring_tokens:,}", f"{outcome.base.scoring_seconds:.1f}")]
    for task in _trained(outcome):
        for _, label, parts in _of(outcome, task):
            tokens, seconds = sum(one.tokens for one in parts), math.fsum(one.seconds for one in parts)
            asked, took = sum(one.scoring_tokens for one in parts), math.fsum(one.scoring_seconds for one in parts)
            rows.append((f"{label} on {task}", f"{tokens:,}", f"{seconds:.1f}", f"{asked:,}", f"{took:.1f}"))
    heads = ("method", "training tokens", "training, s", "scoring tokens", "scoring, s")
    return Table("Tokens and seconds", heads, tuple(rows))
