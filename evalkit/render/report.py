"""`evalkit report`: run directories -> one self-contained HTML file, and Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.render import page
from evalkit.render.marks import find_marks
from evalkit.render.sections import Shown, Source, nested, shown
from evalkit.render.templates import environment, markup
from evalkit.render.view import Marks, Run, build, labels
from evalkit.store import RunDir
from evalkit.store.files import replacing
from evalkit.store.paths import share

BANNERS = {
    "sample": "Bundled items:",
    "partial": "Partial:",
    "limited": "Limited:",
    "status": "Documents:",
    "answers": "Answers:",
}

EARLY = ("theme.js",)
SCRIPTS = ("unpack.js", "choices.js", "samples.js", "page.js")


def write(runs: Sequence[Path], out: Path) -> Path:
    """Markdown where the file's name ends in ".md", else HTML. Returns ``out``; raises UserError as these do."""
    return (write_markdown if out.suffix.lower() == ".md" else write_report)(runs, out)


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write one HTML file about one run, or several side by side. Returns ``out``.

    Raises UserError for a folder that is no run directory or a file that cannot be written.
    """
    source = source_of(runs)
    parts = shown(source, "html")
    early, script = page.assets(EARLY), page.assets(SCRIPTS)
    hashes = [page.script_hash(early), page.script_hash(script)]
    hashes += [
        one
        for part in parts
        if part.section.hashes and part.value is not None
        for one in part.section.hashes(part.value)
    ]
    context = {
        "view": source.view,
        "facts": [fact_line(run) for run in source.runs],
        "banner_words": BANNERS,
        "policy": page.policy(hashes),
        "style": markup(page.assets(("base.css", "plots.css", "report.css"))),
        "early": markup(early),
        "script": markup(script),
        "sections": nested(parts),
        "attachments": _attachments(parts),
    }
    _stream(environment(share("reports")).get_template("report.html.j2").stream(**context), out)
    return out


def write_markdown(runs: Sequence[Path], out: Path) -> Path:
    """Write the tables as GitHub-flavoured Markdown. Returns ``out``; raises UserError as write_report does."""
    source = source_of(runs)
    context = {"view": source.view, "banner_words": BANNERS, "sections": shown(source, "md")}
    _stream(environment(share("reports")).get_template("report.md.j2").stream(**context), out)
    return out


def source_of(paths: Sequence[Path]) -> Source:
    """What sections are made from. Raises UserError for a folder that is no run directory."""
    opened, runs = load(paths)
    marks = find_marks(runs) if len(runs) > 1 else Marks()
    return Source(tuple(runs), tuple(opened), build(runs, marks))


def _attachments(parts: Sequence[Shown]) -> Iterator[page.Attachment]:
    """Section by section, and made only when the page comes to them: samples may be many."""
    for part in parts:
        if part.section.attach is not None and part.value is not None:
            for one in part.section.attach(part.value):
                yield replace(one, text=markup(one.text))


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


def fact_line(run: Run, documents: bool = True) -> str:
    """The model in one line: backend, size, dtype, quantization, adapter, device, documents, date."""
    n = sum(task.n for task in run.result.tasks)
    model, surroundings = run.result.model, run.result.environment
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
        f"{n:,} document{'s' if n != 1 else ''}" if documents else "",
        str(surroundings.get("start_time") or "")[:10],
    ]
    return " · ".join(part for part in parts if part)


def _stream(stream: Any, out: Path) -> None:
    """Write piece by piece into a neighbour file, then rename: no reader sees half a page."""

    stream.enable_buffering(50)
    with replacing(out) as draft, draft.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        stream.dump(file)
