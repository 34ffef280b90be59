"""gate.yaml: what a candidate must keep, validated; errors name file, line and key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from evalkit.contract.errors import UserError
from evalkit.spec.strict import Strict, mistake
from evalkit.text.reading import read_yaml

SHARE_MARGIN = 0.02
"""Default margin of shares: two percentage points."""
RELATIVE_MARGIN = 0.02
"""Default margin of other metrics, as a share of the baseline's value."""


FailOn = Literal["margin", "any_loss"]
"""What is a regression: a loss shown to be larger than the margin, or any loss that is shown."""


class Rule(Strict):
    """What one task or group must keep. ``margin`` is in the metric's own unit (0.02: two points of accuracy)."""

    metric: str | None = None
    """A metric key ("acc_norm,none"; ",none" may be left out); None: the task's primary metric."""
    margin: float | None = Field(default=None, ge=0)
    relative_margin: float | None = Field(default=None, ge=0, lt=1)
    """A margin as a share of the baseline's value."""
    fail_on: FailOn | None = None
    """None: as the policy's."""
    floor: float | None = None
    """The candidate must not be worse than this (a ceiling where lower is better)."""
    floor_by: Literal["interval", "value"] = "interval"
    """What must reach the floor: the near end of the 95 % interval, so that it is shown; or the number itself."""
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


class Average(Rule):
    """Tasks (or groups: all their tasks) that are judged as one, by the average of their primary metrics in which every
    task weighs the same. They are not judged one by one unless ``tasks`` lists them too.
    """

    tasks: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _a_list_alone(cls, value: Any) -> Any:
        return {"tasks": value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _of_primaries(self) -> Average:
        if self.metric is not None:
            raise ValueError("an average is of the tasks' primary metrics: leave metric out")
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
    average: Average | None = None
    """Several tasks as one: a list of names, or a mapping with ``tasks`` and what else a rule may have."""
    fail_on: FailOn = "margin"
    p_gold: float | None = Field(default=None, ge=0)
    """Of tasks with choices: by how much the probability of the right answer (`gold.p_gold`) may fall, in addition."""
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

    @model_validator(mode="before")
    @classmethod
    def _without_resampling(cls, value: Any) -> Any:
        gone = sorted({"seed", "resamples"} & set(value)) if isinstance(value, Mapping) else []
        if gone:
            raise ValueError(f"{' and '.join(gone)}: nothing is resampled any more; leave it out")
        return value

    @property
    def wants_p_gold(self) -> bool:
        """Whether something is judged by the probability of the right answer."""
        named = (self.default.metric, *(rule.metric for rule in self.tasks.values()))
        return self.p_gold is not None or any(name in ("p_gold", "p_gold,none") for name in named)


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
