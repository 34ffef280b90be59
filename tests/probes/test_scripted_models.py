"""Four models that no probe may confuse: one abstains, one answers wrong, one agrees, one takes the first option.

What each probe says of each of them; the finer cases are in the other files of this folder.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from probe_runs import metrics_of

from evalkit.spec.models import RunSpec
from evalkit.task.catalog import Catalog, resolve

ABSTAINS = {"text": "I do not know."}
WRONG = {"text": "Purple zebras bought nine submarines everywhere!"}
AGREES = {"text": "Yes, of course that is right."}
DENIES = {"text": "No."}
YES, NO = {"prefer": "yes"}, {"prefer": "no"}
FIRST = {"prefer": "A"}

NEEDLE = "needle:{}:lengths=640:depths=0+100:repeats=1"
NEEDLES = ("single", "multi", "distractors", "two_fact", "variables", "words", "passkey")

SAID: list[tuple[str, dict[str, Any], dict[str, float | None]]] = [
    # Abstaining is never right and never wrong, and what was answered is told apart from what was not.
    ("truthfulqa_gen", ABSTAINS, {"abstained": 1, "coverage": 0, "selective_accuracy": None}),
    ("closed_book_triviaqa", ABSTAINS, {"abstained": 1, "coverage": 0, "selective_accuracy": None}),
    ("closed_book_nq", ABSTAINS, {"abstained": 1, "coverage": 0, "selective_accuracy": None}),
    ("closed_book_popqa", ABSTAINS, {"abstained": 1, "coverage": 0, "correct_rare": 0, "correct_popular": 0}),
    ("fabricated_entities", ABSTAINS, {"fabrication": 0, "correct_real": 0, "abstained": 1}),
    ("false_premise", ABSTAINS, {"fabrication": 0, "correct_sound": 0, "abstained": 1}),
    ("swapped_facts", ABSTAINS, {"abstained": 1, "memorisation": None}),
    ("selfcheck_subjects", ABSTAINS, {"answered": 0, "selfcheck_max": None, "selfcheck_avg": None}),
    ("summary_faithfulness", ABSTAINS, {"answered": 0, "hallucinated": None, "consistent": None}),
    ("stuffing", ABSTAINS, {"abstained": 1, "wrong": 0, "among_0": 0}),
    ("persistence", ABSTAINS, {"correct": 0, "turn_1": 0}),
    *((NEEDLE.format(kind), ABSTAINS, {"found": 0, "recall": 0, "effective_length": 0}) for kind in NEEDLES),
    # Wrong answers are wrong, not abstentions; where nothing can be known they are made up.
    ("truthfulqa_gen", WRONG, {"wrong": 1, "coverage": 1, "selective_accuracy": 0}),
    ("closed_book_triviaqa", WRONG, {"wrong": 1, "selective_accuracy": 0, "pointwise": -0.25}),
    ("closed_book_nq", WRONG, {"wrong": 1, "selective_accuracy": 0, "pointwise": -0.25}),
    ("closed_book_popqa", WRONG, {"wrong": 1, "correct_rare": 0, "correct_middle": 0, "correct_popular": 0}),
    ("fabricated_entities", WRONG, {"fabrication": 1, "abstained": 0}),
    ("false_premise", WRONG, {"fabrication": 1, "correct_sound": 0}),
    ("swapped_facts", WRONG, {"wrong": 1, "memorisation": None}),
    ("selfcheck_subjects", WRONG, {"answered": 1}),
    ("summary_faithfulness", WRONG, {"answered": 1, "hallucinated": 1, "consistent": 0}),
    ("stuffing", WRONG, {"wrong": 1, "abstained": 0}),
    ("persistence", WRONG, {"wrong": 1}),
    *((NEEDLE.format(kind), WRONG, {"found": 0, "effective_length": 0}) for kind in NEEDLES),
    # Agreeing with everything: false confidence, and made-up things taken for sound or all for made up.
    ("medhalt_fct", YES, {"false_confidence": 1, "acc": 0.5}),
    ("medhalt_fct", NO, {"false_confidence": 0, "acc": 0.5}),
    ("fct:arc_easy", YES, {"false_confidence": 1}),
    ("fct:arc_easy", NO, {"false_confidence": 0}),
    ("halueval_general", YES, {"made_up_found": 1, "sound_passed": 0}),
    ("halueval_general", NO, {"made_up_found": 0, "sound_passed": 1}),
    ("false_premise", AGREES, {"correct_false": 0, "fabrication": 1}),
    ("false_premise", DENIES, {"correct_false": 1, "correct_sound": 0}),
    ("fabricated_entities", AGREES, {"fabrication": 1, "correct_real": 0}),
    ("fabricated_entities", DENIES, {"fabrication": 0, "correct_real": 0}),
    # The first option, whatever it says.
    ("order:mmlu_anatomy", FIRST, {"first_place": 1, "acc": 0.25, "consistency": 0, "always_right": 0}),
    ("medhalt_fake", FIRST, {"correct": 0, "wrong": 1, "pointwise": -0.25}),
    ("medhalt_fake", {"prefer": "E"}, {"correct": 1, "pointwise": 1}),
]


@pytest.mark.parametrize(("name", "model", "expected"), SAID)
def test_what_a_probe_says_of_a_model(name: str, model: dict[str, Any], expected: dict[str, float | None]) -> None:
    found = metrics_of(name, model, limit=24)
    assert {key: found[key] for key in expected} == pytest.approx(expected)


def test_none_of_the_above_is_told_from_the_first_option() -> None:
    rows = _rows("medhalt_nota")
    share = sum(row["gold"] == 0 for row in rows) / len(rows)
    assert metrics_of("medhalt_nota", FIRST)["correct"] == pytest.approx(share)
    assert 0.1 < share < 0.5
    letters = [{"match": rf"\n{letter}\. None of the above\n", "prefer": letter} for letter in "ABCDE"]
    assert metrics_of("medhalt_nota", *letters)["correct"] == 1
    assert metrics_of("nota:arc_easy", {"prefer": "None of the above"})["correct"] == 1


def test_memory_is_told_from_the_passage_and_from_the_ending() -> None:
    rows = _rows("swapped_facts")
    memory = [{"match": row["question"].replace("?", "."), "text": row["original"][0]} for row in rows]
    found = metrics_of("swapped_facts", *memory, limit=1)
    assert (found["memorisation"], found["correct"], found["abstained"]) == (1, 0, 0)
    reads = [{"match": re.escape(row["context"]), "text": row["answers"][0]} for row in rows]
    found = metrics_of("swapped_facts", *reads)
    assert (found["memorisation"], found["correct"]) == (0, 1)
    right = [{"match": row["start"], "prefer": row["classes"][row["gold"]].strip()} for row in _rows("altered_sayings")]
    assert metrics_of("altered_sayings", *right)["acc"] == 1


def test_labels_and_templates_tell_a_taste_for_a_letter_from_knowledge() -> None:
    for name in ("labels:mmlu_anatomy", "templates:mmlu_anatomy"):
        found = metrics_of(name, FIRST)
        assert (found["always_right"] or 0) < 1
        assert (found["best"] or 0) > (found["worst"] or 0)


def test_every_probe_of_the_groups_is_here() -> None:
    catalog = Catalog.of()
    members = {leaf for group in ("hallucination_own", "robustness") for leaf in catalog.leaves(group)}
    here = {name.partition(":")[0] for name, _, _ in SAID} | {"altered_sayings", "reversal"}
    assert members <= here, "write down what the new probe says of the four models"


def _rows(name: str) -> list[dict[str, Any]]:
    spec = {"model": {"name": "mock"}, "tasks": [{"name": name}], "sample": True}
    (task,) = resolve(RunSpec.model_validate(spec)).tasks
    return [dict(task.item(document).row) for document in task.documents(None)]  # type: ignore[attr-defined, arg-type]
