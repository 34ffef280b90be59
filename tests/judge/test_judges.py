"""Judges: scripted ones that prefer the first answer, that judge by content, that say nothing of use."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.backends import mock
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.judge import Judge
from evalkit.judge.agreement import agreement, rank_correlation
from evalkit.judge.pairwise import judge_pairs
from evalkit.judge.pointwise import faithfulness, grade
from evalkit.judge.rag import cosine, embedded, score_rag
from evalkit.judge.ratings import Battle, bradley_terry, elo
from evalkit.judge.turns import answer_turns, questions
from evalkit.spec.models import EngineSpec, ModelSpec


def judge(*script: dict, chat: bool = False) -> Judge:
    backend = mock.load(ModelSpec(name="mock", backend="mock", args={"script": list(script)}), EngineSpec())
    return Judge(backend, chat=chat)


PAIRS = [{"question": f"q{i}", "a": "good " + "x" * i, "b": "bad " + "y" * (9 - i), "human": "a"} for i in range(10)]


def test_a_judge_that_prefers_the_first_place_is_found_out():
    found = judge_pairs(judge({"text": "[[A]]"}), PAIRS)
    assert found.first_place == 1.0
    assert found.first_place_interval[0] > 0.8
    assert found.consistency == 0.0
    assert found.win_rate == 0.5
    assert {one.winner for one in found.judged} == {"tie"}


def test_a_judge_of_content_is_consistent_and_agrees_with_people():
    by_content = {"match": r"(?s)\[Answer A\]\s*good", "text": "Because it is better: [[A]]"}
    found = judge_pairs(judge(by_content, {"text": "[[B]]"}), PAIRS)
    assert (found.win_rate, found.consistency, found.first_place) == (1.0, 1.0, 0.5)
    assert found.human.share == 1.0
    assert found.length_controlled == 1.0
    # ten of ten prove no certainty
    for interval in (found.win_rate_interval, found.length_controlled_interval, found.style_controlled_interval):
        assert interval is not None
        assert 0.6 < interval[0] < interval[1] == 1.0


def test_a_judge_that_prefers_long_answers_is_even_at_equal_lengths():
    rows = [{"question": "q", "a": "x" * (20 + d), "b": "y" * (20 - d)} for d in (-9, -7, -5, -3, 3, 5, 7, 9)]
    longer = {"match": r"(?s)\[Answer A\]\s*(\w{21,})", "text": "[[A]]"}
    found = judge_pairs(judge(longer, {"text": "[[B]]"}), rows)
    # Lengths and verdicts go wholly together: nothing can be said.
    assert found.win_rate == 0.5
    assert found.length_controlled is None
    assert found.length_controlled_interval is None


def test_pairs_of_one_prompt_are_taken_together():
    scripted = judge({"match": r"(?s)\[Answer A\]\s*good", "text": "[[A]]"}, {"text": "[[B]]"})
    rows = [
        {"id": f"{n}:{turn}", "prompt": n, "question": f"{n} {turn}", "a": "good" if n % 3 else "bad", "b": "bad"
         if n % 3 else "good"}
        for n in range(12) for turn in range(4)
    ]  # fmt: skip
    together = judge_pairs(scripted, rows)
    apart = judge_pairs(scripted, [{key: one for key, one in row.items() if key != "prompt"} for row in rows])
    assert together.win_rate == apart.win_rate == pytest.approx(2 / 3)
    width, narrow = (one.win_rate_interval[1] - one.win_rate_interval[0] for one in (together, apart))
    assert width > 1.5 * narrow


def test_unparsed_verdicts_are_counted_and_decide_nothing():
    found = judge_pairs(judge({"text": "Both are interesting."}), PAIRS)
    assert (found.win_rate, found.consistency, found.n_unparsed, found.human) == (None, None, 10, None)
    assert found.unread == {"no verdict": 20}


def test_the_record_holds_model_and_prompt():
    found = judge_pairs(judge({"text": "[[C]]"}, chat=True), PAIRS[:1])
    assert found.record["model"]["backend"] == "mock"
    assert "Two assistants" in found.record["prompts"]["pairwise"]["text"]
    assert len(found.record["prompts"]["pairwise"]["sha256"]) == 64
    assert found.judged[0].winner == "tie"


def test_grades():
    rows = [{"question": "q", "answer": f"answer {n}", "human": n} for n in (2, 5, 9)]
    script = [{"match": f"answer {n}\n", "text": f"[[{n}]]"} for n in (2, 5, 9)]
    found = grade(judge(*script), rows)
    assert found.grades == (2, 5, 9)
    assert found.mean == pytest.approx(16 / 3)
    assert found.correlation == pytest.approx(1.0)
    assert "Rubric" in found.record["prompts"]["pointwise"]["text"]
    beyond = grade(judge({"text": "[[11]] points"}), rows)
    assert (beyond.grades, beyond.unread) == ((None, None, None), {"out of range": 3})


def test_equal_grades_are_no_certainty():
    rows = [{"question": "q", "answer": f"answer {n}"} for n in range(6)]
    found = grade(judge({"text": "[[7]]"}), rows)
    assert found.mean == 7.0
    assert found.interval[0] < 6.0 < 8.0 < found.interval[1]


def test_a_reference_is_shown_where_there_is_one():
    rows = [
        {"question": "q", "answer": "an answer", "reference": "the truth"},
        {"question": "q", "answer": "an answer"},
    ]
    found = grade(judge({"match": "Reference answer", "text": "[[9]]"}, {"text": "[[2]]"}), rows)
    assert found.grades == (9, 2)


def test_faithfulness_in_the_terms_of_the_board():
    rows = [
        {"source": "s", "summary": "all of this is said in it", "human": "yes"},
        {"source": "s", "summary": "here something is invented freely", "human": "yes"},
        {"source": "s", "summary": "I cannot say."},
    ]
    found = faithfulness(judge({"match": "invented", "text": "[[no]]"}, {"text": "[[yes]]"}), rows)
    assert found.verdicts == ("yes", "no", "not answered")
    assert (found.consistency_rate, found.hallucination_rate) == (0.5, 0.5)
    assert found.answer_rate == pytest.approx(2 / 3)
    assert found.human.share == 0.5


def test_rows_are_checked():
    with pytest.raises(UserError, match=r"row 1 has no text 'b'"):
        judge_pairs(judge(), [{"question": "q", "a": "x"}])
    with pytest.raises(UserError, match="holds no rows"):
        grade(judge(), [])


def test_agreement():
    found = agreement(["a", "a", "b", "b"], ["a", "a", "b", "a"])
    assert (found.share, found.n) == (0.75, 4)
    assert found.kappa == pytest.approx(0.5)
    assert agreement(["a"], ["a"]).kappa is None
    assert rank_correlation([1, 2], [1, 2]) is None
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_bradley_terry_is_the_maximum_likelihood():
    # 30 wins against 10, smoothed by half a win each way: odds of 30.5 to 10.5.
    battles = [Battle("x", "y", 1.0)] * 30 + [Battle("x", "y", 0.0)] * 10
    first, second = bradley_terry(battles).ratings
    assert (first.model, second.model) == ("x", "y")
    assert first.rating - second.rating == pytest.approx(400 * math.log10(30.5 / 10.5))
    assert first.rating + second.rating == pytest.approx(2000)
    assert first.interval[0] < first.rating < first.interval[1]


def test_ratings_put_models_in_order_and_never_lost_is_finite():
    battles = [Battle("a", "b", 1.0)] * 8 + [Battle("b", "c", 1.0)] * 8 + [Battle("c", "a", 0.0)] * 8
    for found in (bradley_terry(battles, resamples=20).ratings, elo(battles, resamples=20).ratings):
        assert [one.model for one in found] == ["a", "b", "c"]
        assert all(abs(one.rating) < 5000 for one in found)
        assert [one.n for one in found] == [16, 16, 16]


def test_ratings_refuse_groups_that_never_met():
    with pytest.raises(UserError, match="never met"):
        bradley_terry([Battle("a", "b", 1.0), Battle("c", "d", 1.0)])
    with pytest.raises(UserError, match="no battles"):
        elo([])


def test_two_turns_the_second_sees_the_first_answer():
    backend = mock.load(
        ModelSpec(
            name="mock",
            backend="mock",
            args={
                "script": [
                    {"match": "(?s)the first reply.*three", "text": "the second reply"},
                    {"text": "the first reply"},
                ]
            },
        ),
        EngineSpec(),
    )
    rows = answer_turns(backend, [{"id": 1, "category": "c", "turns": ["one two", "three"], "reference": ["r", "s"]}])
    assert [row["answer"] for row in rows] == ["the first reply", "the second reply"]
    assert [row["reference"] for row in rows] == ["r", "s"]
    assert "the first reply" in rows[1]["question"]


def test_the_bundled_questions_have_two_turns_each():
    found = questions()
    assert len(found) == 12
    assert all(len(row["turns"]) == 2 for row in found)


def test_rag_ratios():
    rows = [{"question": "Who built the mill?", "contexts": ["Otto built the mill. Rain fell."], "answer": "Otto did."}]
    script = [
        {"match": "Break the answer up", "text": "The statements are:\n1. Otto built the mill.\n2. Otto was old."},
        {"match": "Statement: Otto built", "text": "[[yes]]"},
        {"match": "Statement: Otto was old", "text": "[[no]]"},
        {"match": "Write the one question", "text": "Who built the mill?"},
        {"match": "Sentence: Otto", "text": "[[yes]]"},
        {"match": "Sentence: Rain", "text": "[[no]]"},
    ]
    found = score_rag(judge(*script), rows)
    assert found.means == {"faithfulness": 0.5, "answer_relevance": pytest.approx(1.0), "context_relevance": 0.5}
    assert found.counts["faithfulness"] == 1
    assert found.intervals["faithfulness"][0] < 0.1 < 0.9 < found.intervals["faithfulness"][1]
    assert found.unread == {}
    assert set(found.record["prompts"]) == {"statements", "support", "question", "needed"}
    with pytest.raises(UserError, match="contexts"):
        score_rag(judge(), [{"question": "q", "answer": "a", "contexts": "text"}])


def test_rag_relevance_by_an_embedder():
    wordllama = pytest.importorskip("wordllama", reason="needs wordllama (pip install 'evalkit-harness[embedding]')")
    rows = [{"question": "Who built the old mill?", "contexts": [], "answer": answer} for answer in ("Otto", "No idea")]
    script = [
        {"match": "Otto", "text": "1. Who built the old mill?\n2. Who constructed the ancient mill?"},
        {"match": "No idea", "text": "1. Do you like cheese?\n2. Will it rain?"},
    ]
    with embedded(ModelSpec(name="wordllama")) as similar:
        found = score_rag(judge(*script), rows, similar, questions=2)
    near, far = (row.answer_relevance for row in found.rows)
    alone = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    alike = alone.similarity("Who built the old mill?", "Who constructed the ancient mill?")
    assert near == pytest.approx((1 + alike) / 2, abs=1e-6)
    assert near > 0.8 > 0.3 > far
    assert (found.record["similarity"]["embedder"], found.record["questions"]) == ("wordllama", 2)
    with pytest.raises(UserError, match="is no embedder"), embedded(ModelSpec(name="mock")):
        pass


RAG_ROW = {"question": "q", "contexts": ["Otto built it. Rain fell."], "answer": "a"}


def test_rag_without_verdicts_has_no_ratio():
    found = score_rag(judge({"text": ""}), [{"question": "q", "contexts": [], "answer": "a"}])
    assert found.means == {"faithfulness": None, "answer_relevance": None, "context_relevance": None}
    assert found.intervals == found.means
    silent = score_rag(judge({"match": "Break", "text": "One."}, {"text": "Well."}), [RAG_ROW])
    assert (silent.counts["faithfulness"], silent.unread) == (0, {"no verdict": 3})
    assert cosine("a b", "c d") == 0.0


def test_the_command(tmp_path):
    rows, script, out = tmp_path / "pairs.jsonl", tmp_path / "script.yaml", tmp_path / "out.json"
    rows.write_text("".join(json.dumps(row) + "\n" for row in PAIRS))
    script.write_text('[{text: "[[A]]"}]')
    asked = ["judge", "pairwise", str(rows), "--model", "mock", "--model-args", f"script={script}", "-o", str(out)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    assert "first_place" in done.output
    written = json.loads(out.read_text())
    assert written["first_place"] == 1.0
    assert written["record"]["chat"] is True
    assert written["replies"] == ["[[A]]"] * 20
    battles = tmp_path / "battles.jsonl"
    battles.write_text('{"model_a": "x", "model_b": "y", "winner": "a"}\n' * 4)
    done = CliRunner().invoke(app, ["judge", "ratings", str(battles), "--by", "elo"])
    assert done.exit_code == 0, done.output
    assert done.output.index(" x ") < done.output.index(" y ")
    assert "Elo has not converged: 4 battles" in done.output
    assert CliRunner().invoke(app, ["judge", "ratings", str(rows)]).exit_code == 2
