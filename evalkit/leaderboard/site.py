"""`evalkit leaderboard build`: a table as a static site that loads nothing from anywhere.

index.html          the board: sortable table, filters, plots
models/*.html       one page a row; tasks/*.html one a column
entries/*.json      what the numbers were made of
reports/*.html      the runs' own reports, where there are any
board.{json,csv,parquet}, feed.atom
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.contract.errors import UserError
from evalkit.leaderboard import published
from evalkit.leaderboard.board import Board
from evalkit.leaderboard.categories import categories, mean_text
from evalkit.leaderboard.collect import Found, collect
from evalkit.leaderboard.exports import write_exports
from evalkit.leaderboard.feed import feed
from evalkit.leaderboard.from_runs import lacking, own_board
from evalkit.leaderboard.plots import plots
from evalkit.leaderboard.rows import FILTERS, Line, column_page, graded, heads, lines, note, options, value_text
from evalkit.leaderboard.table import Cell, Row, Table, build_table
from evalkit.render import page
from evalkit.render.templates import environment, markup
from evalkit.store.paths import share
from evalkit.text.numbers import interval as interval_text

MARKER = ".evalkit-site"
OWN_FOLDERS = ("models", "tasks", "entries", "reports")
BADGES = {
    "limited": ("limited", "Scored on part of the documents"),
    "sample": ("sample", "Scored on the bundled items; not comparable with the full set"),
    "published": ("published", "Reported elsewhere, not measured here"),
}


def build_site(
    sources: Sequence[Path],
    board: Board | None,
    out: Path,
    *,
    csv: Sequence[Path] = (),
    with_published: bool = True,
    with_reports: bool = True,
    url: str = "",
) -> Table:
    """Write the site into ``out`` (new, empty, or an earlier site). Returns the table it shows.

    ``board`` None: one is made of the tasks that the entries have. ``csv``: more published numbers; ``url``: where the
    site will stand, for the feed's links.
    Raises UserError for a source that holds nothing, an ``out`` that holds something else, or nothing to show.
    """
    if url and not url.startswith(("https://", "http://")):
        raise UserError(f"leaderboard: --url {url}: give the site's address, https://...")
    found = collect(sources) if sources else []
    board = board or own_board(found)
    names = board.published if with_published else ()
    beside = [entry for name in names for entry in published.shipped(name)]
    beside += [entry for path in csv for entry in published.read_csv(path)]
    found += [Found(entry, Path("published")) for entry in beside]
    table = build_table(board, found)
    if not table.rows:
        told = "; ".join(lacking(table)[:3])
        raise UserError(
            f"leaderboard: nothing to show: none of {len(found)} entries has a result in a column of the board "
            f"{board.name}{f' ({told})' if told else ''}: leave out --board for a board of the tasks that the runs have"
        )
    _prepare(out)
    reports = _copy_reports(table, out) if with_reports else {}
    for row in table.rows:
        for number in row.history:
            entry = table.found[number].entry
            _write(out / "entries" / f"{entry.id}.json", entry.model_dump_json(indent=1) + "\n")
    _write_pages(table, out, reports)
    write_exports(table, out)
    _write(out / "feed.atom", feed(table, url if not url or url.endswith("/") else f"{url}/"))
    return table


def _prepare(out: Path) -> None:
    """Take an empty folder, or clear the pages of an earlier site; never touch a folder that holds anything else."""
    try:
        if out.is_dir() and any(out.iterdir()) and not (out / MARKER).is_file():
            raise UserError(f"{out}: is not empty and no earlier site: give a new or empty --out")
        for name in OWN_FOLDERS:
            if (out / name).is_dir() and not (out / name).is_symlink():
                shutil.rmtree(out / name)
            (out / name).mkdir(parents=True, exist_ok=True)
        (out / MARKER).write_text(f"{__version__}\n", "utf-8")
        # GitHub Pages otherwise leaves out files by Jekyll's rules.
        (out / ".nojekyll").touch()
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}): give another --out") from None


def _copy_reports(table: Table, out: Path) -> dict[int, str]:
    """Entry number -> address of its report, from the site's root."""
    found: dict[int, str] = {}
    for row in table.rows:
        for number in row.history:
            one = table.found[number]
            if one.report is not None:
                name = f"reports/{one.entry.id}.html"
                try:
                    shutil.copyfile(one.report, out / name)
                except OSError as error:
                    raise UserError(f"{one.report}: cannot be copied ({error.strerror}): --no-reports") from None
                found[number] = name
            elif one.entry.report:
                found[number] = one.entry.report
    return found


# -- pages ------------------------------------------------------------------------------------------------------------


def _write_pages(table: Table, out: Path, reports: dict[int, str]) -> None:
    template = environment(share("leaderboards") / "templates")
    columns = heads(table)
    found = lines(table, columns)
    early, script = page.assets(("theme.js",)), page.assets(("page.js",))
    common = {
        "board": table.board,
        "style": markup(page.assets(("base.css", "plots.css")) + page.assets(("board.css",), "leaderboards")),
        "early": markup(early),
        "badges": BADGES,
        "note": note,
        "graded": graded,
        "value_text": value_text,
    }
    _index(template, out, table, columns, found, common)
    small = common | {
        "policy": page.policy([page.script_hash(early), page.script_hash(script)]),
        "script": markup(script),
    }
    model = template.get_template("model.html.j2")
    for line in found:
        context = small | {"line": line, "row": line.row, "columns": _model_columns(table, line.row)}
        context |= {"history": _history(table, line.row, reports), "by_entry": table.by_entry}
        apart = zip(table.board.columns, line.row.differences, strict=False)
        context["apart"] = [(column, told) for column, told in apart if told]
        _write(out / "models" / line.page, model.render(**context))
    task = template.get_template("task.html.j2")
    for place, column in enumerate(table.board.columns):
        head = next(head for head in columns if head.id == f"c{place}")
        context = small | {"column": column, "head": head, "ranking": _ranking(found, place)}
        _write(out / "tasks" / column_page(place, column), task.render(**context))


def _index(template: Any, out: Path, table: Table, columns: Any, found: list[Line], common: dict[str, Any]) -> None:
    figures = plots(table)
    early = page.assets(("theme.js",))
    script = page.assets(("unpack.js", "page.js")) + "\n" + page.assets(("board.js",), "leaderboards")
    hashes = [page.script_hash(early), page.script_hash(script)]
    size = _place(columns, "parameters")
    data = {
        "columns": [
            {"id": head.id, "rising": head.rising, "numeric": head.numeric, "shown": head.shown, "kind": head.kind}
            for head in columns
        ],
        "rows": [{"s": line.sorts, "f": line.filters, "b": line.sorts[size]} for line in found],
    }
    context = common | {
        "policy": page.policy(hashes),
        "script": markup(script),
        "columns": columns,
        "groups": _groups(columns),
        "lines": found,
        "filters": {name: (FILTERS[name], choices) for name, choices in options(found).items()},
        "sizes": any(line.row.entry.model.parameters for line in found),
        "figures": figures,
        "categories": categories(table),
        "mean_text": partial(mean_text, decimals=table.decimals),
        "marked": any(any(line.marks) for line in found),
        "data_json": markup(page.embed(data)),
        "ranked": table.ranked,
        "graders": sorted({told for row in table.rows for cell in row.cells if (told := graded(cell))}),
        "counts": {status: sum(line.row.status == status for line in found) for status in BADGES},
        "by_hardware": table.board.score == "column" and table.board.columns[0].counter is not None,
    }
    _write(out / "index.html", template.get_template("index.html.j2").render(**context))


def _place(columns: Any, name: str) -> int:
    return next(place for place, head in enumerate(columns) if head.id == name)


def _groups(columns: Any) -> list[tuple[str, int]]:
    """(title, how many columns) of the header's first line."""
    found: list[tuple[str, int]] = []
    for head in columns:
        if found and head.group and found[-1][0] == head.group:
            found[-1] = (head.group, found[-1][1] + 1)
        else:
            found.append((head.group, 1))
    return found


def _model_columns(table: Table, row: Row) -> list[tuple[Any, Cell | None, str, str]]:
    return [
        (column, cell, column_page(place, column), interval_text(cell.interval, cell.proportion) if cell else "")
        for place, (column, cell) in enumerate(zip(table.board.columns, row.cells, strict=True))
    ]


def _history(table: Table, row: Row, reports: dict[int, str]) -> list[dict[str, Any]]:
    return [
        {
            "entry": table.found[number].entry,
            "cells": table.by_entry.get(number, (None,) * len(table.board.columns)),
            "file": f"../entries/{table.found[number].entry.id}.json",
            "report": _from_models(reports.get(number)),
        }
        for number in row.history
    ]


def _from_models(report: str | None) -> str | None:
    return f"../{report}" if report and not report.startswith(("https://", "http://")) else report


def _ranking(found: Sequence[Line], place: int) -> list[dict[str, Any]]:
    """Rows by one column, best first, with their place on the column's scale in percent."""
    pairs = [(line, cell) for line in found if (cell := line.row.cells[place]) is not None]
    if not pairs:
        return []
    rising = pairs[0][1].higher_is_better
    pairs.sort(key=lambda pair: -pair[1].value if rising else pair[1].value)
    reach = [value for _, cell in pairs for value in (cell.value, *(cell.interval or ()))]
    low, high = (0.0, 1.0) if all(cell.proportion for _, cell in pairs) else (min(0.0, *reach), max(reach) * 1.02)

    def at(value: float) -> float:
        return round(min(max(100 * (value - low) / ((high - low) or 1), 0.0), 100.0), 2)

    return [
        {
            "line": line,
            "cell": cell,
            "interval": interval_text(cell.interval, cell.proportion),
            "at": at(cell.value),
            "low": at(cell.interval[0]) if cell.interval else None,
            "high": at(cell.interval[1]) if cell.interval else None,
        }
        for line, cell in pairs
    ]


def _write(path: Path, text: str) -> None:
    """A site can be built again: its many files are written straight, without syncing each."""
    try:
        path.write_text(text, "utf-8", errors="replace", newline="\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}): give another --out") from None
