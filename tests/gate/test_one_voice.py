"""compare, report and board say the same of every metric of two runs: one decision, printed three times."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import made_runs as made
import pytest
import typer
from typer.testing import CliRunner

from evalkit.analysis import baseline
from evalkit.analysis.compare import compare
from evalkit.analysis.scores import scores_of_run
from evalkit.cli.compare import compare as command
from evalkit.contract.types import Group, SampleResult, TaskInfo
from evalkit.leaderboard import ranking
from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.collect import Found, run_entry
from evalkit.leaderboard.table import build_table
from evalkit.render import marks
from evalkit.render.report import load, write_markdown

pytestmark = pytest.mark.slow

RUNS = 21
"""210 pairs."""
ERRORS = {"err,none": False}


def random_run(folder: Path, seed: int) -> Path:
    """Two or three tasks: right or wrong, F1-like, a share of errors; sometimes the very answers of another run."""
    generator = random.Random(seed if seed % 6 else 1)
    skill = generator.choice([0.0, 0.02, 0.1, 0.3])

    def outcomes(name: str, n: int) -> list[bool]:
        ease = random.Random(name)
        return [ease.random() < 0.6 and generator.random() >= skill for _ in range(n)]

    tasks: list[tuple[TaskInfo, list[SampleResult]]] = [made.choice_task("t", outcomes("t", 60))]
    if seed % 4:
        info = made.info("f", primary="f1,none", higher_is_better={"f1,none": True}, kind="generate")
        values = [right * generator.choice([0.5, 1.0, 1.0]) for right in outcomes("f", 30)]
        tasks.append((info, [made.text_sample(k, value, task="f") for k, value in enumerate(values)]))
    info, samples = made.choice_task("e", outcomes("e", 40), primary="err,none", higher_is_better=ERRORS)
    samples = [replace(one, metrics={"err,none": 1.0 - (one.metrics["acc,none"] or 0.0)}) for one in samples]
    return made.write_run(folder, [*tasks, (info, samples)], label=f"m{seed}")


def of_compare(app: typer.Typer, base: Path, candidate: Path) -> dict[str, str]:
    """Task -> the candidate's verdict, as `evalkit compare --json` prints it, whose interval must agree."""
    shown = CliRunner().invoke(app, [str(base), str(candidate), "--json"])
    assert shown.exit_code == 0, shown.output
    found = {}
    for row in json.loads(shown.output)["candidates"][0]["metrics"]:
        low, high = row["difference"]["interval"]
        away = low > 0 if row["difference"]["value"] > 0 else high < 0
        assert away == (row["verdict"] in ("better", "worse")), row
        found[row["task"]] = row["verdict"]
    return found


def of_report(base: Path, candidate: Path, out: Path) -> dict[str, str]:
    """The same from the marks of the report's summary."""
    text = write_markdown([base, candidate], out).read_text("utf-8").partition("Bold is")[0]
    found = {}
    for name, one, other in re.findall(r"^\| (\w) \| [^|]* \| [↑↓] \| ([^|]*) \| ([^|]*) \|", text, re.M):
        if "not run" in (one, other):
            continue
        words = {
            (True, False): "worse", (False, True): "better", (False, False): "not judged"
        }[one.startswith("**"), other.startswith("**")]  # fmt: skip
        for mark, verdict in (("(tie)", "no difference shown"), ("(equal)", "equal")):
            assert (mark in one) == (mark in other)
            words = verdict if mark in one else words
        found[name] = words
    return found


def of_board(found: dict[Path, Found], base: Path, candidate: Path, task: str) -> str:
    """The same from the two rows' places; a board cannot tell equal from undecided."""
    board = Board(name="b", title="B", columns=(Column(title=task, task=task),), score="column")
    rows = {row.entry.model.name: row for row in build_table(board, [found[base], found[candidate]]).rows}
    places = [rows[found[one].entry.model.name].rank for one in (base, candidate)]
    assert 1 in places
    return {(1, 1): "the same", (1, 2): "worse", (2, 1): "better"}[places[0] or 0, places[1] or 0]


@pytest.fixture
def read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every run's samples are read once, not for each of its pairs and outputs."""
    kept: Callable[..., object] = lru_cache(maxsize=None)(scores_of_run)
    for module in (baseline, marks, ranking):
        monkeypatch.setattr(module, "scores_of_run", kept)


def test_compare_report_and_board_say_the_same(tmp_path: Path, read_once: None) -> None:
    runs = [random_run(tmp_path / f"r{seed}", seed) for seed in range(1, RUNS + 1)]
    entries = {run: run_entry(run) for run in runs}
    app, seen = typer.Typer(), {}
    app.command()(command)
    for base, candidate in itertools.combinations(runs, 2):
        said = of_compare(app, base, candidate)
        assert of_report(base, candidate, tmp_path / "r.md") == said
        for task, verdict in said.items():
            place = of_board(entries, base, candidate, task)
            assert place == (verdict if verdict in ("better", "worse") else "the same")
            seen[task, verdict] = seen.get((task, verdict), 0) + 1
    for task in "tfe":
        assert {verdict for name, verdict in seen if name == task} >= {
            "better",
            "worse",
            "equal",
            "no difference shown",
        }


def test_the_averages_of_groups_too(tmp_path: Path, read_once: None) -> None:
    names = ("u", "v", "w")
    group = (Group("g", names, aggregate=("acc,none",)),)
    runs = []
    for seed in range(7):
        outcomes = {name: made.answers(40, 0.6, 1) for name in names}
        lose = (0.0, 0.0, 0.03, 0.1, 0.15, 0.3, 0.5)[seed]
        tasks = [made.choice_task(name, made.correlated(one, lose, lose / 3, seed)) for name, one in outcomes.items()]
        runs.append(made.write_run(tmp_path / f"g{seed}", tasks, label=f"g{seed}", groups=group))
    seen = set()
    for base, candidate in itertools.combinations(runs, 2):
        marked = marks.find_marks(load([base, candidate])[1]).of_row
        for row in compare(base, [candidate]).candidates[0].metrics:
            low, high = row.difference.interval or (0.0, 0.0)
            assert (low > 0 or high < 0) == (row.verdict in ("better", "worse"))
            words = {"better": {1: "best"}, "worse": {0: "best"}, "equal": {0: "equal", 1: "equal"}}
            assert marked[f"{row.task}/{row.level}", row.metric] == words.get(row.verdict, {0: "tie", 1: "tie"})
            seen.add((row.level, row.verdict))
    assert {level for level, verdict in seen if verdict == "worse"} == {"task", "micro", "macro"}
