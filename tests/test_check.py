"""`evalkit check`: verdicts by looks, what it keeps, and that a killed one comes to the same end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from scripted import write_script, write_task

import evalkit
from evalkit.analysis.baseline import save_baseline
from evalkit.analysis.gate import gate
from evalkit.analysis.policy import Policy
from evalkit.api import checking
from evalkit.contract.errors import UserError
from evalkit.runner.evaluate import Unwatched, execute
from evalkit.runner.progress import Silent
from evalkit.spec import config
from evalkit.statistics.sequential import design
from evalkit.store import RunDir

ITEMS = 600
Settings = Callable[..., dict[str, Any]]
Check = Callable[..., checking.Checked]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks, and a baseline that is right on 80 of 100 kinds of items."""
    folder = tmp_path_factory.mktemp("check")
    for name in ("colours", "shapes"):
        write_task(folder, name, ITEMS)
    write_script(folder / "base.json", range(20))
    write_script(folder / "same.json", range(20))
    write_script(folder / "other.json", [*range(18), 50, 51])
    write_script(folder / "broken.json", range(50))
    write_script(folder / "slightly.json", range(24))
    settings = settings_of(folder, "base")
    (spec,) = config.expand(*config.merge({}, {**settings, "tasks": "colours,shapes"}, config.Origin()))
    execute(spec.model_copy(update={"output": folder / "base"}))
    save_baseline(folder / "base", folder / "baseline.json")
    return folder


def settings_of(folder: Path, model: str) -> dict[str, Any]:
    return {
        "model": "mock",
        "model_args": f"script={folder / f'{model}.json'}",
        "label": model,
        "include_path": [str(folder / "tasks")],
        "data_dir": str(folder / "data"),
    }


@pytest.fixture
def check(place: Path, tmp_path: Path) -> Check:
    def call(model: str, /, policy: Mapping[str, Any] | None = None, looks: int = 10, **more: Any) -> checking.Checked:
        settings = {**settings_of(place, model), "output": str(tmp_path / "run"), **more}
        rules = Policy.model_validate(policy or {})
        return checking.until_decided(place / "baseline.json", settings, rules, Unwatched(Silent()), looks=looks)

    return call


def outcomes(done: checking.Checked) -> dict[str, str]:
    assert done.gate is not None
    return {check.task: check.outcome for check in done.gate.checks if check.kind == "margin"}


def test_an_equal_model_passes_and_the_rest_is_saved(check: Check) -> None:
    done = check("same")
    assert done.gate is not None
    assert (done.gate.exit_code, outcomes(done)) == (0, {"colours": "pass", "shapes": "pass"})
    assert done.decided
    assert done.asked < done.most == 2 * ITEMS
    assert done.saved == done.most - done.asked
    assert f"{done.saved:,} saved" in str(done)


def test_a_broken_model_fails_early(check: Check) -> None:
    done = check("broken")
    assert done.gate is not None
    assert done.gate.exit_code == 1
    assert done.asked <= 0.25 * done.most
    assert "regression" in outcomes(done).values()


def test_the_ceiling_ends_what_stays_open(check: Check) -> None:
    done = check("slightly", {"default": {"margin": 0.04}}, limit="300")
    assert done.gate is not None
    assert (done.gate.exit_code, done.asked, done.most, done.decided) == (3, 600, 600, False)


def test_a_task_that_passed_is_asked_no_more(check: Check) -> None:
    done = check("slightly", {"tasks": {"colours": {"margin": 0.5}, "shapes": {"margin": 0.04}}}, limit="400")
    samples = {name: len(RunDir.open(done.run).samples(name, ["doc_id"])) for name in ("colours", "shapes")}
    assert samples["colours"] < samples["shapes"] == 400


def test_it_leaves_an_ordinary_run_that_says_what_was_asked(check: Check, place: Path) -> None:
    done = check("same", looks=10)
    run = RunDir.open(done.run)
    looks = json.loads((done.run / "looks.json").read_text())
    assert [one["look"] for one in looks["looks"]] == sorted(one["look"] for one in looks["looks"])
    for task in run.result().tasks:
        kept = run.samples(task.info.name, ["doc_id"])["doc_id"].tolist()
        assert kept == sorted(kept) == looks["looks"][-1]["documents"][task.info.name]
        assert kept != list(range(len(kept)))  # drawn, not the first ones
        assert (task.n, task.n_total) == (len(kept), ITEMS)
    # For the plain gate this is a limited run, whose items were not to be chosen by looking at them.
    assert gate(place / "baseline.json", done.run).exit_code == 3


def test_a_larger_ceiling_begins_with_the_same_items(check: Check, tmp_path: Path) -> None:
    small = check("slightly", limit="200", output=str(tmp_path / "small"))
    large = check("slightly", limit="500", output=str(tmp_path / "large"))
    first, second = (set(RunDir.open(one.run).samples("shapes", ["doc_id"])["doc_id"]) for one in (small, large))
    assert first <= second


def test_the_average_and_the_finer_ruler(check: Check) -> None:
    done = check("same", {"average": ["colours", "shapes"], "p_gold": 0.01})
    assert done.gate is not None
    found = [(one.task, one.metric, one.outcome) for one in done.gate.checks if one.kind == "margin"]
    assert found == [("average", "acc,none", "pass"), ("average", "p_gold,none", "pass")]


def test_a_floor_is_held_at_every_look(check: Check, tmp_path: Path) -> None:
    rules = {"others": "ignore", "tasks": {"shapes": {"margin": 0.2, "floor": 0.7}}}
    done = check("same", rules)
    assert done.gate is not None
    assert [(one.kind, one.outcome) for one in done.gate.checks] == [("margin", "pass"), ("floor", "pass")]
    rules["tasks"]["shapes"]["floor"] = 0.95  # type: ignore[index]
    missed = check("same", rules, output=str(tmp_path / "missed"))
    assert missed.gate is not None
    assert missed.gate.exit_code == 1
    assert missed.saved > 0


def test_levels_are_those_of_the_design(check: Check) -> None:
    """Two tests: a pass may spend 2.5 %, a regression half of it."""
    done = check("same", looks=4)
    assert done.gate is not None
    look = design([0.25, 0.5, 0.75, 1.0])[done.look - 1]
    first = next(one for one in done.gate.checks if one.kind == "margin")
    assert f"{100 * look.level:g} % interval" in first.message


def test_a_group_that_few_items_cannot_judge_is_judged_when_there_are_more(tmp_path: Path) -> None:
    """BLEU needs items of every language: at the first looks the gate falls back to the languages by themselves."""

    def model(name: str, text: str) -> evalkit.Backend:
        return evalkit.mock(lambda request: text, name=name)

    base = evalkit.evaluate(model("silent", ""), "translation@bundled", output=tmp_path / "base", progress=False)
    wide = {"default": {"margin": 90.0}}
    done = evalkit.check(
        model("same", "xyzzy"), base, wide, looks=12, output=tmp_path / "run", progress=False,
    )  # fmt: skip
    assert (done.outcome, done.exit_code) == ("pass", 0)
    assert done.look > 1
    assert [check.task for check in done.gate.checks if check.kind == "margin"] == ["translation"]  # type: ignore[union-attr]


# -- refusals ----------------------------------------------------------------------------------------------------------


def test_another_policy_in_the_same_folder_is_refused(check: Check) -> None:
    check("same")
    with pytest.raises(UserError, match=r"holds a check that was asked for otherwise \(policy changed\)"):
        check("same", {"fail_on": "any_loss"})


def test_a_plain_run_does_not_go_on_with_a_check(check: Check, place: Path) -> None:
    done = check("same")
    with pytest.raises(UserError, match="is a run of evalkit check"):
        execute(RunDir.open(done.run).spec().model_copy(update={"output": done.run}))


def test_other_prompts_are_refused_before_anything_is_asked(check: Check, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="different prompts"):
        check("same", system="You are a pirate.")
    assert not (tmp_path / "run" / "results.json").exists()


def test_data_that_lack_items_are_refused(check: Check, place: Path, tmp_path: Path) -> None:
    write_task(tmp_path, "colours", ITEMS - 10)
    write_task(tmp_path, "shapes", ITEMS)
    with pytest.raises(UserError, match="of the baseline's 600 items are not in the data"):
        check("same", data_dir=str(tmp_path / "data"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tasks": "colours"}, "task shapes is not among this run's"),
        ({"limit_random": True}, "asks in random order as it is"),
        ({"model": "predictions:x.jsonl", "model_args": ""}, "asked all at once"),
    ],
)
def test_what_a_check_cannot_do(check: Check, more: Mapping[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check("same", **more)


# -- the command -------------------------------------------------------------------------------------------------------


def command(place: Path, model: str, output: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "evalkit"),
        *("check", "--baseline", str(place / "baseline.json"), "--model", "mock", "--label", model, "-q", "--json"),
        *("--include-path", str(place / "tasks"), "--data-dir", str(place / "data"), "--output", str(output), *more),
    ]


@pytest.mark.slow
def test_a_killed_check_comes_to_the_same_end(place: Path, tmp_path: Path, check: Check) -> None:
    """kill -9 after the first looks; the same command again makes them from the journal and goes on."""
    whole = check("other", limit="400", output=str(tmp_path / "whole"))
    script = f"script={place / 'other.json'}"
    line = command(place, "other", tmp_path / "killed", "--limit", "400", "--looks", "10", "--model-args", script)
    slow = [*line[:-1], f"{script},batch_delay_s=0.1"]
    record = tmp_path / "killed" / "looks.json"
    process = subprocess.Popen(slow, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (
            record.is_file() and len(json.loads(record.read_text())["looks"]) > 1
        ):
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    before = json.loads(record.read_text())["looks"]
    assert 1 < len(before) < len(json.loads((whole.run / "looks.json").read_text())["looks"])
    done = subprocess.run(slow, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert whole.gate is not None
    assert (done.returncode, found["asked"], found["look"]) == (whole.gate.exit_code, whole.asked, whole.look)
    assert json.loads(record.read_text())["looks"] == json.loads((whole.run / "looks.json").read_text())["looks"]
