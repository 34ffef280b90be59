"""Data sets "evalkit/NAME": made here from a seed, so they are there without a network and cannot have been memorised.

A generator is a function of the data set's config ("seed=7:n=200") that gives rows, always the same ones for the same
config; it stands in the entry-point group ``evalkit.generators`` under NAME.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract import registry
from evalkit.contract.types import DatasetRef

PREFIX = "evalkit/"
GENERATORS = "evalkit.generators"


def is_own(dataset_id: str) -> bool:
    """Whether the rows are made here."""
    return dataset_id.startswith(PREFIX)


def of_task(name: str) -> str:
    """The data set's id of rows that are written in the task's own file."""
    return PREFIX + name


def make(dataset: DatasetRef) -> Sequence[Mapping[str, Any]]:
    """The rows. UserError for a generator that is not there and for a config that it does not understand."""
    rows: Sequence[Mapping[str, Any]] = registry.load(GENERATORS, dataset.id.removeprefix(PREFIX))(dataset.config)
    return rows
