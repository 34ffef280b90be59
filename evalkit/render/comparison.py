"""A Comparison as terminal tables and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalkit.analysis.compare import Comparison, RunComparison
from evalkit.analysis.decision import Decision
from evalkit.render.sheet import MOST, Column, Sheet
from evalkit.text import numbers
from evalkit.text.escape import visible
from evalkit.text.markdown import inline

if TYPE_CHECKING:
    from rich.console import Console

HEADERS = (
    "Task",
    "Metric",
    "Base",
    "Candidate",
    "Difference",
    "Interval",
    "p",
    "p (Holm)",
    "Detectable",
    "Flipped",
    "n",
    "",
)
COLUMNS = (
    Column("Task", "name"),
    Column("Metric", "name", spare=1),
    Column("Base", "whole", right=True),
    Column("Candidate", "whole", right=True),
    Column("Difference", "whole", right=True),
    Column("Interval", "whole", right=True),
    Column("p", "whole", right=True, spare=6),
    Column("p (Holm)", "whole", right=True, spare=2),
    Column("Detectable", "whole", right=True, spare=5),
    Column("Flipped", "whole", right=True, spare=3),
    Column("n", "whole", right=True, spare=4),
    Column("", "prose"),
)
"""The same for a terminal, with what a narrow one goes without; --json and --markdown have everything."""
STYLES = {"better": "green", "worse": "red"}


def cells(row: Decision) -> tuple[str, ...]:
    """One row's texts, in the order of HEADERS; shares in percent."""
    share = row.is_share
    arrow = "↑" if row.higher_is_better else "↓"
    difference = row.difference
    flipped = (
        f"+{len(row.improved)} {numbers.MINUS}{len(row.worsened)}" if row.level == "task" and difference.binary else ""
    )
    return (
        f"{row.task} (mean of {len(row.tasks)} tasks)" if row.level == "macro" else row.task,
        " ".join(part for part in (row.metric.removesuffix(",none"), numbers.unit(row.unit), arrow) if part),
        numbers.score(row.base, share),
        numbers.score(row.candidate, share),
        numbers.MISSING if difference.value is None else numbers.signed(difference.value, share),
        numbers.interval(difference.interval, share, plus=True),
        numbers.MISSING if row.reason else numbers.p_value(difference.p_value),
        "" if row.p_adjusted is None else numbers.p_value(row.p_adjusted),
        numbers.score(difference.detectable, share),
        flipped,
        f"{difference.n:,}",
        row.verdict,
    )


def print_comparison(comparison: Comparison, console: Console, flips: int = 0, all_metrics: bool = False) -> None:
    """Tables on the terminal, of the primary metrics or of all; ``flips``: how many flipped items of each task to
    list, either way.
    """
    from rich.text import Text

    for candidate in comparison.candidates:
        console.print(Text(visible(f"{candidate.label} against {comparison.base}"), style="bold"))
        for note in notes(candidate):
            console.print(Text(visible(note), style="yellow"))
        primary = [row for row in candidate.metrics if row.primary]
        shown = list(candidate.metrics) if all_metrics else _unfolded(primary)
        console.print(_sheet(shown))
        if not all_metrics and (folded := len(primary) - len(shown)):
            console.print(Text(f"{folded} tasks of groups with no difference shown: --all-metrics", style="dim"))
        if not all_metrics and (left := len(candidate.metrics) - len(primary)):
            console.print(Text(f"{left} rows of secondary metrics: --all-metrics", style="dim"))
        for row in candidate.metrics if flips else ():
            for title, items in (("improved", row.improved), ("worsened", row.worsened)):
                for flip in items[:flips]:
                    change = f"{flip.base:g} → {flip.candidate:g}"
                    text = f"  {row.task} {row.metric} {title}: {change}  {flip.key}  {flip.title}"
                    console.print(Text(visible(text)), overflow="ellipsis", no_wrap=True)
                if len(items) > flips:
                    console.print(Text(f"  {row.task} {row.metric} {title}: {len(items) - flips} more", style="dim"))
        console.print(Text(footnote(comparison), style="dim"))


FOOTNOTE = (
    "Differences are candidate minus base on the items both scored, in percentage points for shares. An interval "
    "leaves zero out exactly where the verdict is better or worse: {level:g} %, and more where several tasks are "
    "tested at once (Holm). Equal: the same value on every item. Detectable: the smallest true difference that this "
    "many items find with 80 % power. Methods and levels: --json, and docs/statistics.md."
)


def footnote(comparison: Comparison) -> str:
    """What the columns mean."""
    return FOOTNOTE.format(level=round(100 * (1 - comparison.alpha), 4))


def _sheet(rows: Sequence[Decision]) -> Sheet:
    table = Sheet(COLUMNS)
    for row in rows:
        texts = cells(row)
        table.row(*map(visible, texts), styles={len(texts) - 1: STYLES.get(texts[-1], "dim")})
    return table


def _unfolded(rows: Sequence[Decision]) -> list[Decision]:
    """The rows without those tasks of large groups of which no difference is shown."""
    inner = {task for row in rows if len(row.tasks) > MOST and row.level != "task" for task in row.tasks}
    return [row for row in rows if row.level != "task" or row.task not in inner or row.verdict in STYLES]


def notes(candidate: RunComparison) -> Iterator[str]:
    """What a reader must know before the numbers."""
    for mismatch in candidate.mismatches:
        yield f"not the same measurement: {mismatch}"
    untold = {covered.task for covered in candidate.coverage if covered.reason}
    for one in candidate.not_judged:
        if one.task not in untold:
            yield str(one)
    for name, where in ((candidate.only_base, "base"), (candidate.only_candidate, "candidate")):
        if name:
            yield f"only in the {where}: {', '.join(name)}"
    for covered in candidate.coverage:
        if covered.reason and covered.base and covered.candidate:
            yield f"{covered.task}: not judged: {covered.reason}"
    for row in candidate.metrics:
        if row.level == "task" and row.primary and (row.unmatched_base or row.unmatched_candidate):
            yield (
                f"{row.task}: left out because the other run has no score for them: "
                f"{row.unmatched_base} items of the base, {row.unmatched_candidate} of the candidate"
            )


def comparison_markdown(comparison: Comparison, flips: int = 5) -> str:
    """The same as GitHub-flavoured Markdown; all texts escaped."""
    lines: list[str] = []
    for candidate in comparison.candidates:
        lines += [f"## {inline(candidate.label)} against {inline(comparison.base)}", ""]
        for note in notes(candidate):
            lines += [f"> {inline(note)}", ""]
        lines += ["| " + " | ".join(HEADERS) + " |", "|:--|:--|" + "--:|" * 9 + ":--|"]
        lines += ["| " + " | ".join(inline(text) for text in cells(row)) + " |" for row in candidate.metrics]
        lines += ["", footnote(comparison), ""]
        changed = [row for row in candidate.metrics if flips and row.primary and (row.improved or row.worsened)]
        for row in changed:
            lines += ["<details>", f"<summary>Flipped items of {inline(row.task)}</summary>", ""]
            for title, items in (("improved", row.improved), ("worsened", row.worsened)):
                more = f", the first {flips}" if len(items) > flips else ""
                lines.append(f"{len(items)} {title}{more}:")
                lines += ["", *(f"- {inline(flip.key)} {inline(flip.title)}" for flip in items[:flips]), ""]
            lines += ["</details>", ""]
    return "\n".join(lines)
