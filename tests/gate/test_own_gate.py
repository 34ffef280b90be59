"""Our own gate on our own demo, the GitHub Action's scripts, and the documented pattern for a test-suite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from evalkit.analysis.gate import GateResult, gate
from evalkit.analysis.policy import load_policy
from evalkit.runner.evaluate import execute
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec

ROOT = Path(__file__).parents[2]
BASELINE = Path(__file__).with_name("demo.json")
POLICY = ROOT / "docs" / "examples" / "gate.yaml"
TASKS = ("arc_easy", "boolq", "piqa", "triviaqa")


def judge(folder: Path, **args: Any) -> GateResult:
    """Run the demo on the mock model and hold it against the committed baseline."""
    tasks = tuple(TaskSpec(name=name) for name in TASKS)
    execute(RunSpec(model=ModelSpec(name="mock", args=args), tasks=tasks, sample=True, output=folder))
    return gate(BASELINE, folder, load_policy(POLICY))


def test_our_own_demo_passes_the_gate(tmp_path: Path) -> None:
    verdict = judge(tmp_path / "run")
    assert verdict.outcome == "pass", [check.message for check in verdict.checks]
    margins = [check for check in verdict.checks if check.kind == "margin"]
    assert {check.task for check in margins} == set(TASKS)
    # Exactly the baseline's answers, not merely about as good: a change of any prompt, parser or metric shows here.
    assert [check.difference for check in margins] == [0.0] * len(TASKS), "made on purpose? see docs/ci.md"


def test_a_broken_demo_fails_the_gate(tmp_path: Path) -> None:
    script = tmp_path / "wrong.yaml"
    script.write_text("- {continuation: '^ (yes|no)$', prefer: 'no'}\n- {text: 'I would rather not say'}\n")
    verdict = judge(tmp_path / "run", script=str(script), seed=9)
    assert verdict.exit_code in (1, 3)
    assert verdict.outcome != "pass"


# -- the action -------------------------------------------------------------------------------------------------------


ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}


def step(name: str, folder: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run one step's script with the action's inputs, as the runner would set them."""
    values = {key: one.get("default", "") for key, one in ACTION["inputs"].items()} | inputs

    def fill(text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: values[found.group(1)], text)

    environment = os.environ | {key: fill(value) for key, value in STEPS[name]["env"].items()}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(folder / "outputs"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_no_input_of_the_action_becomes_part_of_a_script() -> None:
    for one in STEPS.values():
        assert "${{" not in one["run"]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_actions_steps_evaluate_and_gate(tmp_path: Path) -> None:
    inputs = {"model": "mock", "tasks": ",".join(TASKS), "args": "--sample --quiet", "baseline": str(BASELINE)}
    ran = step("Evaluate", tmp_path, **inputs)
    assert ran.returncode == 0, ran.stderr
    passed = step("Gate", tmp_path, **inputs, policy=str(POLICY))
    assert passed.returncode == 0, passed.stdout + passed.stderr
    assert (tmp_path / "outputs").read_text() == "exit-code=0\n"
    assert "evalkit gate: pass" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "evalkit-run" / "gate.xml").is_file()
    # 24 items cannot tell two points, which is the default policy's margin.
    undecided = step("Gate", tmp_path, **inputs)
    assert undecided.returncode == 3
    assert step("Gate", tmp_path, **inputs, inconclusive="pass").returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_actions_check_stops_when_it_is_decided(tmp_path: Path) -> None:
    inputs = {"model": "mock", "args": "--quiet --looks 4", "command": "check"}
    nothing = step("Check", tmp_path, **inputs)
    assert (nothing.returncode, "needs a baseline" in nothing.stdout) == (2, True)
    (tmp_path / "wide.yaml").write_text("default: {margin: 0.5}\n")
    done = step("Check", tmp_path, **inputs, baseline=str(BASELINE), policy="wide.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "decided at look" in done.stdout
    assert (tmp_path / "outputs").read_text() == "exit-code=0\n"
    assert "evalkit gate: pass" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "evalkit-run" / "gate.xml").is_file()


def test_one_step_of_the_action_judges() -> None:
    """Either Evaluate and Gate, or Check."""
    conditions = {name: one.get("if", "") for name, one in STEPS.items()}
    assert conditions["Check"] == "inputs.command == 'check'"
    assert all("inputs.command != 'check'" in conditions[name] for name in ("Evaluate", "Gate"))


def test_the_examples_call_commands_and_flags_that_exist() -> None:
    from evalkit.cli.app import load
    from evalkit.cli.arguments import normalize

    for path in (ROOT / "docs" / "examples").glob("*.yml"):
        for line in re.findall(r"evalkit ((?:run|gate|leaderboard \w+) .*)", path.read_text("utf-8")):
            words = normalize(line.split())
            found: Any = load(words.pop(0))
            while hasattr(found, "commands"):
                found = found.commands[words.pop(0)]
            flags = {name for option in found.params for name in option.opts}
            assert {word for word in words if word.startswith("--")} <= flags, path.name


# -- the pattern of docs/ci.md ----------------------------------------------------------------------------------------


def test_the_documented_tests_pass(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "ci.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "test_documented.py").write_text(code)
    shutil.copy(BASELINE, tmp_path / "baseline.json")
    (tmp_path / "gate.yaml").write_text(
        "default: {margin: 0.15}\ntasks: {arc_easy: {margin: 0.15}, boolq: {margin: 0.15}}\nothers: ignore\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_documented.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
