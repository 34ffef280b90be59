"""The distribution: a free name, extras that exist where messages name them, a wheel that carries what runs need."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FOLDERS = ("evalkit", "docs", "examples", "tests", "scripts")
SUFFIXES = (".py", ".md", ".yaml", ".yml", ".sh", ".ipynb")


def texts() -> list[tuple[Path, str]]:
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "action.yml"]
    files += [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return [(path, path.read_text("utf-8")) for path in files]


def test_nobody_is_sent_to_another_project() -> None:
    assert PROJECT["name"] == "evalkit-harness"
    for path, text in texts():
        if path == Path(__file__):
            continue
        assert not re.search(r"pip install (-\S+ )*['\"]?evalkit(?!-harness)\b", text), path


def test_every_extra_that_is_named_exists() -> None:
    known = set(PROJECT["optional-dependencies"])
    named = {
        extra
        for _, text in texts()
        for found in re.findall(r"evalkit-harness\[([a-z0-9,-]+)\]", text)
        for extra in found.split(",")
    }
    assert len(named) > 8
    assert named <= known


@pytest.mark.slow
def test_a_wheel_carries_tasks_templates_and_boards(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="needs hatchling")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("evalkit_harness-*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in ("evalkit/py.typed", "boolq/task.yaml", "open-llm.yaml", "summary.html.j2"):
        assert any(name.endswith(wanted) for name in names), wanted
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(wheel).extractall(unpacked)
    code = (
        "import evalkit; run = evalkit.evaluate('mock', ['boolq@bundled'], limit=2); print(evalkit.__file__, run.path)"
    )
    environment = {"PYTHONPATH": str(unpacked), "PATH": ""}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split()[0] == str(unpacked / "evalkit" / "__init__.py")
