"""Making a mirror: whole files, a manifest, resuming, and errors."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef
from evalkit.data import MirrorSource, Wanted, pull

QUIZ = Wanted("org/quiz", None, "abc", ("dev", "test"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """A Hub that remembers what it was asked."""
    asked: list[tuple] = []

    def load(dataset: DatasetRef, split: str) -> list[dict]:
        asked.append((dataset.id, dataset.config, dataset.revision, split))
        if split == "broken":
            raise UserError("no network")
        return [{"q": f"{split} {n} é", "n": n} for n in range(3)]

    monkeypatch.setattr("evalkit.data.fetch.load_rows", load)
    return asked


def test_pull_makes_a_mirror(hub: list[tuple], tmp_path: Path) -> None:
    done = pull([QUIZ, Wanted("org/quiz", None, "abc", ("test",))], tmp_path)
    assert [entry.path for entry in done] == ["org/quiz/default/dev.jsonl", "org/quiz/default/test.jsonl"]
    assert MirrorSource(tmp_path).load(DatasetRef("org/quiz"), "test")[2] == {"q": "test 2 é", "n": 2}
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["files"][1] == {
        "id": "org/quiz",
        "config": None,
        "split": "test",
        "revision": "abc",
        "rows": 3,
        "sha256": done[1].sha256,
        "path": "org/quiz/default/test.jsonl",
    }
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "dev.jsonl",
        "manifest.json",
        "test.jsonl",
    ]


def test_pictures_go_into_a_mirror_as_base64(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = {"image": {"bytes": b"\x89PNG", "path": "a.png"}, "q": "?"}
    monkeypatch.setattr("evalkit.data.fetch.load_rows", lambda dataset, split: [row])
    pull([Wanted("org/seen", None, "abc", ("test",))], tmp_path)
    (found,) = MirrorSource(tmp_path).load(DatasetRef("org/seen"), "test")
    assert found == {"image": {"bytes": base64.b64encode(b"\x89PNG").decode(), "path": "a.png"}, "q": "?"}
    assert MirrorSource(tmp_path).files_folder(DatasetRef("org/seen"), "test") == tmp_path / "org/seen/default"


def test_resume_fetches_only_what_is_missing_or_changed(hub: list[tuple], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no network"):
        pull([Wanted("org/quiz", "easy", "abc", ("dev", "broken", "test"))], tmp_path)
    hub.clear()
    seen: list[tuple[str, bool]] = []
    wanted = Wanted("org/quiz", "easy", "abc", ("dev", "test"))
    pull([wanted], tmp_path, lambda entry, kept: seen.append((entry.split, kept)))
    assert seen == [("dev", True), ("test", False)]
    assert hub == [("org/quiz", "easy", "abc", "test")]

    (tmp_path / "org/quiz/easy/dev.jsonl").write_text("{}\n")
    hub.clear()
    pull([wanted], tmp_path)
    assert hub == [("org/quiz", "easy", "abc", "dev")]

    hub.clear()
    pull([Wanted("org/quiz", "easy", "def", ("dev", "test"))], tmp_path)
    assert len(hub) == 2


def test_pull_says_what_is_wrong(hub: list[tuple], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="two revisions, abc and def"):
        pull([QUIZ, Wanted("org/quiz", None, "def", ("test",))], tmp_path)
    with pytest.raises(UserError, match="not names that a mirror can hold"):
        pull([Wanted("../up", None, None, ("test",))], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        pull([QUIZ], tmp_path / "file" / "below")
    monkeypatch.setattr("evalkit.data.fetch.load_rows", lambda dataset, split: [{"x": {"a set"}}])
    with pytest.raises(UserError, match="row 0"):
        pull([QUIZ], tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match="not valid JSON"):
        pull([QUIZ], tmp_path)
