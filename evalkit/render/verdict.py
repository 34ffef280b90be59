"""A GateResult for people and machines: terminal, Markdown, JUnit XML."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from evalkit.analysis.check import Check
from evalkit.analysis.gate import GateResult
from evalkit.contract.errors import UserError
from evalkit.render.sheet import MOST, Column, Sheet
from evalkit.text.escape import visible
from evalkit.text.markdown import inline

if TYPE_CHECKING:
    from rich.console import Console

WORDS = {"pass": "pass", "regression": "regression", "inconclusive": "cannot tell", "skipped": "not comparable"}
STYLES = {"pass": "green", "regression": "bold red", "inconclusive": "yellow", "skipped": "dim"}
SENTENCES = {
    "pass": "Pass: shown to be no worse than is allowed.",
    "regression": "Regression: something is shown to be worse than is allowed, or missing.",
    "inconclusive": "Inconclusive: shown neither to be worse than is allowed, nor to be no worse; reasons stand above.",
}


def print_gate(result: GateResult, console: Console) -> None:
    """A table of all checks and the verdict."""
    from rich.text import Text

    table = Sheet(
        [
            Column("Outcome"),
            Column("Check", "whole", spare=2),
            Column("Task", "name"),
            Column("Metric", "name", spare=1),
            Column("What"),
        ]
    )
    parts = [check for check in result.checks if check.kind == "part" and check.outcome != "regression"]
    folded = parts if len(parts) > MOST else []
    for check in result.checks:
        if check not in folded:
            texts = (WORDS[check.outcome], check.kind, check.task, check.metric, check.message)
            table.row(*map(visible, texts), styles={0: STYLES[check.outcome]})
    console.print(Text(visible(f"{result.candidate} against {result.base}"), style="bold"))
    console.print(table)
    if folded:
        console.print(
            Text(f"{len(folded)} parts of groups, none shown to be worse, are not listed: --json, --markdown")
        )
    console.print(Text(SENTENCES[result.outcome], style=STYLES[result.outcome]))


def gate_markdown(result: GateResult) -> str:
    """The verdict and its checks as GitHub-flavoured Markdown; all texts escaped."""
    lines = [
        f"### evalkit gate: {WORDS[result.outcome]}",
        "",
        f"{SENTENCES[result.outcome]} {inline(result.candidate)} against {inline(result.base)}.",
        "",
        "| Outcome | Check | Task | Metric | What |",
        "|:--|:--|:--|:--|:--|",
    ]
    order = {"regression": 0, "inconclusive": 1, "skipped": 2, "pass": 3}
    for check in sorted(result.checks, key=lambda check: order[check.outcome]):
        texts = (WORDS[check.outcome], check.kind, check.task, check.metric, check.message)
        lines.append("| " + " | ".join(inline(text) for text in texts) + " |")
    return "\n".join([*lines, ""])


def gate_junit(result: GateResult) -> str:
    """JUnit XML: a test case a check; a regression is a failure, an undecided check an error, the rest skipped."""
    suite = TestSuite("evalkit gate")
    suite.add_testcases([_case(check) for check in result.checks])
    report = JUnitXml()
    report.add_testsuite(suite)
    report.update_statistics()
    written = BytesIO()
    report.write(written, pretty=True)
    return written.getvalue().decode()


def _case(check: Check) -> TestCase:
    name = " ".join(part for part in (check.kind, check.task, check.metric) if part)
    case = TestCase(visible(name), classname="evalkit.analysis.gate")
    message = visible(check.message)
    if check.outcome == "pass":
        case.system_out = message
        return case
    kind = {"regression": Failure, "inconclusive": Error, "skipped": Skipped}[check.outcome]
    outcome = kind(message, None if check.outcome == "skipped" else check.outcome)
    outcome.text = message
    case.result = [outcome]
    return case


def append_summary(text: str) -> Path | None:
    """Append Markdown to the file that GitHub Actions names in GITHUB_STEP_SUMMARY; None outside of it."""
    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if not target:
        return None
    path = Path(target)
    try:
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text + "\n")
    except OSError as error:
        raise UserError(f"gate: cannot write GITHUB_STEP_SUMMARY ({path}): {error.strerror}") from None
    return path
