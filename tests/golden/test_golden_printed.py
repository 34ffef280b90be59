"""What `evalkit judge` and `evalkit bench` print, as it stands in printed/. bench runs on a virtual clock."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from tests.perf.virtual_clock import virtual_time

PRINTED = Path(__file__).parent / "printed"
PAIRS = [
    {
        "id": f"p{n}",
        "question": f"Question {n}?",
        "a": "good " * (3 + n % 4),
        "b": ("**good**" if n % 5 == 0 else "bad ") * (2 + n % 3),
        **({"human": "a" if n % 4 else "tie"} if n < 8 else {}),
    }
    for n in range(20)
]
SCRIPT = [
    {"match": r"(?s)Question 7.*\[Answer A\]\ngood", "text": "Both are interesting."},
    {"match": r"(?s)\[Answer A\]\n\*\*good.*\[Answer B\]", "text": "Better answer: B"},
    {"match": r"(?s)\[Answer A\]\ngood.*\[Answer B\]\nbad", "text": "[[A]]"},
    {"match": r"(?s)\[Answer A\]\nbad", "text": "Answer B is better."},
    {"match": r"(?s)\[Answer\]\ngood good good\n", "text": "1. Clear. 2. Short. Grade: 6.5"},
    {"match": r"(?s)\[Answer\]\ngood good good good\n", "text": "[[11]]"},
    {"match": r"(?s)\[Answer\]\n", "text": "Grade: 8/10"},
    {"text": "[[C]]"},
]
BATTLES = [
    {
        "model_a": "xyz"[n % 3],
        "model_b": "xyz"[(n + 1 + n // 7 % 2) % 3],
        "winner": ("a", "b", "a", "tie", "a")[n % 5],
        "prompt": f"p{n % 15}",
        "a": "word " * (5 + n % 11),
        "b": "- item\n" * (3 + n % 4),
    }
    for n in range(60)
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    answers = [{"id": row["id"], "question": row["question"], "answer": str(row["a"]).strip()} for row in PAIRS]
    for name, rows in (("pairs", PAIRS), ("answers", answers), ("battles", BATTLES)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT), "utf-8")
    return tmp_path


def printed(*words: object) -> str:
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 0, done.output
    # Widths are the layout's: a column's gap counts as two spaces, a rule as one sign.
    lines = (re.sub("─+", "─", re.sub(" {2,}", "  ", line.strip())) for line in done.stdout.splitlines())
    return "\n".join(lines).strip() + "\n"


def golden(name: str) -> str:
    return (PRINTED / name).read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pairwise", ("pairwise", "pairs.jsonl", "JUDGE")),
        ("pointwise", ("pointwise", "answers.jsonl", "JUDGE")),
        ("ratings", ("ratings", "battles.jsonl")),
        ("ratings_controlled", ("ratings", "battles.jsonl", "--control", "length,markdown")),
        ("ratings_elo", ("ratings", "battles.jsonl", "--by", "elo")),
    ],
)
def test_judge(files: Path, name: str, words: tuple[str, ...]) -> None:
    model = ("--model", "mock", "--model-args", f"script={files / 'script.json'}")
    asked = [part for word in words for part in (model if word == "JUDGE" else (word,))]
    found = printed("judge", *(files / one if one.endswith(".jsonl") else one for one in asked))
    assert found == golden(f"judge_{name}.txt")


def test_judge_rate(files: Path) -> None:
    verdicts = files / "verdicts.json"
    model = ("--model", "mock", "--model-args", f"script={files / 'script.json'}")
    printed("judge", "pairwise", files / "pairs.jsonl", *model, "--output", verdicts)
    assert printed("judge", "rate", verdicts) == golden("judge_rate.txt")


def test_bench(monkeypatch: pytest.MonkeyPatch) -> None:
    virtual_time(monkeypatch)
    words = ("--model", "mock", "--model-args", "delay_s=0.002", "-p", "20,40", "-n", "8", "-r", "2", "--warmup", "0")
    speeds, latencies, _ = re.split(r"\n\n+", printed("bench", *words))
    # The number of threads is the machine's.
    assert re.sub(r"none  \d+", "none", speeds) + "\n\n" + latencies + "\n" == golden("bench.txt")
