"""Conversations whose history is the model's own: models that keep a rule, drop it, or never follow it."""

from __future__ import annotations

import json
import re

import pytest

import evalkit
from evalkit.contract.errors import UserError

NAME = "conversation:turns=24:n=4"


def model(keeps: int):
    """A model that follows the rule for so many turns, and repeats itself otherwise."""

    def reply(request) -> str:
        prompt = request.context
        token = re.search(r'word "(\w+)"', prompt)[1]
        turn = prompt.count("Question:")
        return f"Answer {turn}. {token}" if turn <= keeps else f"Answer {turn}."

    return evalkit.mock(reply)


def numbers(run) -> dict[str, float]:
    return {metric.name: metric.value for metric in run.result.tasks[0].metrics}


@pytest.mark.parametrize(
    ("keeps", "obeyed", "kept", "drift"), [(24, 1.0, 24, 0.0), (0, 0.0, 0, 0.0), (6, 0.25, 6, -1.0)]
)
def test_models_land_where_they_must(keeps, obeyed, kept, drift, tmp_path):
    run = evalkit.evaluate(model(keeps), [NAME], output=tmp_path / "run")
    found = numbers(run)
    assert (found["obeyed"], found["turns_kept"], found["drift"]) == (obeyed, kept, drift)
    assert (found["obeyed_at_1"], found["obeyed_at_8"], found["obeyed_at_24"]) == (keeps >= 1, keeps >= 8, keeps >= 24)
    assert run.result.tasks[0].n_ok == 4


def test_the_history_is_the_models_own(tmp_path):
    evalkit.evaluate(model(3), [NAME], output=tmp_path / "run", log_samples=True)
    (file,) = (tmp_path / "run").rglob("*conversation*.jsonl")
    row = json.loads(file.read_text("utf-8").splitlines()[0])
    last = row["arguments"]["gen_args_23"]["arg_0"]
    assert last.count("\nAnswer: ") == 23
    token = row["target"]
    assert f"Answer: Answer 3. {token}\n" in last
    assert "Answer: Answer 4.\n" in last
    assert row["resps"][23] == ["Answer 24."]


def test_an_empty_model_ends_no_conversation(tmp_path):
    found = numbers(evalkit.evaluate(evalkit.mock(lambda prompt: ""), [NAME], output=tmp_path / "run"))
    assert (found["obeyed"], found["turns_kept"]) == (0, 0)


def test_a_second_run_asks_nothing_again(tmp_path):
    first = evalkit.evaluate("mock", [NAME], output=tmp_path / "run")
    asked, before = first.result.counters["requests_answered"], numbers(first)
    again = evalkit.evaluate("mock", [NAME], output=tmp_path / "run")
    assert (asked, again.result.counters["requests_answered"]) == (24 * 4, 0)
    assert numbers(again) == before


def test_it_is_a_conversation_by_the_models_template(tmp_path):
    run = evalkit.evaluate(
        "mock", ["conversation:turns=3:n=1"], output=tmp_path / "run", chat_template=True, log_samples=True
    )
    assert run.result.tasks[0].n_ok == 1
    (file,) = (tmp_path / "run").rglob("*conversation*.jsonl")
    asked = json.loads(file.read_text("utf-8"))["arguments"]["gen_args_2"]["arg_0"]
    assert asked.count("user") == 3
    assert asked.count("Rule:") == 1


def test_names_are_checked(tmp_path):
    with pytest.raises(UserError, match="2 to 48"):
        evalkit.evaluate("mock", ["conversation:turns=1"], output=tmp_path / "run")
