"""`evalkit.compare` and `evalkit.gate`: runs against a base, from Python and from the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalkit.analysis import compare as comparing
from evalkit.analysis import gate as gating
from evalkit.analysis import planning
from evalkit.analysis.baseline import load_scores, read_baseline, save_baseline
from evalkit.analysis.compare import Comparison
from evalkit.analysis.gate import GateResult
from evalkit.analysis.planning import Plan
from evalkit.analysis.policy import Policy, load_policy
from evalkit.analysis.scores import RunScores
from evalkit.api.run import Run
from evalkit.contract.errors import UserError
from evalkit.spec.strict import mistake


class Baseline:
    """A small file that stands for a run in paired tests: per-item scores without any text."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UserError(f"{self.path}: no such file: write one with Run.save_baseline, or evalkit baseline save")
        self.scores: RunScores = read_baseline(self.path)
        """What the file holds, task by task."""

    @property
    def label(self) -> str:
        """The model's name in tables."""
        return self.scores.label

    def __repr__(self) -> str:
        return f"<Baseline of {self.label}: {', '.join(self.scores.tasks)}; in {self.path}>"


PolicyLike = Policy | Mapping[str, Any] | str | os.PathLike[str] | None
"""A policy, what one holds, or its file; None: the default."""
Scored = Run | Baseline | str | os.PathLike[str]
"""What can be compared: a run, a baseline, or where either lies."""


def load_baseline(path: str | os.PathLike[str]) -> Baseline:
    """The baseline in a file. Raises UserError where there is none."""
    return Baseline(path)


def save(run: Scored, path: str | os.PathLike[str], *, cluster_by: str | None = None, performance: bool = True) -> Path:
    """Write a run's baseline; without ``performance`` it leaves out the hardware and its counters. Returns the path."""
    return save_baseline(place(run), Path(path), cluster_by, performance=performance)


def compare(
    base: Scored,
    *candidates: Scored,
    allow_mismatch: bool = False,
    cluster_by: str | None = None,
    alpha: float = 0.05,
) -> Comparison:
    """Candidates against a base on the same items: paired differences, intervals, tests, flipped items.

    Raises UserError where the runs share no item, or were prompted differently and ``allow_mismatch`` is False.
    """
    return comparing.compare(
        place(base),
        [place(candidate) for candidate in candidates],
        allow_mismatch=allow_mismatch,
        cluster_by=cluster_by,
        alpha=alpha,
    )


def gate(
    baseline: Scored,
    candidate: Scored,
    policy: PolicyLike = None,
    *,
    allow_mismatch: bool = False,
) -> GateResult:
    """Judge a candidate: ``outcome`` "pass", "regression" or "inconclusive", with ``exit_code`` and every check.

    ``policy`` is a gate.yaml, or what one holds as a mapping (docs/ci.md). Raises UserError as `compare` does.
    """
    return gating.gate(place(baseline), place(candidate), as_policy(policy), allow_mismatch=allow_mismatch)


def as_policy(policy: PolicyLike) -> Policy:
    """A policy of a file, of a mapping, or the default. Raises UserError for a mistake."""
    from pydantic import ValidationError

    if policy is None or isinstance(policy, Policy):
        return policy or Policy()
    if not isinstance(policy, Mapping):
        return load_policy(Path(policy))
    try:
        return Policy.model_validate(policy)
    except ValidationError as error:
        wrong = mistake(error)
        raise UserError(f"policy: {wrong.where or 'policy'}: {wrong.message}") from None


def place(run: Scored) -> Path:
    """Where a run or baseline lies."""
    return run.path if isinstance(run, Run | Baseline) else Path(run)


def plan(
    baseline: Scored,
    *runs: Scored,
    policy: PolicyLike = None,
    flips: float | None = None,
    loss: float | None = None,
    limit: float | None = None,
    draws: int = planning.DRAWS,
    seed: int = 1234,
    brief: bool = False,
) -> Plan:
    """How likely the gate is to pass, fail or not tell, before an item is asked about, and the items it needs.

    ``runs`` are earlier ones on the same items; without them ``flips`` says which share of the items changes. Of
    several tasks a ``brief`` plan searches only the gate's own items. Raises UserError as `analysis.planning.plan`.
    """
    read = as_policy(policy)
    base, *earlier = (load_scores(place(one), read.cluster_by, p_gold=read.wants_p_gold) for one in (baseline, *runs))
    return planning.plan(base, read, earlier, flips=flips, loss=loss, limit=limit, draws=draws, seed=seed, brief=brief)
