"""`evalkit.check` and `evalkit check`: a model against a baseline, asked no more than the verdict needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from evalkit.analysis.baseline import demand_clusters, load_scores
from evalkit.analysis.check import Outcome
from evalkit.analysis.gate import GateResult, judged_tasks
from evalkit.analysis.looks import Ceiling, Looks
from evalkit.analysis.policy import Policy
from evalkit.analysis.scores import RunScores
from evalkit.api.comparing import PolicyLike, Scored, as_policy, place
from evalkit.api.evaluation import Model, TaskLike, as_model, as_path, as_tasks
from evalkit.api.observing import Onlooker
from evalkit.api.running import carry_out
from evalkit.api.settings import Settings, by_key
from evalkit.contract.errors import UserError
from evalkit.contract.store import Progress
from evalkit.runner.evaluate import Live, Observer
from evalkit.spec import config
from evalkit.spec.models import RunSpec
from evalkit.spec.naming import default_output, model_label

LOOKS = 20
"""Looks at the answers where none are asked for."""


@dataclass(frozen=True)
class Checked:
    """A check's end. ``run`` is the run's folder; ``gate`` the gate at the last look, None where none was reached.

    ``asked`` of at most ``most`` items were asked about; ``decided``: a pass or a regression was shown, rather than the
    ceiling reached.
    """

    run: Path
    gate: GateResult | None
    look: int
    looks: int
    asked: int
    most: int
    decided: bool
    interrupted: bool = False

    @property
    def outcome(self) -> Outcome:
        """ "pass", "regression" or "inconclusive", which an interrupted check is."""
        return "inconclusive" if self.gate is None or self.interrupted else self.gate.outcome

    @property
    def exit_code(self) -> int:
        """What `evalkit check` would exit with: 0, 1 or 3."""
        return 3 if self.gate is None or self.interrupted else self.gate.exit_code

    @property
    def saved(self) -> int:
        """Items that did not have to be asked about."""
        return self.most - self.asked

    def __str__(self) -> str:
        end = "decided" if self.decided else "not decided"
        items = f"{self.asked:,} of {self.most:,} items asked, {self.saved:,} saved"
        return f"{end} at look {self.look} of {self.looks}: {items}"


def check(
    model: Model,
    baseline: Scored,
    policy: PolicyLike = None,
    *,
    looks: int = LOOKS,
    limit: float | None = None,
    tasks: TaskLike | Sequence[TaskLike] = (),
    data_dir: str | Path | None = None,
    output: str | Path | None = None,
    cache: str | Path | None = None,
    allow_mismatch: bool = False,
    progress: bool | Progress = True,
    **settings: Unpack[Settings],
) -> Checked:
    """Ask ``model`` what the baseline was asked, in random order, until a pass or a regression is shown.

    ``model`` and the keywords are those of `evalkit.evaluate`, ``policy`` that of `evalkit.gate`; ``limit`` is the most
    items a task, ``looks`` how often the answers are looked at on the way there. ``tasks`` are the objects that the
    baseline was made of, if any. Called again with the same ``output`` it goes on where it was interrupted. Raises
    UserError as `evalkit.gate` and `evalkit.evaluate` do.
    """
    if looks < 1:
        raise UserError(f"looks=: must be at least 1, not {looks}")
    backend, entry = as_model(model, settings)
    names, objects = as_tasks(tasks)
    if len(names) != len(objects):
        raise UserError(
            "tasks=: takes the task objects that the baseline was made of; what it was asked by name it knows"
        )
    given, origin = by_key(
        {
            **settings,
            "model": entry,
            "limit": limit,
            "data_dir": as_path(data_dir),
            "output": as_path(output),
            "cache": as_path(cache),
        }
    )
    live = Live(backend, tuple(objects))
    return until_decided(
        place(baseline), given, as_policy(policy), Onlooker(progress), looks=looks, allow_mismatch=allow_mismatch,
        origin=origin, live=live,
    )  # fmt: skip


def until_decided(
    baseline: Path,
    settings: Mapping[str, Any],
    policy: Policy,
    observer: Observer,
    *,
    looks: int,
    allow_mismatch: bool = False,
    origin: config.Origin | None = None,
    live: Live = Live(),
) -> Checked:
    """Ask the model of ``settings`` what the baseline was asked, look by look, of ``limit`` items a task at most.

    Raises UserError as `evalkit.gate` and `evalkit.evaluate` do.
    """
    base = _judged(load_scores(baseline, policy.cluster_by, p_gold=True), policy)
    demand_clusters(policy.cluster_by, base)
    named = origin or config.Origin()
    spec = _spec(base, policy, settings, named)
    if spec.limit_random:
        raise UserError(f"{named.name(('limit_random',))}: a check asks in random order as it is: leave it out")
    ceiling = Ceiling(spec.limit, looks, spec.seed)
    schedule = Looks(base, policy, ceiling, allow_mismatch=allow_mismatch, say=observer.note)
    done = carry_out(spec, observer, live=live, schedule=schedule)
    found = schedule.result and replace(schedule.result, candidate=model_label(spec.model))
    return Checked(
        run=done.path,
        gate=found,
        look=schedule.look_number,
        looks=looks,
        asked=schedule.asked,
        most=schedule.most,
        decided=schedule.decided,
        interrupted=done.result.partial,
    )


def _judged(base: RunScores, policy: Policy) -> RunScores:
    """The baseline with the tasks that the policy judges."""
    if base.partial:
        raise UserError(f"{base.source}: a partial run: finish it with: evalkit run --resume {base.source}")
    wanted = judged_tasks(policy, base)
    tasks = {name: task for name, task in base.tasks.items() if name in wanted}
    if not tasks:
        raise UserError(f"check: the policy leaves out every task of the baseline ({base.source})")
    groups = {name: leaves for name, leaves in base.groups.items() if set(leaves) <= set(tasks)}
    return replace(base, tasks=tasks, groups=groups)


def _spec(base: RunScores, policy: Policy, settings: Mapping[str, Any], origin: config.Origin) -> RunSpec:
    """What the baseline was asked, with the ``settings`` on top."""
    measured = dict(base.asked)
    if not measured.get("tasks") or policy.others == "ignore":
        measured["tasks"] = _tasks(base)
        measured.pop("num_fewshot", None)
    specs = config.expand(*config.merge(measured, settings, origin))
    if len(specs) != 1:
        raise UserError(f"check: judges one model, but the configuration asks for {len(specs)}")
    spec = specs[0]
    return spec.model_copy(update={"output": spec.output or default_output(spec)})


def _tasks(base: RunScores) -> list[dict[str, Any]]:
    """Entries of the baseline's outermost groups and of its tasks outside them, by what its scores say of them."""
    inside = {leaf for leaves in base.groups.values() for leaf in leaves}
    outer = [
        one for one, own in base.groups.items() if not any(set(own) < set(other) for other in base.groups.values())
    ]
    entries = []
    for name in (*outer, *(name for name in base.tasks if name not in inside)):
        tasks = [base.tasks[leaf] for leaf in base.groups.get(name, (name,))]
        shots = {task.num_fewshot for task in tasks}
        entry: dict[str, Any] = {"name": name, "sample": tasks[0].sample}
        if len(shots) == 1:
            entry["num_fewshot"] = shots.pop()
        entries.append(entry)
    return entries
