"""The story of docs/ci.md: its script runs, and the page tells the commands that the script runs."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def story() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ci_story", ROOT / "scripts" / "ci_story.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["ci_story"] = module
    spec.loader.exec_module(module)
    return module


def in_this_process(command: list[str], folder: Path) -> tuple[int, str, str]:
    assert command[0] == "evalkit"
    before = Path.cwd()
    os.chdir(folder)
    try:
        done = CliRunner().invoke(app, command[1:])
    finally:
        os.chdir(before)
    return done.exit_code, done.stdout, done.stderr


def test_the_script_tells_its_story_on_a_mock_model(story: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "gate.yaml").write_text("average: [arc_easy, boolq, piqa]\n", "utf-8")
    steps = story.steps(True, 24, "")
    chosen = [
        one
        for one in steps
        if "--label broken" in one.command or ("label" not in one.command and "lora" not in one.command)
    ]
    told = "".join(story.told(one, tmp_path, in_this_process) for one in [steps[0], *chosen])
    assert told.count("$ evalkit ") == len(chosen) == 4
    for printed in ("passes the gate with", "Items for 80 % exit 0", "look 2 of 20", "items asked", "(exit code"):
        assert printed in told


def test_a_step_that_ends_otherwise_stops_the_story(story: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="exit code 2"):
        story.told(story.Step("", "evalkit plan --baseline nowhere.json"), tmp_path, in_this_process)


def test_the_page_tells_what_the_script_runs(story: ModuleType) -> None:
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    told = page.partition(story.BEGIN)[2].partition(story.END)[0]
    commands = [line.removeprefix("$ ") for line in told.splitlines() if line.startswith("$ ")]
    ours = [one.command for one in story.steps(False, 200, "") if one.shown]
    assert commands == ours
