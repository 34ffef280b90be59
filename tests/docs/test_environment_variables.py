"""Every environment variable that evalkit reads is accounted for in docs/files.md, and none that it does not read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from evalkit import evaluate
from evalkit.store import RunDir

ROOT = Path(__file__).parents[2]


def read_by_the_source() -> set[str]:
    found = set()
    for file in (ROOT / "evalkit").rglob("*.py"):
        text = file.read_text("utf-8")
        found |= set(re.findall(r"\bEVALKIT_[A-Z_]+", text))
        found |= set(re.findall(r"""environ(?:\.get\(|\[)["']([A-Z_]+)["']""", text))
    return found


def test_each_is_in_the_table() -> None:
    section = (ROOT / "docs" / "files.md").read_text("utf-8").partition("## Environment variables")[2]
    rows = re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE)
    assert read_by_the_source() == set(re.findall(r"`([A-Z_]+)`", " ".join(rows)))


def test_what_they_said_stays_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_COMET_PYTHON", "/opt/comet/bin/python")
    monkeypatch.setenv("EVALKIT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("EVALKIT_ENCODINGS", "off")
    evaluate("mock", ["boolq"], limit=2, bundled=True, output=tmp_path / "run")
    directory = RunDir.open(tmp_path / "run")
    kept = directory.spec()
    assert (kept.comet_python, kept.data_dir) == ("/opt/comet/bin/python", tmp_path)
    assert directory.environment()["variables"]["EVALKIT_ENCODINGS"] == "off"
