"""Multiple choice by generation: the question, the rule that reads the reply, the metric's name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.contract.types import Message, PromptStyle, Score
from evalkit.runner.evaluate import execute
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.generative_choice import ACCURACY, PARSED, question, read

LISTED = ("a red bird", "a red bird that sings", "two cats", "no animal")


@pytest.mark.parametrize(
    ("reply", "index"),
    [
        ("B", 1),
        (" (C)", 2),
        ("**D**", 3),
        ("B. a red bird that sings", 1),
        ("C) because two cats", 2),
        ("A\nB", 0),
        ("The answer is C.", 2),
        ("Let me think: A or B... the answer is (B), I believe", 1),
        ("So \\boxed{D}", 3),
        ("Answer: option A", 0),
        ("Two cats, of course", 2),
        ("A red bird that sings", 1),
        ("A red bird", 0),
        ("I do not know", None),
        ("", None),
        ("E", None),
        ("Dogs are animals", None),
        ("the answer is a matter of taste", None),
    ],
)
def test_replies_are_read_by_the_named_rule(reply: str, index: int | None) -> None:
    assert read(reply, LISTED) == index


def test_choices_are_listed_under_the_question() -> None:
    scores = [Score("Which one?\nAnswer:", f" {choice}") for choice in ("red", "blue")]
    assert question(scores, PromptStyle()).context == (
        "Which one?\nAnswer:\n\nChoices:\nA. red\nB. blue\n\nAnswer with the letter of the right choice.\nAnswer:"
    )


def test_letters_that_the_prompt_explains_are_not_listed_again() -> None:
    scores = [Score("Q?\nA. x\nB. y\nAnswer:", f" {letter}") for letter in "AB"]
    assert question(scores, PromptStyle()).context == "Q?\nA. x\nB. y\nAnswer:"


def test_contexts_that_differ_are_the_choices() -> None:
    asked = question([Score("The cat", " sat."), Score("The dog", " sat.")], PromptStyle())
    assert asked.context.startswith("Choices:\nA. The cat sat.\nB. The dog sat.\n")


def test_a_conversation_gets_the_choices_in_its_last_turn() -> None:
    turns = (Message("system", "be brief"), Message("user", "Which?"))
    scores = [Score("x", " red", turns), Score("x", " blue", turns)]
    asked = question(scores, PromptStyle(chat=lambda messages, add: f"<{messages[-1].content}>"))
    assert asked.messages is not None
    assert asked.messages[0] == turns[0]
    assert asked.messages[1].content == (
        "Which?\n\nChoices:\nA. red\nB. blue\n\nAnswer with the letter of the right choice."
    )
    assert asked.context == f"<{asked.messages[1].content}>"


def test_a_run_has_the_rule_in_the_names_of_its_metrics_and_averages_groups(tmp_path: Path) -> None:
    script = [{"match": "Answer", "text": "B"}]
    spec = RunSpec(
        model=ModelSpec(name="mock", args={"mc": "generate", "script": script}),
        tasks=(TaskSpec(name="mmlu"), TaskSpec(name="hellaswag")),
        sample=True,
        limit=3,
        output=tmp_path / "run",
    )
    result = execute(spec)
    for task in result.tasks:
        assert [metric.key for metric in task.metrics] == [ACCURACY, PARSED]
        assert task.metrics[1].value == 1.0
        assert (task.info.primary, task.n_ok) == (ACCURACY, task.n)
    hellaswag = next(task for task in result.tasks if task.info.name == "hellaswag")
    assert hellaswag.metrics[0].baseline == 0.25
    whole = next(one for one in result.groups if one.group.name == "mmlu")
    assert {metric.key for metric in whole.micro} == {ACCURACY, PARSED}
    written = json.loads((tmp_path / "run" / "results.json").read_text())
    assert ACCURACY in written["results"]["hellaswag"]


def test_an_unread_reply_is_wrong_and_counted(tmp_path: Path) -> None:
    spec = RunSpec(
        model=ModelSpec(name="mock", args={"mc": "generate", "script": [{"text": "who knows"}]}),
        tasks=(TaskSpec(name="boolq"),),
        sample=True,
        limit=4,
        output=tmp_path / "run",
    )
    (task,) = execute(spec).tasks
    assert [metric.value for metric in task.metrics] == [0.0, 0.0]
    assert task.n_ok == 4
