"""Looks at a run that is going on: it ends as soon as the gate's question is answered (`evalkit check`).

The items of the baseline are asked about in a random order that a seed fixes, clusters staying together. At every look
`SequentialGate` judges what is there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.analysis import gold
from evalkit.analysis.gate import GateResult
from evalkit.analysis.ordering import Order, in_random_order, labels_of, restricted
from evalkit.analysis.pairing import mismatches, pairs_of
from evalkit.analysis.policy import Policy
from evalkit.analysis.scores import KEY_LENGTH, PROMPT_LENGTH, RunScores, groups_of, task_scores
from evalkit.analysis.sequential_gate import Asked, SequentialGate
from evalkit.contract.errors import UserError
from evalkit.runner.rounds import Round
from evalkit.runner.workload import Workload
from evalkit.statistics.sequential import LEAST_ALPHA, Spending
from evalkit.store import RunDir
from evalkit.store.identity import digest
from evalkit.store.looks import Record
from evalkit.store.rows import join_keys
from evalkit.store.samples import prompt_of, row, sha256

LOOKS = 20
LEAST_ITEMS = 2


@dataclass(frozen=True, slots=True)
class Ceiling:
    """How far a check may go: ``limit`` items a task, or below 1 that share of them (None: all that the baseline has),
    in ``looks`` equal steps, in the order that ``seed`` gives.
    """

    limit: float | None = None
    looks: int = LOOKS
    seed: int = 1234

    def most(self, items: int) -> int:
        """Of one task with so many items."""
        if self.limit is None:
            return items
        return math.ceil(self.limit * items) if self.limit < 1 else min(int(self.limit), items)


class Looks:
    """A `evalkit.runner.rounds.Schedule` that has seen enough once the gate passes or fails, or at the ceiling.

    ``base`` holds the tasks that are to be judged. ``say`` is told a line at every look.
    """

    def __init__(
        self,
        base: RunScores,
        policy: Policy,
        ceiling: Ceiling = Ceiling(),
        *,
        allow_mismatch: bool = False,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        if ceiling.looks < 1:
            raise UserError(f"--looks {ceiling.looks}: there must be at least one look")
        self._base, self._policy, self._ceiling, self._say = base, policy, ceiling, say
        self._allow_mismatch = allow_mismatch
        self._gate = SequentialGate(base, policy, allow_mismatch=allow_mismatch)
        self._orders: dict[str, Order] = {}
        self._asked: dict[str, int] = {}
        self._rows: dict[tuple[str, int], dict[str, Any]] = {}
        self._record: Record | None = None
        self.look_number = 0
        self.result: GateResult | None = None
        """The gate at the last look."""

    @property
    def most(self) -> int:
        """The items that may be asked about."""
        return sum(len(order.rows) for order in self._orders.values())

    @property
    def asked(self) -> int:
        """The items that were."""
        return sum(self._asked.values())

    @property
    def decided(self) -> bool:
        """Whether a pass or a regression was shown, rather than the ceiling reached."""
        return self._gate.over

    def begin(self, directory: RunDir) -> None:
        """Keep what was asked for beside the run; UserError where the directory holds a check of something else."""
        unasked = [name for name in self._base.tasks if name not in self._orders]
        if unasked:
            raise UserError(
                f"the baseline's task {unasked[0]} is not among this run's: add it to --tasks, or leave it out by the "
                "policy (others: ignore)"
            )
        asked = {
            "baseline": digest([[name, list(task.keys)] for name, task in self._base.tasks.items()]),
            "policy": self._policy.model_dump(mode="json"),
            "looks": self._ceiling.looks,
            "limit": self._ceiling.limit,
            "seed": self._ceiling.seed,
        }
        self._record = Record(directory.path, asked)

    def select(self, workload: Workload) -> Sequence[int]:
        """The documents that the baseline has. UserError where the data lack some of them."""
        name = workload.info.name
        task = self._base.tasks.get(name)
        if task is None:
            raise UserError(f"task {name}: the baseline ({self._base.source}) does not have it")
        known = {key: place for place, key in enumerate(task.keys)}
        keys = _keys(workload)
        places = [place for place, key in enumerate(keys) if key in known]
        self._refuse_lost(name, len(task.keys), len(places))
        labels = labels_of(task)
        together = [labels[known[keys[place]]] for place in places]
        self._orders[name] = in_random_order(together, self._ceiling.most(len(places)), self._ceiling.seed, name)
        self._asked[name] = 0
        return places

    def _refuse_lost(self, name: str, items: int, found: int) -> None:
        rule = self._policy.tasks.get(name, self._policy.default)
        allowed = self._policy.max_unmatched if rule.max_unmatched is None else rule.max_unmatched
        if not found or items - found > allowed * items:
            raise UserError(
                f"task {name}: {items - found:,} of the baseline's {items:,} items are not in the data (another "
                f"version?); allowed by max_unmatched are {allowed:.1%}"
            )

    def order(self, workload: Workload) -> Sequence[int]:
        """The order of asking. UserError where the prompts are not the baseline's; nothing is asked by then."""
        info, base = workload.info, self._base.tasks[workload.info.name]
        asked = replace(
            base,
            version=info.version,
            num_fewshot=info.num_fewshot,
            sample=info.sample,
            keys=tuple(_keys(workload)),
            prompts=tuple(sha256(prompt_of(own[0]))[:PROMPT_LENGTH] for own in workload.requests),
            clusters=None,
            series={},
        )
        found = list(mismatches(base, asked, pairs_of(base, asked)))
        if found and not self._allow_mismatch:
            raise UserError(
                f"{found[0]}: the baseline ({self._base.source}) was measured in another way: ask in the same way, or "
                "judge all the same with --allow-mismatch"
            )
        return self._orders[info.name].rows

    def goal(self) -> Mapping[str, int] | None:
        """See `Schedule.goal`."""
        while not self._gate.over and self.look_number < self._ceiling.looks:
            self.look_number += 1
            share = self.look_number / self._ceiling.looks
            if share < 1 and Spending(self._policy.alpha / 2).look(share).alpha < LEAST_ALPHA:
                continue
            wanted = self._gate.open_tasks()
            goal = {
                name: max(self._asked[name], order.reaching(max(LEAST_ITEMS, round(share * len(order.rows), 6))))
                if name in wanted
                else self._asked[name]
                for name, order in self._orders.items()
            }
            if goal != self._asked:
                return goal
        return None

    def look(self, found: Round) -> None:
        """Judge what is there, and keep it."""
        candidate = self._scores(found)
        self._asked = {name: len(task.keys) for name, task in candidate.tasks.items()}
        base = restricted(self._base, {name: task.keys for name, task in candidate.tasks.items()})
        asked = {name: Asked(self._asked[name], len(order.rows)) for name, order in self._orders.items()}
        self.result = self._gate.judge(base, candidate, asked, look=self.look_number)
        settled = self._gate.settled.values()
        counts = [f"{sum(one.check.outcome == word for one in settled)} {word}" for word in ("pass", "regression")]
        left = self._gate.undecided
        self._say(
            f"look {self.look_number} of {self._ceiling.looks}: {self.asked:,} of at most {self.most:,} items: "
            f"{', '.join([*counts, f'{left} not decided'])}"
        )
        if self._record is not None:
            documents = {
                task.info.name: [one.document.id for one in samples]
                for task, samples in zip(found.tasks, found.samples, strict=True)
            }
            outcome = self.result.outcome if self._gate.over else "inconclusive"
            self._record.add({"look": self.look_number, "outcome": outcome, "documents": documents})

    def _scores(self, found: Round) -> RunScores:
        """What is there as comparisons see it; a sample's row is made once."""
        from pandas import DataFrame

        tasks = {}
        for task, samples in zip(found.tasks, found.samples, strict=True):
            keys = list(dict.fromkeys(key for sample in samples for key in sample.metrics))
            for one in samples:
                if (task.info.name, one.document.id) not in self._rows:
                    self._rows[task.info.name, one.document.id] = row(one, keys)
            frame = DataFrame([{"metrics": {}, **self._rows[task.info.name, one.document.id]} for one in samples])
            own = task_scores(frame, task, "none")  # what belongs together is the baseline's to say
            tasks[task.info.name] = gold.with_series(own, gold.series_of(frame, task.info))
        return RunScores("the candidate", "the candidate's run", tasks, groups_of(found.groups, tasks))


def _keys(workload: Workload) -> list[str]:
    return join_keys([document.hash[:KEY_LENGTH] for document in workload.documents])
