"""The pages of `evalkit view` as HTML: values for the report's own templates, styles and scripts."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from evalkit.analysis.compare import Comparison
from evalkit.contract.errors import UserError
from evalkit.leaderboard import board
from evalkit.render import page
from evalkit.render.comparison import HEADERS, cells, footnote, notes
from evalkit.render.report import BANNERS, fact_line
from evalkit.render.samples import CHUNK
from evalkit.render.templates import environment, markup
from evalkit.store import RunDir, live
from evalkit.store.paths import share
from evalkit.viewer.items import tasks_with_items
from evalkit.viewer.runs import Entry, Folder, interim, view_of

PAGE = 50
"""Runs on a page of the list."""
MOST_PARTS = 40
"""Tasks whose progress a page shows."""
MOST_OTHERS = 200
TONES = {"better": "better", "worse": "worse"}
OWN_BOARD = "runs"
"""The board of the tasks that the runs have."""
SCRIPTS = ("fetch.js", "choices.js", "samples.js", "view.js", "page.js")


@lru_cache(maxsize=1)
def _assets() -> dict[str, Any]:
    early, script = page.assets(("theme.js",)), page.assets(SCRIPTS)
    return {
        "policy": page.policy([page.script_hash(early), page.script_hash(script)], server=True),
        "style": markup(page.assets(("base.css", "plots.css", "report.css", "view.css"))),
        "early": markup(early),
        "script": markup(script),
    }


def policy() -> str:
    """The pages' Content-Security-Policy: their own two scripts, and requests to their own server."""
    return str(_assets()["policy"])


def _page(name: str, folder: Folder, **values: Any) -> str:
    common = {**_assets(), "folder": folder.path, "banner_words": BANNERS, "here": "", "events": ""}
    return environment(share("reports")).get_template(f"view/{name}.html.j2").render(**{**common, **values})


def address(path: str, *pairs: tuple[str, Any]) -> str:
    """A path with a query."""
    return f"{path}?{urlencode(pairs)}" if pairs else path


def message(folder: Folder, heading: str, text: str) -> str:
    """A page with one sentence."""
    return _page("message", folder, heading=heading, text=text)


def runs(folder: Folder, query: str, number: int) -> str:
    """The list, the run that changed last first."""
    entries = list(folder.entries().values())
    words = query.lower().split()
    found = [entry for entry in entries if entry.matches(words)]
    pages = max(1, -(-len(found) // PAGE))
    number = min(max(number, 1), pages)
    lines = [_line(folder, entry) for entry in found[(number - 1) * PAGE : number * PAGE]]

    def of_page(other: int) -> str:
        return address("/", ("q", query), ("page", other)) if 1 <= other <= pages else ""

    return _page(
        "list",
        folder,
        here="runs",
        events="/events",
        query=query,
        lines=lines,
        found=len(found),
        total=len(entries),
        page=number,
        pages=pages,
        before=of_page(number - 1),
        after=of_page(number + 1),
    )


def _line(folder: Folder, entry: Entry) -> dict[str, Any]:
    summary = folder.summary(entry)
    return {
        "entry": entry,
        "summary": summary,
        "url": address("/run", ("id", entry.id)),
        "when": time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.changed)),
        "comparable": summary.standing in ("finished", "partial"),
    }


def run(folder: Folder, entry: Entry) -> str:
    """One run: how far it is, its numbers, its samples."""
    summary, state, problem = folder.summary(entry), live.read(entry.path), ""
    view, facts = None, [""]
    warnings: Sequence[tuple[str, str]] = ()
    if state is not None:
        view = interim(entry, state)
        facts = [fact_line(view.runs[0], documents=False)]
    elif summary.standing in ("finished", "partial"):
        try:
            view = view_of(entry, RunDir.open(entry.path).result())
            facts, warnings = [fact_line(view.runs[0])], view.warnings
        except UserError as error:
            problem = str(error)
    others = [one for one in folder.entries().values() if one.id != entry.id][:MOST_OTHERS]
    comparable = [one for one in others if _has_results(one)]
    return _page(
        "run",
        folder,
        events=address("/events", ("id", entry.id)),
        entry=entry,
        summary=summary,
        state=state,
        pace=_pace(state),
        most=MOST_PARTS,
        view=view,
        facts=facts,
        warnings=warnings,
        problem=problem or summary.problem,
        rows=[row for block in view.blocks for row in block.headline] if view else [],
        report=address("/report", ("run", entry.id)),
        others=comparable,
        samples_note=_live_note(state),
        manifest=markup(page.embed(manifest([entry]))),
    )


def _has_results(entry: Entry) -> bool:
    return entry.stamp[1] > 0  # the time of results.json


def _live_note(state: live.State | None) -> str:
    if state is None:
        return ""
    return (
        f"The first {live.ROWS:,} documents of each task that were answered and scored; all of them when the run ends."
    )


def _pace(state: live.State | None) -> str:
    """Requests a second and the time left; "" where they cannot be known yet."""
    if state is None or not state.alive or state.phase != "answering":
        return ""
    seconds = state.updated - state.started
    by_tokens = bool(state.tokens_total)
    done = state.tokens if by_tokens else state.requests - state.reused
    ahead = (state.tokens_total or 0) if by_tokens else state.total - state.reused
    if seconds < 3 or done <= 0 or done < 0.02 * ahead:
        return ""
    left = max(0, ahead - done) / (done / seconds)
    minutes, rest = divmod(round(left), 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
    return f"{done / seconds:,.0f} {'tokens' if by_tokens else 'requests'}/s, about {clock} left"


def manifest(entries: Sequence[Entry]) -> dict[str, Any]:
    """What the sample browser is told: runs, tasks with their sizes, and where their items are had."""
    primary: dict[str, str] = {}
    sizes: dict[str, int] = {}
    folded: set[str] = set()
    for entry in entries:
        for info in tasks_with_items(entry):
            primary.setdefault(info.name, info.primary)
            if info.folded:
                folded.add(info.name)
            sizes[info.name] = max(sizes.get(info.name, 0), _count(entry, info.name))
    labels = [entry.label for entry in entries]
    names = [
        label if labels.count(label) == 1 else f"{label} ({entry.id})"
        for label, entry in zip(labels, entries, strict=True)
    ]
    shown = [(name, metric) for name, metric in primary.items() if sizes[name]]
    tasks = [
        {"name": name, "metric": metric, "n": sizes[name], "of": sizes[name], "size": CHUNK, "index": f"i{place}"}
        | ({"folded": True} if name in folded else {})
        for place, (name, metric) in enumerate(shown)
    ]
    return {"runs": names, "tasks": tasks, "remote": address("/items", *(("run", entry.id) for entry in entries))}


def _count(entry: Entry, task: str) -> int:
    try:
        return RunDir(entry.path).sample_count(task)
    except UserError:
        return live.count_rows(entry.path, task)


def compare(
    folder: Folder, entries: Sequence[Entry], found: Comparison | None, problem: str, mismatch: bool, allowed: bool
) -> str:
    """Candidates against the first run, as `evalkit compare` decides it. ``mismatch``: asking again with what differs
    let through (``allowed``) may help.
    """
    pairs = [("run", entry.id) for entry in entries]
    extra = [("allow_mismatch", 1)] if allowed else []
    return _page(
        "compare",
        folder,
        entries=entries,
        urls=[address("/run", ("id", entry.id)) for entry in entries],
        problem=problem,
        compared=[_compared(found, number) for number in range(len(found.candidates))] if found else [],
        headers=HEADERS,
        footnote=footnote(found) if found else "",
        swap=address("/compare", *reversed(pairs), *extra) if len(pairs) == 2 else "",
        anyway=address("/compare", *pairs, ("allow_mismatch", 1)) if mismatch and not allowed else "",
        report=address("/report", *pairs) if found else "",
        manifest=markup(page.embed(manifest(entries))),
    )


def _compared(found: Comparison, number: int) -> dict[str, Any]:
    candidate = found.candidates[number]
    rows = [(row.primary, {"texts": cells(row), "tone": TONES.get(row.verdict, "even")}) for row in candidate.metrics]
    return {
        "title": f"{candidate.label} against {found.base}",
        "notes": list(notes(candidate)),
        "tables": [
            ("Primary metrics", [row for primary, row in rows if primary], True),
            ("Other metrics", [row for primary, row in rows if not primary], False),
        ],
    }


def boards(folder: Folder) -> str:
    """Which boards there are to be made."""
    shipped = [board.load_board(name) for name in board.names()]
    listed = [{"url": f"/board/{OWN_BOARD}/", "title": "These runs", "text": "every task that they have"}]
    listed += [{"url": f"/board/{one.name}/", "title": one.title, "text": one.description} for one in shipped]
    return _page("boards", folder, here="boards", boards=listed)
