"""A plan of a gate for people: a table on the terminal, and one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.analysis.planning import NO_CHANGE, Odds, Plan, Row
from evalkit.text import numbers
from evalkit.text.escape import visible

if TYPE_CHECKING:
    from rich.console import Console


def print_plan(plan: Plan, console: Console) -> None:
    """What exit codes to expect, and how many items are needed."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("Task")
    table.add_column("Metric")
    for name in ("Items", "Margin", "Changed"):
        table.add_column(name, justify="right")
    for name in plan.scenarios:
        table.add_column(f"{name}: exit 0 / 1 / 3", justify="right")
    table.add_column("Items for 80 % exit 0", justify="right")
    for row in (*plan.rows, *([plan.overall] if plan.overall else [])):
        table.add_row(*(Text(visible(cell)) for cell in _cells(row, plan)))
    console.print(Text(visible(f"If {plan.base} is the baseline"), style="bold"))
    console.print(table)
    for row in plan.rows:
        if row.reason:
            console.print(Text(visible(f"{row.task}: not planned: it {row.reason}")))
    console.print(Text(_basis(plan)))


def plan_line(plan: Plan) -> str:
    """The odds of an unchanged candidate, in one line."""
    row = plan.overall or next(row for row in plan.rows if not row.reason)
    odds = row.odds[NO_CHANGE]
    if row.items_needed is None:
        needed = f"not even all {row.total:,} would make it 80 %"
    else:
        needed = f"{row.items_needed:,} make it 80 %"
    change = "" if plan.assumed is None else f" that changes {plan.assumed:.0%} of the items"
    return (
        f"plan: an unchanged model{change} passes the gate with {odds.passed:.0%} on {row.items:,} items; {needed} "
        "(evalkit plan)"
    )


def _cells(row: Row, plan: Plan) -> list[str]:
    odds = [_odds(row.odds.get(name)) for name in plan.scenarios]
    needed = numbers.MISSING if row.reason else _needed(row)
    whole = plan.overall is row
    margin = "" if whole else numbers.score(row.margin, row.is_share)
    changed = "" if whole or row.reason else f"{row.changed:.1%}"
    return [row.task, row.metric.removesuffix(",none"), f"{row.items:,}", margin, changed, *odds, needed]


def _odds(odds: Odds | None) -> str:
    return numbers.MISSING if odds is None else f"{odds.passed:.0%} / {odds.regression:.0%} / {odds.neither:.0%}"


def _needed(row: Row) -> str:
    return f"more than all {row.total:,}" if row.items_needed is None else f"{row.items_needed:,} of {row.total:,}"


def _basis(plan: Plan) -> str:
    seen = plan.assumed is None
    what = "Items change as in the earlier runs" if seen else f"Assumed: {plan.assumed:.1%} of the items change"
    return f"{what}; {plan.draws} candidates drawn and judged as evalkit gate does (±{_error(plan.draws)} points)."


def _error(draws: int) -> str:
    """Two standard errors of a share near a half."""
    return f"{100 / draws**0.5:.0f}"
