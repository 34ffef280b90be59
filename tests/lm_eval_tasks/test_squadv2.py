"""lm-eval's squadv2 needs no network: its numbers are the official script's, worked out by hand here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.task.lm_eval import squad

pytestmark = pytest.mark.lm_eval


def pair(text: str, right: list[str], none: float) -> squad.Pair:
    return {"prediction_text": text, "no_answer_probability": none}, {"answers": {"text": right}}


ITEMS = [
    pair("the blue whale", ["Blue whale", "whale"], 0.1),  # exact
    pair("in Oslo", ["Oslo"], 0.2),  # F1 2/3
    pair("nine", [], 0.3),  # has no answer, one was given
    pair("", [], 0.9),  # has no answer, none was given
]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exact", 50.0),  # the first and the last
        ("f1", 100 * (1 + 2 / 3 + 0 + 1) / 4),
        ("HasAns_exact", 50.0),
        ("HasAns_f1", 100 * (1 + 2 / 3) / 2),
        ("NoAns_exact", 50.0),
        ("NoAns_f1", 50.0),
        ("best_exact", 75.0),  # two without an answer, and the first answered
        ("best_f1", 100 * (2 + 1 + 2 / 3) / 4),
    ],
)
def test_numbers_are_the_scripts(name: str, value: float) -> None:
    assert squad.number(name, ITEMS) == pytest.approx(value)
    assert squad.number(name, []) == 0.0


def test_a_run_without_a_network_has_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = tmp_path / "data" / "rajpurkar" / "squad_v2" / "squad_v2"
    rows.mkdir(parents=True)
    made = [
        {"id": str(n), "title": "Sums", "context": f"{n} and one.", "question": "How much?",
         "answers": {"text": [str(n + 1)] * (n % 2), "answer_start": [0] * (n % 2)}}
        for n in range(6)
    ]  # fmt: skip
    for split in ("train", "validation"):
        (rows / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    line = ["run", "--model", "mock", "--tasks", "lm_eval:squadv2", "--data-dir", str(tmp_path / "data")]
    done = CliRunner().invoke(app, [*line, "--output", str(tmp_path / "run"), "--quiet"])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "run" / "results.json").read_bytes())["results"]["squadv2"]
    names = {"exact", "f1", "HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1", "best_exact", "best_f1"}
    assert {f"{name},none" for name in names} <= set(found)
