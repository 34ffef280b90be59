"""Two models' answers, asked by `judge answer`, as pairs for `judge pairwise` and battles for `judge ratings`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.judge.rag import score_rag
from evalkit.judge.turns import checked_questions, pair_answers
from tests.judge.scripted import judge


def rows(name: str, first: str, second: str, ids: tuple[int, ...] = (1, 2)) -> list[dict[str, Any]]:
    """As `judge answer` writes them."""
    found: list[dict[str, Any]] = []
    for n in ids:
        turns = [f"Name a city of land {n}.", "And a river?"]
        found.append(
            {
                "id": n, "turn": 1, "question": turns[0], "answer": first, "status": "ok", "model": name,
                "turns": turns[:1], "answers": [first], "reference": "",
            }
        )  # fmt: skip
        found.append(
            {
                "id": n, "turn": 2, "question": f"{turns[0]}\n\n(first answer: {first})\n\n{turns[1]}",
                "answer": second, "status": "ok", "model": name, "turns": turns, "answers": [first, second],
            }
        )  # fmt: skip
    return found


def test_a_pair_shows_both_conversations() -> None:
    found = pair_answers(rows("x", "Fennbridge", "the Ouse"), rows("y", "Crowfell", "the Tarn"), ("x", "y"))
    assert (found.unmatched, found.failed, len(found.rows)) == (0, 0, 4)
    assert found.rows[0] == {
        "id": "1:1", "prompt": 1, "question": "Name a city of land 1.", "a": "Fennbridge", "b": "Crowfell",
        "reference": "",
    }  # fmt: skip
    assert [row["prompt"] for row in found.rows] == [1, 1, 2, 2]
    assert found.rows[1]["question"] == "(turn 1) Name a city of land 1.\n\n(turn 2) And a river?"
    assert found.rows[1]["a"] == "(turn 1) Fennbridge\n\n(turn 2) the Ouse"
    assert found.rows[1]["b"] == "(turn 1) Crowfell\n\n(turn 2) the Tarn"


def test_what_has_no_partner_or_failed_is_counted() -> None:
    one, other = rows("x", "a", "b", (1, 2, 3)), rows("y", "c", "d", (2, 3))
    other[1]["status"] = "error"
    found = pair_answers(one, other, ("x", "y"))
    assert (found.unmatched, found.failed, [row["id"] for row in found.rows]) == (2, 1, ["2:1", "3:1", "3:2"])


def test_rows_without_ids_go_by_their_question() -> None:
    one = [{"question": "q1", "answer": "a"}, {"question": "q2", "answer": "b"}]
    found = pair_answers(one, [{"question": "q2", "answer": "c"}], ("x", "y"))
    assert (found.unmatched, [(row["a"], row["b"]) for row in found.rows]) == (1, [("b", "c")])


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ([{"question": "q", "answer": "a"}], [{"question": "r", "answer": "a"}], "share no question"),
        (
            [{"id": 1, "question": "q", "answer": "a"}],
            [{"id": 1, "question": "r", "answer": "a"}],
            "'1' is another question in each",
        ),
        (
            [{"id": 1, "question": "q"}],
            [{"id": 1, "question": "q", "answer": "a"}],
            "x: row 1: an answer has the texts",
        ),
        (
            [{"id": 1, "question": "q", "answer": "", "status": "error"}],
            [{"id": 1, "question": "q", "answer": "a"}],
            "every question has an answer that failed",
        ),
    ],
)
def test_files_that_do_not_fit_are_told(one: list[Any], other: list[Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        pair_answers(one, other, ("x", "y"))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"turns": ["a", "b"]}, 'row 1: write "id" and "turns", a list of texts'),
        ({"id": 1, "turns": []}, "a list of texts"),
        ({"id": 1, "turns": "ab"}, "a list of texts"),
        ({"id": 1, "turns": ["a", "b"], "reference": "r"}, '"reference" is a list with a text for each turn'),
    ],
)
def test_questions_are_checked(row: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        checked_questions([row], "questions.jsonl")


def test_questions_as_mt_bench_has_them() -> None:
    assert checked_questions([{"question_id": 81, "turns": ["a", "b"]}], "q")[0]["id"] == 81


def run(*words: object) -> str:
    done = CliRunner().invoke(app, ["judge", *map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def test_from_answers_to_ratings(tmp_path: Path) -> None:
    questions, judged = tmp_path / "q.jsonl", tmp_path / "judge.yaml"
    asked = [{"id": f"q{n}", "turns": [f"Name a city of land {n}.", "And a river?"]} for n in range(5)]
    questions.write_text("".join(json.dumps(one) + "\n" for one in asked))
    files = []
    for name in ("ouse", "tarn"):
        script = tmp_path / f"{name}.yaml"
        rules = [{"match": "(?s)land 3.*river", "error": "gone"}] if name == "tarn" else []
        script.write_text(json.dumps([*rules, {"text": f"the {name}"}]))
        files.append(tmp_path / f"{name}.jsonl")
        model = ("--model", "mock", "--model-args", f"script={script}")
        assert "10 answers" in run("answer", *model, "--questions", questions, "-o", files[-1])
    judged.write_text(
        json.dumps([{"match": r"(?s)\[Answer A\]\s+(\(turn 1\) )?the ouse", "text": "[[A]]"}, {"text": "B"}])
    )
    battles = tmp_path / "battles.jsonl"
    said = run(
        "pairwise", *files, "--model", "mock", "--model-args", f"script={judged}", "--battles", battles,
        "--max-tokens", "9",
    )  # fmt: skip
    assert "left out: 0 answers without a partner, 1 pairs with a failed answer" in said
    assert "1.0000" in said
    assert "9 battles" in said
    rated = run("ratings", battles)
    assert rated.count("mock") == 2
    assert "no prompts are given" not in rated
    assert {json.loads(line)["prompt"] for line in battles.read_text().splitlines()} == {f"q{n}" for n in range(5)}
    assert "left out: 1 answers that failed" in run("pointwise", files[1], "--model", "mock")


def test_replies_that_were_cut_off_are_told(tmp_path: Path) -> None:
    rows, script = tmp_path / "x.jsonl", tmp_path / "s.json"
    rows.write_text('{"question": "q", "answer": "x"}\n')
    script.write_text(json.dumps([{"text": "Let me think about this answer for a while before I give it any grade."}]))
    model = ("--model", "mock", "--model-args", f"script={script}")
    said = run("pointwise", rows, *model, "--max-tokens", "3")
    assert "1 replies were cut off before their verdict: give more --max-tokens" in said
    assert "cut off 1" in said


def test_three_files_are_too_many(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "q", "a": "x", "b": "y"}\n')
    done = CliRunner().invoke(app, ["judge", "pairwise", str(path), str(path), str(path), "--model", "mock"])
    assert done.exit_code == 2
    assert "3 files: give one of pairs" in done.output


def test_what_cannot_be_written_is_told_before_the_judge_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"question": "q", "a": "x", "b": "y"}\n')
    done = CliRunner().invoke(app, ["judge", "pairwise", str(path), "--model", "nonesuch", "-o", str(tmp_path)])
    assert done.exit_code == 2
    assert "cannot be written" in done.output


@pytest.mark.parametrize(
    ("reply", "statements"),
    [
        ("1. 1969 was the year.\n2. 12 men walked there.", ["1969 was the year.", "12 men walked there."]),
        ("- 3.5 million people live there.", ["3.5 million people live there."]),
        ("3.5 million people live there.", ["3.5 million people live there."]),
        ("1969 was the year.", ["1969 was the year."]),
        ("Here are the statements:\n* 10 Downing Street is a house.", ["10 Downing Street is a house."]),
        ("**1.** A. Smith wrote it.\na) 5% fell.", ["A. Smith wrote it.", "5% fell."]),
        ("Statement 1: -5 degrees were measured.", ["-5 degrees were measured."]),
        ("<think>1. What are they?</think>• One.", ["One."]),
    ],
)
def test_statements_keep_their_numbers(reply: str, statements: list[str]) -> None:
    asked = judge(
        {"match": "Break the answer up", "text": reply},
        *(
            {"match": f"Statement: {one}\n\nSay".replace(".", r"\.").replace("*", r"\*"), "text": "yes"}
            for one in statements
        ),
        {"match": "Statement: ", "text": "no"},
    )
    found = score_rag(asked, [{"question": "q", "contexts": ["c"], "answer": "a"}])
    assert found.rows[0].faithfulness == 1.0
