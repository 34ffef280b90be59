"""Derived bytes kept between processes: whole or made again, by any number of writers, with or without a folder."""

from __future__ import annotations

import threading
from pathlib import Path

import made_runs as made
import pytest

from evalkit.render import templates
from evalkit.render.report import write_report
from evalkit.store import kept
from evalkit.store.paths import cache_dir, share


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    templates.environment.cache_clear()
    return tmp_path / "cache"


def made_once(value: bytes, calls: list[bytes]) -> bytes:
    calls.append(value)
    return value


def test_bytes_are_made_once_and_again_where_the_file_is_damaged(cache: Path) -> None:
    calls: list[bytes] = []
    for _ in range(3):
        assert kept.kept("a/b-1.bin", lambda: made_once(b"value", calls)) == b"value"
    assert calls == [b"value"]
    (file,) = (path for path in cache.rglob("*") if path.is_file())
    for damage in (file.read_bytes()[:-1], b"", b"other"):
        file.write_bytes(damage)
        assert kept.kept("a/b-1.bin", lambda: made_once(b"value", calls)) == b"value"
    assert len(calls) == 4
    assert kept.read(file) == b"value"


def test_many_writers_leave_one_whole_file(cache: Path) -> None:
    value = bytes(range(256)) * 4000
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(kept.kept("big.bin", lambda: value))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [value] * 8
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["big.bin"]


def test_a_report_is_the_same_with_an_empty_a_filled_and_no_cache(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made.write_run(tmp_path / "run", [made.choice_task("a", [True, False])])
    pages = []
    (tmp_path / "file").write_text("no folder can be made here")
    for place in (cache, cache, tmp_path / "file"):
        monkeypatch.setenv("EVALKIT_CACHE", str(place))
        templates.environment.cache_clear()
        pages.append(write_report([run], tmp_path / "r.html").read_bytes())
        assert any(cache.rglob("templates/*.bin"))
    assert pages[0] == pages[1] == pages[2]


def test_compiled_templates_are_taken_only_from_files_that_no_other_may_write(cache: Path) -> None:
    def render() -> str:
        templates.environment.cache_clear()
        return templates.environment(share("reports")).get_template("failed.md.j2").render(value="a_b")

    first = render()
    (file,) = cache.rglob("templates/*.bin")
    before = file.stat().st_ino
    assert render() == first
    assert file.stat().st_ino == before
    file.chmod(0o666)
    assert kept.read(file, own=True) is None
    assert kept.read(file) is not None
    assert render() == first
    assert file.stat().st_mode & 0o022 == 0


def test_the_cache_of_version_0_1_is_still_used_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "Library" / "Caches" / "evalkit"
    monkeypatch.delenv("EVALKIT_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "old"))
    assert cache_dir() == tmp_path / "old" / "evalkit"
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name, appauthor: own)
    assert cache_dir() == own
    (tmp_path / "old" / "evalkit").mkdir(parents=True)
    assert cache_dir() == tmp_path / "old" / "evalkit"
    own.mkdir(parents=True)
    assert cache_dir() == own
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "said"))
    assert cache_dir() == tmp_path / "said"
