"""Retrieval against the whole text: arms, pairs, tokens, and a reader that knows what it is shown."""

from __future__ import annotations

import json
import re

import pytest

import evalkit
from evalkit.contract.errors import UserError

pytest.importorskip("wordllama", reason="needs wordllama (pip install 'evalkit-harness[embedding]')")
THINGS = ("violin", "lighthouse", "bakery", "telescope", "tractor", "glacier", "library", "submarine")
NAME = "rag:own/things:k=1+3"


@pytest.fixture
def data(tmp_path):
    """Two articles; a question about each passage, one of them about something that stands in another's words."""
    rows = []
    for place, thing in enumerate(THINGS):
        context = f"The {thing} was looked after by keeper number {1000 + place}. It was a fine {thing}."
        asked = f"Who looked after the {thing}?" if place else "Who looked after the thing that plays music?"
        rows.append(
            {"title": f"t{place % 2}", "context": context, "question": asked, "answers": {"text": [str(1000 + place)]}}
        )
    rows.append({"title": "t0", "context": rows[0]["context"], "question": "Why?", "answers": {"text": []}})
    file = tmp_path / "data" / "own" / "things" / "default" / "validation.jsonl"
    file.parent.mkdir(parents=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return tmp_path / "data"


def reader(request) -> str:
    """Answers from the passages, by the thing that the question names."""
    prompt = request.context
    thing = re.search(r"looked after the (\w+)", prompt)
    name = "violin" if thing is None or thing[1] == "thing" else thing[1]
    found = re.search(rf"The {name} was looked after by keeper number (\d+)", prompt)
    return found[1] if found else "It is not said."


def test_a_perfect_reader_is_as_good_as_its_retriever(data, tmp_path):
    run = evalkit.evaluate(evalkit.mock(reader), [NAME], data_dir=data, output=tmp_path / "run")
    found = {metric.name: metric for metric in run.result.tasks[0].metrics}
    assert found["found_whole"].value == 1
    for arm in ("k1", "k3"):
        assert found[f"found_{arm}"].value == found[f"retrieved_{arm}"].value
        assert found[f"whole_minus_{arm}"].value == pytest.approx(1 - found[f"found_{arm}"].value)
    assert found["retrieved_k3"].value >= found["retrieved_k1"].value >= 0.8
    assert found["found"].clusters == len(THINGS)
    assert run.result.tasks[0].n == 3 * len(THINGS), "the question without an answer is left out"


def test_each_arm_by_itself(data, tmp_path):
    for name, arms in ((f"{NAME}:whole=no", 2), ("rag:own/things:whole=only", 1)):
        run = evalkit.evaluate(evalkit.mock(reader), [name], data_dir=data, output=tmp_path / str(arms))
        found = {metric.name for metric in run.result.tasks[0].metrics}
        assert run.result.tasks[0].n == arms * len(THINGS)
        assert ("found_whole" in found, "whole_minus_k1" in found) == (arms == 1, False)


@pytest.mark.parametrize("text", ["", "1000", "It is not said."])
def test_constant_models(text, data, tmp_path):
    run = evalkit.evaluate(evalkit.mock(lambda prompt: text), [NAME], data_dir=data, output=tmp_path / "run")
    found = {metric.name: metric.value for metric in run.result.tasks[0].metrics}
    expected = 1 / len(THINGS) if text == "1000" else 0
    assert found["found_whole"] == found["found_k1"] == pytest.approx(expected)
    assert found["whole_minus_k1"] == 0


def test_a_text_beyond_the_window_is_left_out_and_not_cut(data, tmp_path):
    run = evalkit.evaluate(
        "mock",
        ["rag:own/things:k=1"],
        data_dir=data,
        output=tmp_path / "run",
        model_args={"tokenizer": "word", "max_length": 140},
    )
    (task,) = run.result.tasks
    assert (task.n_unscored, task.n_truncated) == (len(THINGS), 0)
    found = {metric.name: metric.value for metric in task.metrics}
    assert 70 < found["tokens_k1"] < 130
    assert found["tokens_whole"] is None


def test_names_are_checked(data, tmp_path):
    for name, message in {"rag:things": "neither squad", f"{NAME}:retriever=mock": "is no embedder"}.items():
        with pytest.raises(UserError, match=message):
            evalkit.evaluate("mock", [name], data_dir=data, output=tmp_path / "run")
