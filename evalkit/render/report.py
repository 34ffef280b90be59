"""`evalkit report`: run directories -> one self-contained HTML file, and Markdown."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit import __version__
from evalkit.contract.errors import UserError
from evalkit.render import page
from evalkit.render.beside import published_beside
from evalkit.render.charts import charts
from evalkit.render.pareto import pareto_charts
from evalkit.render.performance_charts import performance_charts
from evalkit.render.sample_charts import sample_charts
from evalkit.render.samples import Browser, Piece
from evalkit.render.ties import find_ties
from evalkit.render.view import Row, Run, Ties, View, build, labels, tasks_of
from evalkit.store import RunDir
from evalkit.store.files import replacing
from evalkit.text.escape import visible
from evalkit.text.markdown import code_block, inline
from evalkit.text.numbers import MISSING

if TYPE_CHECKING:
    from evalkit.store import RunDir

BANNERS = {
    "sample": "Bundled sample:",
    "partial": "Partial:",
    "limited": "Limited:",
    "status": "Documents:",
}
LEVELS = {"task": "", "micro": ", mean over documents", "macro": ", mean over tasks"}

EARLY = ("theme.js",)
SCRIPTS = ("unpack.js", "charts.js", "samples.js", "page.js")


def write(runs: Sequence[Path], out: Path) -> Path:
    """Markdown where the file's name ends in ".md", else HTML. Returns ``out``; raises UserError as these do."""
    return (write_markdown if out.suffix.lower() == ".md" else write_report)(runs, out)


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write one HTML file about one run, or several side by side. Returns ``out``.

    Raises UserError for a folder that is no run directory or a file that cannot be written.
    """
    opened, loaded = load(runs)
    view = build(loaded, _ties(opened, loaded))
    figures = [*charts(view), *pareto_charts(view), *sample_charts(opened, loaded), *performance_charts(loaded)]
    browser = Browser([run.label for run in loaded], _sample_tasks(loaded), opened)
    library = page.plotly() if figures else ""
    early, script = page.assets(EARLY), page.assets(SCRIPTS)
    context = _context(view) | {
        "policy": page.policy([early, script, *([library] if library else [])]),
        "style": _markup(page.assets(("base.css", "report.css"))),
        "early": _markup(early),
        "script": _markup(script),
        "figures": figures,
        "figures_json": _markup(page.embed(figures)),
        "pieces": _pieces(browser, library),
        "manifest": lambda: _markup(page.embed(browser.manifest)),
    }
    template = page.environment()
    template.filters |= {"visible": lambda value: visible(str(value)), "breakable": _breakable}
    _stream(template.get_template("report.html.j2").stream(**context), out)
    return out


def write_markdown(runs: Sequence[Path], out: Path) -> Path:
    """Write the tables as GitHub-flavoured Markdown. Returns ``out``; raises UserError as write_report does."""
    opened, loaded = load(runs)
    view = build(loaded, _ties(opened, loaded))
    template = page.environment()
    template.filters |= {"md": inline, "code": code_block}
    _stream(template.get_template("report.md.j2").stream(**_context(view)), out)
    return out


def load(paths: Sequence[Path]) -> tuple[list[RunDir], list[Run]]:
    """Open run directories and name them."""

    if not paths:
        raise UserError("report: no run given: name one or more run directories")
    opened = [RunDir.open(Path(path)) for path in paths]
    results = [run.result() for run in opened]
    names = labels(results, [Path(path) for path in paths])
    loaded = [
        Run(number, name, Path(path), result)
        for number, (name, path, result) in enumerate(zip(names, paths, results, strict=True))
    ]
    return opened, loaded


def _ties(opened: Sequence[RunDir], runs: Sequence[Run]) -> Ties:
    return find_ties(opened, runs) if len(runs) > 1 else Ties()


def _context(view: View) -> dict[str, Any]:
    headline: list[Row] = [row for block in view.blocks for row in block.headline]
    return {
        "view": view,
        "headline": headline,
        "baselines": any(row.baseline_at is not None for row in headline),
        "majorities": any(row.majority != MISSING for block in view.blocks for row in block.rows),
        "beside": published_beside(view.runs),
        "facts": [_fact_line(run) for run in view.runs],
        "banner_words": BANNERS,
        "missing": MISSING,
        "level_words": LEVELS,
        "version": __version__,
    }


def _fact_line(run: Run) -> str:
    """The model in one line: backend, size, dtype, quantization, adapter, device, documents, date."""
    model, environment = run.result.model, run.result.environment
    details = model.get("details") or {}
    adapter = details.get("adapter") or {}
    size = model.get("n_parameters")
    parts = [
        str(model.get("backend") or ""),
        f"{size / 1e9:.3g} B parameters" if isinstance(size, int | float) and size >= 1e9 else "",
        f"{size / 1e6:.3g} M parameters" if isinstance(size, int | float) and 0 < size < 1e9 else "",
        str(model.get("dtype") or ""),
        str((run.result.spec.get("model") or {}).get("quant") or ""),
        f"{adapter['type']} adapter" if isinstance(adapter, Mapping) and adapter.get("type") else "",
        str(model.get("device") or ""),
        f"{sum(task.n for task in run.result.tasks):,} documents",
        str(environment.get("start_time") or "")[:10],
    ]
    return " · ".join(part for part in parts if part)


def _sample_tasks(runs: Sequence[Run]) -> list[tuple[str, str, bool]]:
    found = []
    for name, results in tasks_of(runs).items():
        info = next(task for task in results if task).info
        metric = info.primary.split(",")[0]
        found.append((name, info.primary, bool(info.higher_is_better.get(metric, True))))
    return found


def _pieces(browser: Browser, library: str) -> Any:
    """Plotly first, then the samples; base64 is plain text to any parser."""
    if library:
        yield Piece("plotly", base64.b64encode(gzip.compress(library.encode(), 9, mtime=0)).decode())
    yield from browser.pieces()


def _markup(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # our own assets and escaped JSON only


def _breakable(name: str) -> Any:
    """A name that may be broken after its underscores; escaped before the break marks are put in."""
    from markupsafe import Markup, escape

    return Markup(str(escape(visible(name))).replace("_", "_<wbr>"))


def _stream(stream: Any, out: Path) -> None:
    """Write piece by piece into a neighbour file, then rename: no reader sees half a page."""

    stream.enable_buffering(50)
    with replacing(out) as draft, draft.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        stream.dump(file)
