"""examples:TASK and shot_curve:TASK: how many examples, which ones, and what cannot be asked."""

from __future__ import annotations

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import PromptStyle
from evalkit.data import open_source
from evalkit.spec.models import RunSpec
from evalkit.task import fewshot, selection
from evalkit.task.catalog import resolve
from evalkit.task.definition import Fewshot

PAIRS = [
    {"source": "Der Hund schläft im Garten.", "target": "The dog sleeps in the garden."},
    {"source": "Die Katze trinkt Milch.", "target": "The cat drinks milk."},
    {"source": "Der Hund bellt im Garten laut.", "target": "The dog barks loudly in the garden."},
    {"source": "Ja.", "target": "Yes, and there is a good deal more that could be said about all of this, at length."},
]


def tasks_of(name: str):
    return resolve(RunSpec.model_validate({"model": {"name": "mock"}, "tasks": [{"name": name}], "sample": True})).tasks


def prompts_of(name: str) -> list[str]:
    (task,) = tasks_of(name)
    documents = task.documents(open_source(None))
    return [asked[0].context for asked in task.requests(documents, PromptStyle())]


def test_similar_examples_are_the_most_alike_last_and_never_the_row_itself() -> None:
    draw = fewshot.sampler("similar", PAIRS, 2, 0, True, "here", lambda row: row["source"])
    assert draw(PAIRS[0])[-1] is PAIRS[2]
    assert PAIRS[0] not in draw(PAIRS[0])
    assert draw({"source": "Die Katze schläft."})[-1] is PAIRS[1]
    with pytest.raises(UserError, match="there are only 3; ask for fewer"):
        fewshot.sampler("similar", PAIRS, 4, 0, True, "here", lambda row: row["source"])(PAIRS[0])


def test_the_best_pairs_have_lengths_that_fit() -> None:
    kept = selection.best(PAIRS, Fewshot(quality=0.75), "here")
    assert kept == PAIRS[:3]
    with pytest.raises(UserError, match="rows need source and target"):
        selection.best([{"question": "?"}], Fewshot(quality=0.5), "here")


def test_a_curve_is_the_task_behind_each_number() -> None:
    tasks = tasks_of("shot_curve:arc_easy:num=0+2+3")
    assert [task.info.name for task in tasks] == [f"examples:arc_easy:num={n}" for n in (0, 2, 3)]
    assert [task.info.num_fewshot for task in tasks] == [0, 2, 3]
    zero, two = prompts_of("examples:arc_easy:num=0"), prompts_of("examples:arc_easy:num=2")
    assert all(prompt.count("Question:") == 1 for prompt in zero)
    assert all(prompt.count("Question:") == 3 for prompt in two)
    assert [prompt.rpartition("Question:")[2] for prompt in zero] == [
        prompt.rpartition("Question:")[2] for prompt in two
    ]


def test_the_arms_differ_in_nothing_but_the_examples() -> None:
    arms = {by: prompts_of(f"examples:wmt20:de-en:num=2:by={by}") for by in ("random", "quality", "quality+similar")}
    questions = {by: [text.rpartition("\n\n")[2] for text in found] for by, found in arms.items()}
    assert questions["random"] == questions["quality"] == questions["quality+similar"]
    assert len({tuple(found) for found in arms.values()}) == 3
    (same,) = tasks_of("examples:wmt20:de-en:num=2")
    assert arms["random"] == prompts_of(same.info.name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("examples:arc_easy:num=x", "num=x: give a whole number, 0 to 1000"),
        ("examples:arc_easy:num=2:by=best", "choose one of random"),
        ("examples:arc_easy:share=0.5", "share and measure go with by=quality"),
        ("examples::num=2", "write examples:TASK"),
        ("examples:noise:arc_easy", "noise:arc_easy takes no few-shot examples"),
        ("examples:no_such_task", "unknown task 'no_such_task'"),
    ],
)
def test_what_makes_no_sense_is_told(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        tasks_of(name)
