"""Which of a baseline's items a run asks about, in what order, and the baseline as far as it was asked about."""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from evalkit.analysis.scores import RunScores, TaskScores


@dataclass(frozen=True, slots=True)
class Order:
    """Row numbers in the order of asking. ``ends``: after how many of them nothing that belongs together is cut."""

    rows: tuple[int, ...]
    ends: tuple[int, ...]

    def reaching(self, count: float) -> int:
        """How many rows are at least ``count`` and cut nothing apart; all of them for more than there are."""
        place = bisect_left(self.ends, count)
        return self.ends[place] if place < len(self.ends) else len(self.rows)


def in_random_order(labels: Sequence[str], most: int, seed: int, task: str) -> Order:
    """Rows of one label stay together; labels come in an order that ``seed`` and the task's name decide, until ``most``
    rows are reached.
    """
    together: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        together.setdefault(label, []).append(row)
    units = list(together.values())
    random.Random(f"{seed}:{task}").shuffle(units)
    rows: list[int] = []
    ends: list[int] = []
    for unit in units:
        if len(rows) >= most:
            break
        rows += unit
        ends.append(len(rows))
    return Order(tuple(rows), tuple(ends))


def labels_of(task: TaskScores) -> list[str]:
    """What belongs together: the items of a cluster, and copies of one document."""
    if task.clusters is not None:
        return list(task.clusters)
    return [key.partition("#")[0] for key in task.keys]


def restricted(scores: RunScores, keys: Mapping[str, Collection[str]]) -> RunScores:
    """The scores of some items alone, by task and key; tasks that are not named are left out."""
    return replace(scores, tasks={name: _rows(scores.tasks[name], set(own)) for name, own in keys.items()})


def _rows(task: TaskScores, keys: Collection[str]) -> TaskScores:
    kept = [row for row, key in enumerate(task.keys) if key in keys]
    series = {key: replace(one, values=tuple(one.values[row] for row in kept)) for key, one in task.series.items()}
    main = series.get(task.primary)
    return replace(
        task,
        keys=tuple(task.keys[row] for row in kept),
        prompts=tuple(task.prompts[row] for row in kept),
        series=series,
        clusters=None if task.clusters is None else tuple(task.clusters[row] for row in kept),
        titles=tuple(task.titles[row] for row in kept) if task.titles else (),
        n=len(kept),
        n_unscored=sum(value is None for value in main.values) if main else task.n_unscored,
        n_error=0,
    )
