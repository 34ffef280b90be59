"""Data sets of tasks, fetched into a folder that runs read from (`evalkit data pull`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from evalkit.contract.errors import UserError
from evalkit.data import Wanted, pull
from evalkit.data.fetch import Pulled
from evalkit.data.generated import is_own
from evalkit.spec.models import TaskSpec
from evalkit.task.catalog import Catalog
from evalkit.task.shots import parse_suffixes


def pull_data(
    tasks: Sequence[str],
    to: Path,
    *,
    include_path: Sequence[Path] = (),
    tell: Callable[[Pulled, bool], None] | None = None,
) -> tuple[Pulled, ...]:
    """Fetch what the named tasks read, at their pinned revisions. ``tell`` hears of each file, and whether it was there
    already. Raises UserError for an unknown task, and where there is nothing to fetch.
    """
    return pull(_wanted(tasks, include_path), to, tell)


def _wanted(tasks: Sequence[str], include_path: Sequence[Path]) -> list[Wanted]:
    """Every data set that the named tasks read, with the splits they read of it."""
    catalog = Catalog.of(include_path)
    names = [name for word in tasks for name in catalog.expand(parse_suffixes(TaskSpec(name=word)).name)]
    if not names:
        raise UserError("data pull: which tasks? for example: evalkit data pull mmlu,hellaswag --to DIR")
    leaves = dict.fromkeys(leaf for name in names for leaf in catalog.leaves(name))
    # What is generated is there already.
    datasets = [one for leaf in leaves if not is_own((one := catalog.tasks[leaf][0].dataset).id)]
    if leaves and not datasets:
        raise UserError(f"data pull: {','.join(tasks)}: made here from a seed; there is nothing to fetch")
    return [
        Wanted(
            one.id, one.config, one.revision, tuple(filter(None, dict.fromkeys((one.splits.eval, one.splits.fewshot))))
        )
        for one in datasets
    ]
