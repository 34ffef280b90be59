"""One self-contained page of a study: sentences, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.render import page
from evalkit.render.figures import Figure
from evalkit.render.templates import environment, markup
from evalkit.store.files import replacing
from evalkit.store.paths import share
from evalkit.text.markdown import inline

EARLY, SCRIPTS = ("theme.js",), ("page.js",)


@dataclass(frozen=True, slots=True)
class Table:
    """Cells as text; the first column names the rows."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A section with its figures above its tables."""

    title: str
    note: str = ""
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """What stands on it; texts are escaped when it is written."""

    title: str
    lead: tuple[str, ...]
    parts: tuple[Part, ...]


def write_markdown(shown: Page, out: Path) -> Path:
    """Write the sentences and tables as Markdown. Raises UserError for a file that cannot be written."""
    lines = [f"# {inline(shown.title)}", ""]
    for text in shown.lead:
        lines += [inline(text), ""]
    for part in shown.parts:
        lines += [f"## {inline(part.title)}", ""]
        if part.note:
            lines += [inline(part.note), ""]
        for table in part.tables:
            lines += [_row(table.columns), _row([":--", *["--:"] * (len(table.columns) - 1)])]
            lines += [*(_row([inline(cell) for cell in row]) for row in table.rows), ""]
    with replacing(out) as draft:
        draft.write_text("\n".join(lines), "utf-8", errors="replace", newline="\n")
    return out


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_page(shown: Page, out: Path) -> Path:
    """Write ``shown`` as HTML. Raises UserError for a file that cannot be written."""
    early, script = page.assets(EARLY), page.assets(SCRIPTS)
    text = (
        environment(share("reports"))
        .get_template("study.html.j2")
        .render(
            page=shown,
            policy=page.policy([page.script_hash(early), page.script_hash(script)]),
            style=markup(page.assets(("base.css", "plots.css", "report.css"))),
            early=markup(early),
            script=markup(script),
        )
    )
    with replacing(out) as draft:
        draft.write_text(text, "utf-8", errors="replace", newline="\n")
    return out
