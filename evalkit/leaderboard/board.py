"""A board: which tasks, shots, columns and weights (leaderboards/NAME.yaml)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.spec.strict import Strict, mistake
from evalkit.store.paths import share
from evalkit.text.reading import read_yaml

Facts = Literal[
    "type", "parameters", "precision", "quantization", "adapters", "revision", "backend", "hardware", "date"
]


class Column(Strict):
    """One column: a task's (or group's) metric, or a performance counter by its dotted name."""

    title: str = Field(min_length=1, max_length=60)
    task: str | None = None
    metric: str | None = None
    """"acc,none"; None: the task's primary metric."""
    num_fewshot: int | None = Field(default=None, ge=0)
    """Only results with these shots count; None: any."""
    full: bool = False
    """Only results over all documents of the full set count."""
    counter: str | None = None
    scale: float = Field(default=1.0, gt=0)
    """A counter is multiplied by it (1e-9: bytes as GB)."""
    unit: str = Field(default="", max_length=20)
    higher_is_better: bool = True
    """Of counters; a metric knows its own direction."""
    weight: float = Field(default=1.0, ge=0)
    group: str = Field(default="", max_length=60)
    hidden: bool = False
    """Not shown until the reader chooses it."""

    @model_validator(mode="after")
    def _one_source(self) -> Column:
        if (self.task is None) == (self.counter is None):
            raise ValueError("a column needs either task or counter")
        if self.counter and (self.metric or self.num_fewshot is not None or self.full):
            raise ValueError("metric, num_fewshot and full belong to a task, not to a counter")
        return self


class Plot(Strict):
    """One quantity against another (`chosen_plots` draws it)."""

    x: str = Field(min_length=1, max_length=60)
    """A column's title; or parameters, step or tokens (of training), date."""
    y: str = Field(default="score", min_length=1, max_length=60)
    """A column's title, or score."""
    title: str = Field(default="", max_length=120)
    log: bool = False
    """x by its logarithm."""
    front: bool = False
    """With the Pareto front: of each axis its own direction is the better one."""
    fit: Literal["plain", "floor"] | None = None
    """With a scaling law, without or with a floor."""


class Board(Strict):
    """A leaderboard's definition."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
    title: str = Field(min_length=1, max_length=120)
    description: str = Field(default="", max_length=2000)
    columns: tuple[Column, ...] = Field(min_length=1)
    score: Literal["mean", "families", "win_rate", "column"] = "mean"
    """What rows are ranked by: the weighted mean of the columns, the mean over families (the columns' groups) of each
    one's weighted mean, the mean win rate, or the first column."""
    facts: tuple[Facts, ...] = ("type", "parameters", "precision", "quantization", "adapters")
    """Facts of a model that are shown at first; the rest can be chosen."""
    plots: tuple[Plot, ...] = ()
    published: tuple[str, ...] = ()
    """Files of leaderboards/published whose numbers stand beside the measured ones."""

    @property
    def weights(self) -> tuple[float, ...]:
        """What each column counts in the score; with families these sum to 1."""
        own = [column.weight for column in self.columns]
        if self.score != "families":
            return tuple(own)
        totals: dict[str, float] = {}
        for column in self.columns:
            totals[column.group] = totals.get(column.group, 0.0) + column.weight
        counted = [group for group, total in totals.items() if total]
        return tuple(
            column.weight / (totals[column.group] * len(counted)) if column.weight else 0.0 for column in self.columns
        )

    @property
    def formula(self) -> str:
        """The score of a board of families, spelled out: which columns make up which of them."""
        families: dict[str, list[str]] = {}
        for column in self.columns:
            if column.weight:
                weight = "" if column.weight == 1 else f" (weight {column.weight:g})"
                families.setdefault(column.group, []).append(f"{column.title}{weight}")
        means = " + ".join(f"mean({', '.join(titles)})" for titles in families.values())
        return f"({means}) / {len(families)}"

    @model_validator(mode="after")
    def _distinct(self) -> Board:
        titles = [column.title for column in self.columns]
        if len(set(titles)) != len(titles):
            raise ValueError("two columns have the same title")
        for plot in self.plots:
            for name in {plot.x, plot.y} - {*titles, "parameters", "step", "tokens", "date", "score"}:
                raise ValueError(f"a plot asks for {name!r}, which is no column's title")
        if self.score == "families" and not all(column.group for column in self.columns if column.weight):
            raise ValueError("score: families needs a group for every column that counts")
        return self


def names() -> list[str]:
    """The boards that are shipped."""
    return sorted(path.stem for path in share("leaderboards").glob("*.yaml"))


def load_board(name: str) -> Board:
    """A shipped board by its name, or one from a YAML file. Raises UserError that names file, key and what to do."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = share("leaderboards") / f"{name}.yaml"
        if name not in names():
            raise UserError(
                f"leaderboard: there is no board {name!r}{did_you_mean(name, names())}; or give a YAML file"
            )
    found = read_yaml(path, "board")
    try:
        return Board.model_validate(found.data)
    except ValidationError as error:
        wrong = mistake(error)
        raise UserError(f"{found.locate(*wrong.keys)}: {wrong.message}: see docs/leaderboards.md") from None
