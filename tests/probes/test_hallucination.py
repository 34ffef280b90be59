"""Every probe tells apart scripted models that abstain, answer wrong, agree with everything, or prefer a place."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from probe_runs import metrics_of

from evalkit.contract.errors import UserError
from evalkit.contract.types import SampleResult
from evalkit.metrics.base import ScoringInput
from evalkit.probes import generated, hallucination, known_facts, made_up, options, phrases, prose
from evalkit.probes.grading.lexical import is_supported
from evalkit.probes.selfcheck import sentence_scores
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import Catalog, resolve

OPEN = (
    "truthfulqa_gen",
    "closed_book_triviaqa",
    "closed_book_nq",
    "closed_book_popqa",
    "false_premise",
    "fabricated_entities",
    "swapped_facts",
    "nqswap",
)
CHOICE = (
    "medhalt_fct",
    "medhalt_nota",
    "medhalt_fake",
    "halueval_general",
    "halueval_qa",
    "altered_sayings",
    "memo_trap",
    "fever",
    "true_false",
    "faithdial",
)


@pytest.mark.parametrize("name", OPEN)
def test_a_model_that_always_abstains(name):
    found = metrics_of(name, {"text": "I don't know."})
    assert found["abstained"] == 1.0
    assert found["correct"] == found["wrong"] == found["unparsed"] == 0.0
    if "coverage" in found:
        assert (found["coverage"], found["pointwise"]) == (0.0, 0.0)
    if "selective_accuracy" in found:
        assert found["selective_accuracy"] is None


@pytest.mark.parametrize("name", OPEN)
def test_a_model_that_always_answers_wrong(name):
    found = metrics_of(name, {"text": "Purple zebras everywhere!"})
    assert found["wrong"] == 1.0
    assert found["correct"] == found["abstained"] == found["unparsed"] == 0.0
    if "selective_accuracy" in found:
        assert (found["selective_accuracy"], found["pointwise"]) == (0.0, -0.25)


@pytest.mark.parametrize("name", OPEN)
def test_a_model_that_says_nothing(name):
    assert metrics_of(name, {"text": "\n"})["unparsed"] == 1.0


@pytest.mark.parametrize("name", [*OPEN, *CHOICE, "reversal", "persistence", "stuffing"])
def test_the_record_adds_up_to_one(name):
    found = metrics_of(name)
    if "unparsed" in found:
        assert sum(found[key] for key in hallucination.OUTCOMES) == pytest.approx(1)


def test_a_model_that_always_agrees_has_false_confidence():
    found = metrics_of("medhalt_fct", {"prefer": "yes"})
    assert (found["acc"], found["false_confidence"]) == (0.5, 1.0)
    assert found["pointwise"] == pytest.approx((1 - 0.25) / 2)
    assert metrics_of("medhalt_fct", {"prefer": "no"})["false_confidence"] == 0.0


def test_a_model_that_admits_to_not_knowing_passes_the_fake_questions():
    assert metrics_of("medhalt_fake", {"prefer": "E"})["correct"] == 1.0
    assert metrics_of("medhalt_fake", {"prefer": "A"})["pointwise"] == -0.25


def test_memory_against_instruction():
    rows = [json.loads(line) for line in (Catalog.of().files["altered_sayings"].parent / "sample.jsonl").open()]
    by_memory = [{"match": row["start"], "prefer": row["classes"][1 - row["gold"]].strip()} for row in rows]
    assert metrics_of("altered_sayings", *by_memory)["acc"] == 0.0


def test_a_model_that_denies_everything_fails_the_sound_twins():
    found = metrics_of("false_premise", {"text": "No, that is not true."})
    assert (found["correct_false"], found["correct_sound"], found["fabrication"]) == (1.0, 0.0, 0.0)


def test_a_careful_model_is_told_from_one_that_never_answers():
    rows = made_up.fabricated_entities("seed=24:n=24")
    knows = [{"match": row["entity"], "text": row["answers"][0]} for row in rows if row["real"]]
    found = metrics_of("fabricated_entities", *knows, {"text": "There is no such thing."})
    assert (found["fabrication"], found["correct_real"]) == (0.0, 1.0)
    silent = metrics_of("fabricated_entities", {"text": "I do not know."})
    assert (silent["fabrication"], silent["correct_real"]) == (0.0, 0.0)


def test_memory_against_the_passage():
    rows = made_up.swapped_facts("seed=24:n=24")
    recalls = [{"match": re.escape(row["context"]), "text": row["original"][0]} for row in rows]
    found = metrics_of("swapped_facts", *recalls)
    assert (found["memorisation"], found["correct"]) == (1.0, 0.0)


def test_a_model_that_forgets_its_instruction_after_two_turns():
    rows = generated.persistence("seed=24:n=24")
    obeys = [
        {"match": f'(?s)"{row["token"]}".*{row["question"].replace("?", ".")}', "text": f"So. {row['token']}"}
        for row in rows
    ]
    late = {"match": r"(?s)(Question:.*){4}", "text": "So."}
    found = metrics_of("persistence", late, *obeys)
    assert [found[f"turn_{turns}"] for turns in (1, 2, 4, 8)] == [1.0, 1.0, 0.0, 0.0]


def test_a_model_that_reads_only_little_at_once():
    rows = generated.stuffing("seed=24:n=24")
    answers = [{"match": row["question"].replace("?", "."), "text": row["answers"][0]} for row in rows]
    found = metrics_of("stuffing", {"match": "(?s)^.{2500,}", "text": "1066"}, *answers)
    assert [found[f"among_{load}"] for load in (0, 2, 8, 16)] == [1.0, 1.0, 1.0, 0.0] or found["among_16"] == 0.0
    assert found["among_0"] == 1.0


def test_a_model_that_knows_facts_in_one_direction():
    rows = generated.reversal("seed=24:n=24")
    one_way = [
        {"match": row["prompt"], "prefer": row["choices"][row["gold"]]} for row in rows if row["direction"] == "forward"
    ]
    backwards = [
        {"match": row["prompt"], "prefer": row["choices"][(row["gold"] + 1) % 4]}
        for row in rows
        if row["direction"] == "reverse"
    ]
    found = metrics_of("reversal", *one_way, *backwards)
    assert (found["forward"], found["reverse"], found["acc"]) == (1.0, 0.0, 0.5)


def test_selfcheck_tells_a_steady_model_from_one_that_makes_things_up():
    steady = metrics_of("selfcheck_subjects", {"text": "It is a river in Europe. It flows to the sea."})
    varied = [
        "Zorn built it in 1431 with gold.",
        "A quiet queen sold her ships there.",
        "Nine owls guard the copper door.",
        "Milk and salt were its only trade.",
    ]
    inventive = metrics_of("selfcheck_subjects", {"text": varied})
    assert steady["selfcheck_avg"] < inventive["selfcheck_avg"]
    assert steady["selfcheck_max"] < inventive["selfcheck_max"]


def test_selfcheck_by_hand():
    # Tokens: a a b | a b, five in all: p(a) = 3/5, p(b) = 2/5, as the authors' package has it (its k is 0).
    ((mean, largest),) = sentence_scores("a a b", ["a b"])
    assert mean == pytest.approx((2 * 0.510826 + 0.916291) / 3, abs=1e-5)
    assert largest == pytest.approx(0.916291, abs=1e-5)
    # A full stop is a token too.
    ((mean, _),) = sentence_scores("a.", ["b."])
    assert mean == pytest.approx((1.386294 + 0.693147) / 2, abs=1e-5)


def test_summaries():
    found = metrics_of("summary_faithfulness", {"text": "Zelda Quark bought nine submarines in 1802."})
    assert (found["hallucinated"], found["consistent"], found["answered"]) == (1.0, 0.0, 1.0)
    silent = metrics_of("summary_faithfulness", {"text": "I cannot say."})
    assert (silent["answered"], silent["consistent"]) == (0.0, None)
    reports = "Maren Holt opened a bakery in 1987. It is unclear who owns it now, and the paper does not say."
    assert metrics_of("summary_faithfulness", {"text": reports})["answered"] == 1.0
    source = "Maren Holt opened a bakery in Tilsund in 1987. It is known for its rye bread."
    assert is_supported("Maren Holt opened a bakery in 1987, known for rye bread.", source)
    assert not is_supported("Maren Holt opened a bakery in 1986.", source)
    assert not is_supported("The bakery of Tilsund belongs to Otto.", source)


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("I don't know.", True),
        ("I’m not sure about that", True),
        ("Unknown", True),
        ("We cannot determine this from the text", True),
        ("I have never heard of it", True),
        ("Paris", False),
        ("The unknown soldier", False),
        ("You know it is Paris", False),
        *(
            (text, True)
            for text in (
                "It can't be determined.",
                "It can’t be determined.",
                "It can not be known",
                "It couldn't be verified",
                "This could not be determined from the text",
                "It cannot be reliably determined",
                "unknown.",
                "Not sure",
                "I'm not sure",
                "I am not entirely sure.",
                "I dont know",
                "I don’t know",
                "Dunno",
                "N/A.",
                "No idea",
                "It is impossible to say",
                "It's impossible to determine",
                "The text does not say.",
                "I cannot be sure",
                "The passage doesn’t mention it",
                "There isn't enough information",
                "There’s not enough information.",
                "The answer is unknown",
                "It is unknown who built it.",
                "It's unclear.",
                "That remains unclear",
                "I couldn't find it",
                "Can’t say",
                "I've never heard of it",
                "Answer: unknown",
                "hard to say",
                "Nobody knows.",
                "I wouldn't know",
                "It's not known",
                "I have no reliable information on that.",
            )
        ),
        *(
            (text, False)
            for text in (
                "Unknown Pleasures",
                "He didn't know that Paris was big.",
                "He cannot be beaten",
                "Can",
                "No",
                "I can tell you that it is Paris",
                "It was not found until 1921",
                "They were not told",
                "It isn't true",
                "Einstein did not tell anyone",
                "He did not say it was false",
                "the tomb of the unknown soldier",
            )
        ),
    ],
)
def test_how_an_abstention_is_told(text, yes):
    assert phrases.abstains(text) is yes


def test_the_right_answer_counts_beside_doubt_and_exactly_if_asked():
    def outcome(text: str, **args: str) -> str:
        return hallucination.outcome(ScoringInput(target=["Paris", "City of Paris"], text=text, args=args))

    assert outcome("I am not sure, but Paris.") == "correct"
    assert outcome("Parisian") == "wrong"
    assert outcome("It is Paris", match="exact") == "wrong"
    assert outcome("the Paris!", match="exact") == "correct"
    assert outcome(" ...") == "unparsed"


def test_generators_depend_on_their_seed_alone():
    for make, number in (
        (generated.reversal, 200),
        (generated.persistence, 200),
        (generated.stuffing, 200),
        (made_up.false_premise, 1000),
        (made_up.fabricated_entities, 668),
        (made_up.swapped_facts, 500),
    ):
        assert make("seed=3:n=9") == make("n=9:seed=3")
        assert make("seed=3:n=9") == make("seed=3:n=20")[:9]
        assert make("seed=3:n=9") != make("seed=4:n=9")
        assert len(make(None)) == number


def test_five_hundred_distinct_facts():
    assert len({fact.name for fact in known_facts.FACTS}) == len(known_facts.FACTS) >= 500
    assert len({row["of"] for row in made_up.false_premise(None)}) == 500
    assert len({row["of"] for row in made_up.swapped_facts(None)}) == 500
    for row in made_up.swapped_facts("n=200"):
        assert not set(row["answers"]) & set(row["original"])
        assert row["answers"][0] in row["context"]


def test_twins_of_one_fact_are_one_cluster():
    spec = {"model": {"name": "mock", "backend": "mock"}, "tasks": [{"name": "false_premise:seed=9:n=40"}]}
    (task,) = resolve(RunSpec.model_validate(spec)).tasks
    documents = task.documents(None)
    scored = [
        SampleResult(document, (), (), None, status="ok", metrics={"correct,answer": float(place % 2)})
        for place, document in enumerate(documents)
    ]
    found = next(one for one in task.summarize(scored) if one.name == "correct")
    assert (found.n, found.clusters) == (40, 20)


def test_a_seed_in_the_name_makes_other_documents():
    spec = {"model": {"name": "mock"}, "tasks": [{"name": "false_premise:seed=9:n=4"}, {"name": "false_premise"}]}
    one, other = resolve(RunSpec.model_validate(spec)).tasks
    first, second = one.documents(None), other.documents(None)
    assert (len(first), len(second)) == (4, 1000)
    assert first[0].hash != second[0].hash
    with pytest.raises(UserError, match="no parameter"):
        Catalog.of().require("false_premise:sed=9")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("memotrap", "altered_sayings"),
        ("nq_swap", "swapped_facts"),
        ("selfcheck", "selfcheck_subjects"),
        ("halueval", "halueval_general"),
    ],
)
def test_an_old_name_keeps_working_with_a_note(old, new):
    spec = {"model": {"name": "mock"}, "tasks": [{"name": old}]}
    found = resolve(RunSpec.model_validate(spec))
    assert [task.info.name for task in found.tasks] == [old]
    assert any(f"{old}: is called {new} now" in note for note in found.warnings)
    assert (
        len(resolve(RunSpec.model_validate({**spec, "tasks": [{"name": "nq_swap:n=6"}]})).tasks[0].documents(None)) == 6
    )


def test_options_are_read():
    assert options.parse("x:a:n=3", {"kind": str, "n": options.whole(1)}, "kind") == {"kind": "a", "n": 3}
    assert options.wholes(0)("5+3+5") == (3, 5)
    with pytest.raises(UserError, match="yes or no"):
        options.parse("x:f=maybe", {"f": options.flag})


def test_invented_names_are_many():
    import random

    assert len(set(prose.invented_names(random.Random(1), 500))) == 500


@pytest.mark.mirror
@pytest.mark.parametrize(
    "name",
    [
        "medhalt_fake",
        "medhalt_fake_paper",
        "halueval_general",
        "halueval_qa",
        "truthfulqa_gen",
        "closed_book_triviaqa",
        "closed_book_nq",
        "closed_book_popqa",
        "memo_trap",
        "fever",
        "true_false",
    ],
)
def test_the_mirrors_rows_are_read(name):
    folder = os.environ.get("EVALKIT_DATA_DIR")
    if not folder:
        pytest.skip("EVALKIT_DATA_DIR names no mirror")
    found = metrics_of(name, {"text": "I don't know.", "prefer": "A"}, sample=False, limit=40, data_dir=Path(folder))
    assert sum(found[key] for key in hallucination.OUTCOMES) == pytest.approx(1)
