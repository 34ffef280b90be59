"""scripts/first_hour.py plays the README: its parts, and with --nightly the whole in an empty environment."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from evalkit.cli.app import COMMANDS

ROOT = Path(__file__).parents[2]
EXTRAS = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("first_hour", ROOT / "scripts" / "first_hour.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["first_hour"] = module
    spec.loader.exec_module(module)
    return module


def test_every_line_of_the_readme_is_played_or_left_out_with_a_reason(script: ModuleType) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    lines = re.findall(r"^evalkit .*$", "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)), re.MULTILINE)
    left_out = [line for line in lines if line.startswith(tuple(script.NOT_PLAYED))]
    played = script.readme_steps(text)
    assert len(played) == len(lines) - len(left_out) > 10
    assert len(left_out) == len(script.NOT_PLAYED)
    for step in played:
        assert step.command.split()[1] in COMMANDS
        assert "#" not in step.command
        if step.command.startswith("evalkit run") and "--resume" not in step.command:
            assert step.command.count("--model ") == 1
            assert "--model mock" in step.command


def test_extras_that_messages_name_exist(script: ModuleType) -> None:
    named = {step.told for step in script.MISSING if step.told}
    assert set(script.FOLLOWED) <= named <= EXTRAS
    said = set()
    for file in (ROOT / "evalkit").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "MissingExtra":
                said |= {one.value for one in node.args[2:] if isinstance(one, ast.Constant)}
    assert len(said) > 10
    assert said <= EXTRAS


@pytest.mark.nightly
def test_the_first_hour_in_an_empty_environment(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="needs hatchling")
    command = [sys.executable, str(ROOT / "scripts" / "first_hour.py"), "--venv", str(tmp_path / "venv")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
