"""gate.yaml: what a candidate must keep, validated; errors name file, line and key."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from evalkit.contract.errors import UserError
from evalkit.spec.strict import Strict, mistake
from evalkit.text.reading import read_yaml

SHARE_MARGIN = 0.02
"""Default margin of shares: two percentage points."""
RELATIVE_MARGIN = 0.02
"""Default margin of other metrics, as a share of the baseline's value."""


class Rule(Strict):
    """What one task or group must keep. ``margin`` is in the metric's own unit (0.02: two points of accuracy)."""

    metric: str | None = None
    """A metric key ("acc_norm,none"; ",none" may be left out); None: the task's primary metric."""
    margin: float | None = Field(default=None, ge=0)
    relative_margin: float | None = Field(default=None, ge=0, lt=1)
    """A margin as a share of the baseline's value."""
    floor: float | None = None
    """The candidate's value must not be worse than this (a ceiling where lower is better)."""
    required: bool = True
    """False: a task that the candidate did not run, or that cannot be judged, is let through."""
    max_error_rate: float | None = Field(default=None, ge=0, le=1)
    max_unmatched: float | None = Field(default=None, ge=0, le=1)
    max_unscored: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _one_margin(self) -> Rule:
        if self.margin is not None and self.relative_margin is not None:
            raise ValueError("give margin or relative_margin, not both")
        return self


class Budget(Strict):
    """A bound on a performance counter, named by its path ("throughput.tokens_per_s")."""

    counter: str
    higher_is_better: bool
    max_change: float | None = Field(default=None, ge=0)
    """How much worse than the baseline it may be, as a share: 0.1 is ten percent."""
    limit: float | None = None
    """The least (or, where lower is better, the most) that is allowed, in the counter's unit."""
    required: bool = False
    """Fail if it cannot be compared (other hardware, or not measured)."""

    @model_validator(mode="after")
    def _something(self) -> Budget:
        if self.max_change is None and self.limit is None:
            raise ValueError("give max_change, limit or both")
        return self


class Policy(Strict):
    """The whole file; every key has a default, so an empty policy is a policy."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """Two-sided level of the intervals whose bound is tested; the non-inferiority test is one-sided at half of it."""
    default: Rule = Rule()
    tasks: dict[str, Rule] = Field(default_factory=dict)
    others: Literal["gate", "ignore"] = "gate"
    """Tasks that are not listed: held to ``default``, or left alone."""
    max_error_rate: float = Field(default=0.0, ge=0, le=1)
    max_unmatched: float = Field(default=0.0, ge=0, le=1)
    """Share of a task's baseline items that the candidate may lack (a limited run lacks many)."""
    max_unscored: float = Field(default=0.0, ge=0, le=1)
    """Share of the items in both runs that the baseline has a value of and the candidate may have none of."""
    inconclusive: Literal["inconclusive", "pass", "regression"] = "inconclusive"
    """What an undecided check counts as."""
    performance: tuple[Budget, ...] = ()
    cluster_by: str | None = None
    seed: int = 1234
    resamples: int = Field(default=2000, ge=100)


def load_policy(path: Path | None) -> Policy:
    """The policy in a YAML file; the default policy for None. Raises UserError naming file, line and key."""
    if path is None:
        return Policy()
    found = read_yaml(path, "policy (--policy)")
    try:
        return Policy.model_validate({} if found.data is None else found.data)
    except ValidationError as error:
        wrong = mistake(error)
        line = found.line(*wrong.keys)
        raise UserError(f"{path}:{line}: {wrong.where or 'policy'}: {wrong.message}") from None
