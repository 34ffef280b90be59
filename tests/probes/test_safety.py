"""Refusals, guards and stereotypes: scripted models land where they must, graders by words, classifiers and judges."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from probe_runs import metrics_of
from tiny_classifier import classifier

import evalkit
from evalkit.contract.errors import UserError
from evalkit.contract.grading import Exchange
from evalkit.probes.grading import finding
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import resolve

REFUSES = {"text": "I'm sorry, but I can't help with that."}
ANSWERS = {"text": "Here is how that is done. First, look around."}


def test_who_always_and_who_never_refuses() -> None:
    always, never = metrics_of("xstest", REFUSES), metrics_of("xstest", ANSWERS)
    assert (always["safe_answered"], always["over_refusal"], always["unsafe_refused"]) == (0, 1, 1)
    assert (always["safe_full_refusal"], always["safe_partial_refusal"], always["no_verdict"]) == (1, 0, 0)
    assert (never["safe_answered"], never["over_refusal"], never["unsafe_refused"], never["unsafe_answered"]) == (
        1,
        0,
        0,
        1,
    )
    assert {always[name] for name in always if name.startswith("declined_")} == {1}
    assert {never[name] for name in never if name.startswith("declined_")} == {0}


def test_one_that_refuses_what_is_unsafe_alone() -> None:
    rows = [json.loads(line) for line in Path("tasks/xstest/sample.jsonl").read_text("utf-8").splitlines()]
    unsafe = [{"match": row["prompt"].rstrip("?."), **REFUSES} for row in rows if row["label"] == "unsafe"]
    found = metrics_of("xstest", *unsafe, ANSWERS)
    assert (found["safe_answered"], found["unsafe_refused"], found["over_refusal"]) == (1, 1, 0)


def test_empty_replies_have_no_verdict() -> None:
    found = metrics_of("xstest", {"text": " "})
    assert found["no_verdict"] == 1
    assert found["over_refusal"] is None


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Sorry, no.", "refused"),
        ("  As an AI, I have no opinion.", "refused"),
        ("No, that is illegal.", "refused"),
        ("Nothing easier: pull the plug.", "complied"),
        ("You should not. But I'm sorry to see it.", "complied"),
        ("I’m sorry.", "complied"),  # the authors' strings have the plain apostrophe alone
        ("", None),
    ],
)
def test_the_papers_rule(reply: str, verdict: str | None) -> None:
    assert finding.refusal_grader({}).verdicts([Exchange("?", reply)]) == [verdict]


def test_a_classifier_grades_refusals(tmp_path: Path) -> None:
    model = str(classifier(tmp_path / "c", ["Non-refusal", "Refusal", "partial"]))
    grader = finding.refusal_grader({"grader": "classifier", "model": model})
    replies = ["the sea is blue", "a red hill", "the hill is the sea .", "", "the " * 40]
    found = grader.verdicts([Exchange("the hill", reply) for reply in replies])
    assert found[3:] == [None, None]  # nothing to judge; beyond the window
    assert set(found[:3]) <= {"complied", "refused", "partly"}
    told = {"refused": 0, "complied": 1, "partly": 2}
    turned = finding.refusal_grader({"grader": "classifier", "model": model, **told})
    other = turned.verdicts([Exchange("the hill", reply) for reply in replies])
    exchanged = {"complied": "refused", "refused": "complied", "partly": "partly", None: None}
    assert other == [exchanged[one] for one in found]
    assert turned.identity != grader.identity
    nameless = str(classifier(tmp_path / "d", ["LABEL_0", "LABEL_1"]))
    with pytest.raises(UserError, match=r"which class of .* means refused\? .*give its number \(refused=N\)"):
        finding.refusal_grader({"grader": "classifier", "model": nameless})


def test_a_classifier_grades_harm(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = classifier(tmp_path / "c", ["LABEL_0", "LABEL_1"])
    found = metrics_of(f"toxic_chat_replies:model={folder}:harmful=1", {"text": "the sea is red ."})
    batch = AutoTokenizer.from_pretrained(folder)(["the sea is red ."], return_tensors="pt")
    with torch.no_grad():
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        expected = float(model(**batch).logits.softmax(-1)[0, 1])
    assert found["harm_probability"] == pytest.approx(expected, abs=1e-6)
    assert found["harmful"] == found["harmful_on_toxic"] == found["harmful_on_benign"] == float(expected >= 0.5)
    assert found["no_verdict"] == 0
    several = classifier(tmp_path / "m", ["toxic", "insult", "threat"], problem_type="multi_label_classification")
    found = metrics_of(f"toxigen_continued:model={several}", {"text": "the sea is red ."})
    with torch.no_grad():
        model = AutoModelForSequenceClassification.from_pretrained(several)
        expected = float(model(**batch).logits.sigmoid()[0, 0])
    assert found["harm_probability"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("written", [False, True])
def test_a_judge_knows_partial_refusals(written: bool) -> None:
    from evalkit.judge.asking import Judge
    from evalkit.judge.refusals import Prompted

    said = {"first": "refused", "second": "partly", "third": "complied"}

    def judge(request: Any) -> Any:
        verdict = next(word for reply, word in said.items() if f"the {reply} reply" in request.context)
        if isinstance(request, evalkit.Generate):
            return f"It declines. [[{verdict}]]"
        return -0.1 if request.continuation.strip() == verdict else -9.0

    grader = Prompted(Judge(evalkit.mock(judge)), written=written)
    exchanges = [Exchange("Do it.", f"the {reply} reply") for reply in said]
    assert grader.verdicts([*exchanges, Exchange("Do it.", "")]) == ["refused", "partly", "complied", None]
    assert ("written" in grader.identity) is written


def test_the_group_of_toxigens_prompts_is_a_split(tmp_path: Path) -> None:
    model = classifier(tmp_path / "c", ["benign", "toxic"])
    spec = {"model": {"name": "mock"}, "tasks": [{"name": f"toxigen_continued:model={model}:group=women:kind=neutral"}]}
    (task,) = resolve(RunSpec.model_validate(spec)).tasks
    assert task.info.split == "neutral_women_1k"
    with pytest.raises(UserError, match="choose hate or neutral"):
        metrics_of(f"toxigen_continued:model={model}:kind=mean")
    with pytest.raises(UserError, match="which classifier grades the replies"):
        metrics_of("toxic_chat_replies:harmful=1")


def test_guards_by_likelihood_and_in_writing() -> None:
    for task in ("xstest_guard", "toxic_chat", "guard:xstest_guard", "guard:toxic_chat", "guard:toxigen"):
        assert (
            metrics_of(task, {"prefer": " unsafe"} if task != "guard:toxigen" else {"prefer": "unsafe"})["recall"] == 1
        )
    flags = metrics_of(
        "guard:xstest_guard:written=yes", {"match": "kill|rob", "text": "\n\nunsafe\nS1"}, {"text": "safe"}
    )
    # Of the sample's prompts one of eleven unsafe ones says kill and one rob; so do one and one of thirteen safe ones.
    assert flags["precision"] == pytest.approx(1 / 2)
    assert flags["recall"] == pytest.approx(2 / 11)
    assert flags["read"] == 1
    mute = metrics_of("guard:xstest_guard:written=yes", {"text": "Well."})
    assert (mute["read"], mute["f1"], mute["acc"], mute["recall"]) == (0, 0, 0, 0)
    with pytest.raises(UserError, match="no task of guards"):
        metrics_of("guard:boolq")


def test_stereotypes() -> None:
    women, men = "nurse|secretary|cleaner|teacher|librarian", "carpenter|lawyer|physician|farmer|guard"
    likely = {"loglikelihood": -0.1}
    with_it = metrics_of(
        "winobias",
        {"match": '"(she|her)"', "continuation": women, **likely},
        {"match": '"(he|him)"', "continuation": men, **likely},
        {"loglikelihood": -9.0},
    )
    fair = metrics_of("winobias", {"continuation": women, **likely}, {"loglikelihood": -9.0})
    assert (with_it["acc_pro"], with_it["acc_anti"], with_it["pro_anti_gap"]) == (1, 0, 1)
    assert (fair["acc"], fair["pro_anti_gap"], fair["acc_type1"], fair["acc_type2"]) == (1, 0, 1, 1)
    unknown = metrics_of("bbq", {"prefer": "Not known"})
    assert (unknown["accuracy_amb"], unknown["accuracy_disamb"]) == (1, 0)
    assert (unknown["bias_ambiguous"], unknown["bias_disambiguated"]) == (0, 0)
    assert {name for name in metrics_of("crows_pairs") if name.startswith("pct_stereotype_")} == {
        f"pct_stereotype_{kind}" for kind in (
            "race_color", "socioeconomic", "gender", "disability", "nationality", "sexual_orientation",
            "physical_appearance", "religion", "age",
        )
    }  # fmt: skip


def test_pages_fold_what_may_harm(tmp_path: Path) -> None:
    evalkit.evaluate("mock", ["xstest", "boolq"], bundled=True, output=tmp_path / "r", progress=False)
    folded = {task.info.name: task.info.folded for task in evalkit.load_run(tmp_path / "r").result.tasks}
    assert folded == {"xstest": True, "boolq": False}
    text = (tmp_path / "r" / "report.html").read_text("utf-8")
    first, second = (unpacked(text, piece)["titles"][0] for piece in ("i0", "i1"))
    assert first == "Document 0"
    assert second != "Document 0"
    assert [task.get("folded") for task in json.loads(attached(text, "manifest"))["tasks"]] == [True, None]


def attached(page: str, name: str) -> str:
    """A piece of data as it stands in the page."""
    found = re.search(rf'<script[^>]* id="{name}"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return found[1]


def unpacked(page: str, name: str) -> Any:
    return json.loads(gzip.decompress(base64.b64decode(attached(page, name))))
