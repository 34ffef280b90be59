"""BIG-Bench Hard: its 27 tasks, and how each reads an answer."""

from __future__ import annotations

from unittest import mock

import pytest

from evalkit.contract.types import PromptStyle, Response, Task
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.catalog import Catalog, resolve

OFFICIAL = [
    "boolean_expressions",
    "causal_judgement",
    "date_understanding",
    "disambiguation_qa",
    "dyck_languages",
    "formal_fallacies",
    "geometric_shapes",
    "hyperbaton",
    "logical_deduction_five_objects",
    "logical_deduction_seven_objects",
    "logical_deduction_three_objects",
    "movie_recommendation",
    "multistep_arithmetic_two",
    "navigate",
    "object_counting",
    "penguins_in_a_table",
    "reasoning_about_colored_objects",
    "ruin_names",
    "salient_translation_error_detection",
    "snarks",
    "sports_understanding",
    "temporal_sequences",
    "tracking_shuffled_objects_five_objects",
    "tracking_shuffled_objects_seven_objects",
    "tracking_shuffled_objects_three_objects",
    "web_of_lies",
    "word_sorting",
]


def tasks() -> tuple[Task, ...]:
    return resolve(RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name="bbh", sample=True),))).tasks


def read(name: str, text: str) -> str:
    """What the flexible filter takes out of a reply to the first item of the sample."""
    task = next(one for one in tasks() if one.info.name == f"bbh_{name}")
    documents = task.documents(mock.Mock())[:1]
    document = documents[0]
    requests = next(iter(task.requests(documents, PromptStyle())))
    return str(task.score(document, requests, [Response(text=text)]).filtered["flexible-extract"])


def test_the_group_has_the_27_official_tasks() -> None:
    assert [one.removeprefix("bbh_") for one in Catalog.of().leaves("bbh")] == OFFICIAL


def test_every_sample_is_solved_by_its_own_answers() -> None:
    for task in tasks():
        documents = task.documents(mock.Mock())
        assert len(documents) >= 3
        for document, requests in zip(documents, task.requests(documents, PromptStyle()), strict=True):
            right = str(document.data["target"])
            assert requests[0].context.endswith(f"{document.data['input']}\nA:")  # type: ignore[union-attr]
            told = task.score(document, requests, [Response(text=f" {right}.\n\nQ")])
            assert told.metrics["exact_match,flexible-extract"] == 1.0, (task.info.name, right, told.filtered)
            plain = task.score(document, requests, [Response(text=f" {right}")])
            assert plain.metrics["exact_match,strict-match"] == 1.0, (task.info.name, right)
            if right.startswith("("):
                assert f"\n{right} " in document.data["input"]


@pytest.mark.parametrize(
    ("name", "reply", "found"),
    [
        ("sports_understanding", "That is not plausible.", "no"),
        ("sports_understanding", "Plausible!", "yes"),
        ("sports_understanding", "Who knows", "[invalid]"),
        ("web_of_lies", "Eva tells the truth.", "yes"),
        ("web_of_lies", "Eva does not tell the truth", "no"),
        ("dyck_languages", "The rest is: } ] and that is all", "} ]"),
        ("dyck_languages", ">)", ">)"),
        ("formal_fallacies", "The argument is invalid.", "invalid"),
        ("causal_judgement", "<think>No</think> Yes, it did", "Yes"),
        ("snarks", "It is (B), clearly", "(B)"),
        ("word_sorting", "The sorted list is: anchor, candle fable.", "anchor, candle fable"),
        ("word_sorting", " anchor candle\nThese are in order", "anchor candle"),
        ("word_sorting", "Sorted, they read\nanchor candle", "anchor candle"),
    ],
)
def test_how_an_answer_is_read(name: str, reply: str, found: str) -> None:
    assert read(name, reply) == found
