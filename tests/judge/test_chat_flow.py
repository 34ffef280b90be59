"""`evalkit judge chat` from questions to the page: stored answers, the sets of the mirror, SmolLM2 with a scripted
judge.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import evalkit
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.judge.chat_sets import chat_set
from evalkit.leaderboard.collect import collect
from tests.judge import leaning
from tests.judge.test_chat import answers

evalkit.register_backend("leaning")(leaning.load)


def run(folder: Path, *words: object, place: float = 0.0, length: float = 0.0) -> Result:
    judge = ("--model", "leaning", "--backend", "leaning", "--model-args", f"place={place},length={length},scale=300")
    return CliRunner().invoke(app, ["judge", "chat", *map(str, words), *judge, "-o", str(folder)])


def stored(folder: Path, n: int = 40, **models: float) -> list[str]:
    """Questions and answers of models with such qualities, as files."""
    folder.mkdir(exist_ok=True)
    words = [str(folder / "questions.jsonl")]
    for place, (name, quality) in enumerate(models.items()):
        rows = answers(name, quality, 300 + 100 * place, place, n=n)
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        words += ["--of", str(path)]
        asked = [{"question_id": row["id"], "category": row["category"], "turns": row["turns"]} for row in rows]
        (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked))
    return words


def test_stored_answers_are_judged_rated_and_shown(tmp_path: Path) -> None:
    votes, out = tmp_path / "votes.jsonl", tmp_path / "out"
    vote = {"turn": 1, "model_a": "good", "model_b": "<b>bad</b>", "winner": "model_a"}
    votes.write_text("".join(json.dumps({"question_id": n, **vote}) + "\n" for n in range(6)))
    words = stored(tmp_path / "in", good=4.0, bad=0.0, middle=2.0)
    renamed = tmp_path / "in" / "bad.jsonl"
    renamed.write_text(renamed.read_text().replace('"model": "bad"', '"model": "<b>bad</b>"'))
    done = run(out, *words, "--human", votes, place=0.5)
    assert done.exit_code == 0, done.output
    found = json.loads((out / "chat.json").read_text())
    assert [one["model"] for one in found["ratings"]["ratings"]] == ["good", "middle", "<b>bad</b>"]
    assert found["people"]["every"]["n"] == 6
    assert found["habits"]["first_place"]["value"] > 0.5
    assert "95 % interval" in done.output
    assert found["asked"]["by"] == ["grades", "pairs"]
    page = (out / "report.html").read_text()
    assert "<b>bad</b>" not in page
    assert "&lt;b&gt;bad&lt;/b&gt;" in page
    assert "First place" in page
    assert "default-src &#39;none&#39;" in page
    assert not (out / "entries").exists()  # no published figures of such questions
    rated = CliRunner().invoke(app, ["judge", "ratings", str(out / "battles.jsonl"), "--control", "length"])
    assert rated.exit_code == 0, rated.output
    # The same command asks the judge nothing again.
    before = (out / "chat.json").read_text()
    assert run(out, *words, "--human", votes, place=0.5).exit_code == 0
    assert json.loads((out / "chat.json").read_text())["verdicts"] == json.loads(before)["verdicts"]


def test_an_arena_and_limits(tmp_path: Path) -> None:
    words = stored(tmp_path / "in", good=4.0, bad=0.0, middle=2.0)
    done = run(tmp_path / "out", *words, "--by", "pairs", "--battles", 30, "--limit", 20)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "chat.json").read_text())
    assert (found["n"], len(found["verdicts"])) == (20, 30)
    assert {row["category"] for row in found["verdicts"]} == {"writing", "math"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--by", "stars"), "--by stars: choose among grades, pairs, scores"),
        (("--against", "nobody"), "--against nobody: none of the models (good, bad)"),
        (("--of", "strange.jsonl"), "--of strange.jsonl: answers none of these questions"),
        (("--of", "in/good.jsonl"), "good is there already"),
    ],
)
def test_what_does_not_fit_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("strange.jsonl").write_text('{"id": 999, "question": "q", "answer": "a"}\n')
    done = run(tmp_path / "out", *stored(tmp_path / "in", n=3, good=1.0, bad=0.0), *more)
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.output.split())


def test_files_of_other_layouts_are_read(tmp_path: Path) -> None:
    vicuna = tmp_path / "vicuna.jsonl"
    vicuna.write_text('{"question_id": 1, "text": "Why?", "category": "generic"}\n')
    assert chat_set(str(vicuna)).questions[0]["turns"] == ["Why?"]
    alpaca = tmp_path / "alpaca.json"
    alpaca.write_text(json.dumps([{"instruction": "Why?", "output": "So.", "generator": "base", "dataset": "own"}]))
    found = chat_set(str(alpaca))
    assert (found.outputs[0]["model"], found.outputs[0]["answer"], found.questions[0]["category"]) == (
        "base", "So.", "own",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"mt_bank: no set of questions and no file.*mt_bench"):
        chat_set("mt_bank")


@pytest.mark.mirror
def test_the_mirrors_sets(mirror: Path) -> None:
    bench = chat_set("mt_bench", mirror)
    assert (len(bench.questions), bench.benchmark) == (48, "MT-Bench")
    assert {row["category"] for row in bench.questions if row["reference"]} == {"math", "reasoning", "coding"}
    assert all(len(row["turns"]) == 2 for row in bench.questions)
    assert len({row["category"] for row in bench.first(8).questions}) == 8
    alpaca = chat_set("alpaca_eval", mirror)
    assert (len(alpaca.questions), len(alpaca.outputs), alpaca.outputs[0]["model"]) == (483, 483, "text_davinci_003")


@pytest.mark.mirror
def test_alpaca_eval_against_its_own_answers(mirror: Path, tmp_path: Path) -> None:
    rows = chat_set("alpaca_eval", mirror).outputs
    path = tmp_path / "mine.jsonl"
    better: list[dict[str, Any]] = [
        {**row, "model": "mine", "answer": row["answer"] + " quality=1.0", "answers": [row["answer"] + " quality=1.0"]}
        for row in rows
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in better))
    done = run(tmp_path / "out", "alpaca_eval", "--of", path, "--data-dir", mirror, "--limit", 60)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "chat.json").read_text())
    assert found["asked"] == {"by": ["pairs"], "against": "text_davinci_003", "battles": None, "seed": 1234}
    (entry,) = [one.entry for one in collect([tmp_path / "out" / "entries"])]
    result = entry.results["AlpacaEval"]
    assert entry.model.name == "mine"
    assert result.protocol == "leaning as judge, by evalkit's prompts"
    assert (result.metrics["win rate,none"].value or 0) > 0.5
    assert (result.n, result.n_total) == (60, 483)


@pytest.mark.model
@pytest.mark.mirror
def test_mt_bench_with_smollm2_and_a_judge_of_known_habits(mirror: Path, tmp_path: Path) -> None:
    own = chat_set("mt_bench", mirror).questions
    rival = tmp_path / "rival.jsonl"
    rows = []
    for row in own:
        for turn in (1, 2):
            said = ["quality=-1 " + "y" * 40] * turn
            rows.append(
                {
                    "id": row["id"], "category": row["category"], "turn": turn, "question": row["turns"][turn - 1],
                    "answer": said[-1], "status": "ok", "model": "rival", "turns": row["turns"][:turn], "answers": said,
                }
            )  # fmt: skip
    rival.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("mt_bench", "--of", "smollm2-135m", "--of", rival, "--data-dir", mirror, "--limit", 4)
    done = run(tmp_path / "out", *words, "--answer-tokens", 6, "--by", "grades,pairs,scores", place=6.0)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "out" / "chat.json").read_text())
    mine = next(one for one in found["standings"] if one["model"] == "smollm2-135m")
    assert (mine["answers"], mine["failed"], set(mine["graded"]["turns"])) == (8, 0, {"1", "2"})
    # A judge that takes the first place whatever stands there: every pair is turned and counts as a tie.
    assert found["habits"]["first_place"]["value"] > 0.9
    assert found["habits"]["turned"]["value"] > 0.8
    assert found["first_gain"] == pytest.approx(6.0, abs=1.1)  # grades end at 10
    assert abs(mine["win_rate"]["value"] - 0.5) < 0.2
    (entry,) = [one.entry for one in collect([tmp_path / "out" / "entries"]) if one.entry.model.name != "rival"]
    assert entry.results["MT-Bench"].metrics["judge score,none"].unit == "1-10"
    # The second turn was asked with the model's own first answer.
    answered = [json.loads(line) for line in (tmp_path / "out" / "answers" / "smollm2-135m.jsonl").open()]
    assert answered[1]["answers"][0] == answered[0]["answer"] != ""
