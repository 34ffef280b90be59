"""A GateResult for people and machines: terminal, Markdown, JUnit XML."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from evalkit.analysis.gate import Check, GateResult
from evalkit.text.escape import visible
from evalkit.text.markdown import inline

if TYPE_CHECKING:
    from rich.console import Console

WORDS = {"pass": "pass", "regression": "regression", "inconclusive": "cannot tell", "skipped": "not comparable"}
STYLES = {"pass": "green", "regression": "bold red", "inconclusive": "yellow", "skipped": "dim"}
SENTENCES = {
    "pass": "Pass: nothing got worse by more than is allowed.",
    "regression": "Regression: something is worse than is allowed, or missing.",
    "inconclusive": "Inconclusive: no regression shown, but neither that there is none; the reasons stand above.",
}


def print_gate(result: GateResult, console: Console) -> None:
    """A table of all checks and the verdict."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("Outcome", "Check", "Task", "Metric", "What"):
        table.add_column(name, overflow="fold")
    for check in result.checks:
        texts = (check.kind, check.task, check.metric, check.message)
        table.add_row(Text(WORDS[check.outcome], style=STYLES[check.outcome]), *(Text(visible(text)) for text in texts))
    console.print(Text(visible(f"{result.candidate} against {result.base}"), style="bold"))
    console.print(table)
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
    counts = {outcome: sum(check.outcome == outcome for check in result.checks) for outcome in WORDS}
    suite = ET.Element(
        "testsuite",
        name="evalkit gate",
        tests=str(len(result.checks)),
        failures=str(counts["regression"]),
        errors=str(counts["inconclusive"]),
        skipped=str(counts["skipped"]),
    )
    for check in result.checks:
        _case(suite, check)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _case(suite: ET.Element, check: Check) -> None:
    name = " ".join(part for part in (check.kind, check.task, check.metric) if part)
    case = ET.SubElement(suite, "testcase", classname="evalkit.analysis.gate", name=_xml(name))
    message = _xml(check.message)
    if check.outcome == "regression":
        ET.SubElement(case, "failure", message=message, type="regression").text = message
    elif check.outcome == "inconclusive":
        ET.SubElement(case, "error", message=message, type="inconclusive").text = message
    elif check.outcome == "skipped":
        ET.SubElement(case, "skipped", message=message)
    else:
        ET.SubElement(case, "system-out").text = message


def _xml(text: str) -> str:
    """Text that XML 1.0 may hold."""
    return visible(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
