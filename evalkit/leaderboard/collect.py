"""Where entries come from: run directories, folders of them, files of benches, and folders of entry files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.contract.errors import UserError
from evalkit.leaderboard.entry import Entry, from_run, is_entry, parse
from evalkit.leaderboard.from_bench import bench_entry, is_bench
from evalkit.spec.strict import mistake
from evalkit.text.reading import read_text

DEPTH = 4
"""How many folders deep runs are looked for."""


@dataclass(frozen=True, slots=True)
class Found:
    """An entry and where it came from; ``report`` is the run's own report, where it has one."""

    entry: Entry
    source: Path
    report: Path | None = None


def collect(sources: Sequence[Path]) -> list[Found]:
    """Every entry in ``sources``: entry files, run directories, and folders that hold either, at any of four depths.

    The same entry twice is one. Raises UserError for a path that does not exist or holds neither, or a broken entry.
    """
    found: dict[str, Found] = {}
    for source in sources:
        count = len(found)
        seen = False
        for one in _of(Path(source)):
            seen = True
            found.setdefault(one.entry.id, one)
        if not seen and count == len(found):
            raise UserError(f"{source}: holds no finished run and no leaderboard entry: give run directories, or "
                            "folders of entries written by: evalkit leaderboard add RUN --to FOLDER")  # fmt: skip
    return list(found.values())


def entry_files(source: Path) -> list[tuple[Path, str]]:
    """Files of entries and of benches, and their text. JSON files of other kinds are left out."""
    if source.is_file():
        return _read([source])
    paths = [p for p in sorted(source.rglob("*.json")) if not _in_run(p, source) and p.stat().st_size < 64 << 20]
    return [(path, text) for path, text in _read(paths) if is_entry(text) or is_bench(text)]


def _of(source: Path) -> Iterator[Found]:
    if not source.exists():
        raise UserError(f"{source}: no such file or folder: give run directories or folders of entries")
    if source.is_dir() and _is_run(source):
        yield run_entry(source)
        return
    for path, text in entry_files(source):
        yield Found(bench_entry(text, str(path)) if is_bench(text) else parse(text, str(path)), path)
    if source.is_dir():
        for folder in _runs(source, DEPTH):
            yield run_entry(folder)


def run_entry(folder: Path, *, label: str = "", kind_of_model: str = "") -> Found:
    """The entry of a finished run directory. Raises UserError as the store does."""
    from pydantic import ValidationError

    from evalkit.store import RunDir

    result = RunDir.open(folder).result()
    report = folder / "report.html"
    try:
        entry = from_run(result, label=label, kind_of_model=kind_of_model)
    except ValidationError as error:
        found = mistake(error)
        raise UserError(f"{folder}: cannot become a leaderboard entry ({found.where}: {found.message})") from None
    return Found(entry, folder, report if report.is_file() else None)


def _is_run(folder: Path) -> bool:
    return (folder / "results.json").is_file()


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.is_symlink() and not child.name.startswith("."):
            if _is_run(child):
                yield child
            elif depth:
                yield from _runs(child, depth - 1)


def _in_run(path: Path, top: Path) -> bool:
    """Whether a file belongs to a run directory or a hidden folder."""
    inside = path.relative_to(top).parents
    return any((top / part / "results.json").is_file() for part in inside) or any(
        part.startswith(".") for part in path.relative_to(top).parts
    )


def _read(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """The files' texts, in order. Raises UserError naming the first that is no UTF-8 text."""
    return [(path, read_text(path, "entry")) for path in paths]
