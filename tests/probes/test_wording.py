"""Noise, formats and orders of examples: what varies, what stays, and models that care or do not."""

from __future__ import annotations

import pytest
from probe_runs import metrics_of

from evalkit.contract.errors import UserError
from evalkit.data import open_source
from evalkit.probes import wording
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import resolve


def rows_of(name: str, data_dir=None):
    spec = RunSpec.model_validate({"model": {"name": "mock"}, "tasks": [{"name": name}], "sample": data_dir is None})
    (task,) = resolve(spec).tasks
    found: dict[int, list[dict]] = {}
    for document in task.documents(open_source(data_dir)):
        found.setdefault(document.data["of"], []).append(dict(document.data))
    return found


def test_typos_are_few_and_the_same_for_the_same_seed():
    text = "Which of the following processes describes photosynthesis in leaves during daylight hours?"
    changed = wording.with_typos(text, "a")
    assert changed == wording.with_typos(text, "a") != text
    assert sum(one != other for one, other in zip(text.split(), changed.split(), strict=True)) == 1
    assert wording.with_typos("a b 12", "a") == "a b 12"


def test_synonyms_keep_capitals_and_unknown_words():
    assert wording.with_synonyms("Big dogs often start bigger fires.") == "Large dogs frequently begin bigger fires."


def test_noise_changes_the_question_and_never_the_options():
    for rows in rows_of("noise:arc_easy").values():
        assert tuple(row["variant"] for row in rows) == wording.NAMES["noise"]
        plain = rows[0]
        options = plain["prompt"][plain["prompt"].index("\nA. ") : -len("\nAnswer:")]
        assert all(options in row["prompt"] for row in rows)
        assert len({row["prompt"] for row in rows}) >= len(rows) - 2, "a question may lack words with synonyms"
        assert {tuple(row["choices"]) for row in rows} == {tuple(plain["choices"])}


def test_formats_are_eight_and_the_same_for_all_documents():
    by_document = list(rows_of("format:arc_easy").values())
    assert all(len({row["prompt"] for row in rows}) == wording.FORMATS for rows in by_document)
    assert by_document[0][0]["prompt"].startswith("Question: ")
    assert wording.chosen_formats(3) == wording.chosen_formats(3) != wording.chosen_formats(4)


def test_orders_hold_the_same_examples():
    for rows in rows_of("shots:arc_easy").values():
        assert len({row["prompt"] for row in rows}) == wording.ORDERS
        assert len({"".join(sorted(row["prompt"])) for row in rows}) == 1
        assert rows[0]["prompt"].count("Answer:") == wording.EXAMPLES + 1


@pytest.mark.parametrize("name", ["noise:arc_easy", "format:arc_easy", "shots:arc_easy"])
def test_a_constant_model_is_the_same_in_every_wording(name):
    found = metrics_of(name, {"prefer": "A"}, limit=80)
    changes = [value for key, value in found.items() if key.startswith("change_")]
    assert len(changes) == len(wording.NAMES[name.partition(":")[0]]) - 1
    if not name.startswith("shots"):
        assert changes == pytest.approx([0] * len(changes))
        assert (found["spread"], found["consistency"]) == (0, 1)


def test_a_model_that_reads_only_capitals_is_told():
    right = [
        {"match": rf"^Question: {row['prompt'][10:40].upper()}".replace("?", r"\?"), "prefer": "ABCDE"[row["gold"]]}
        for rows in rows_of("noise:arc_easy").values()
        for row in rows[:1]
        if row["prompt"][10:40].replace(" ", "").replace("?", "").isalpha()
    ]
    wrong = [{"prefer": "E"}]
    found = metrics_of("noise:arc_easy", *right, *wrong)
    assert found["change_upper"] > 0.3
    assert abs(found["change_lower"]) < 0.1 > abs(found["change_typos"])


def test_changes_are_paired_with_an_interval():
    from evalkit.contract.types import Document, SampleResult

    samples = [
        SampleResult(
            Document(n, {"of": n // 2, "variant": ("plain", "typos")[n % 2]}, str(n)), (), (), 0,
            metrics={"acc,none": float(n % 2 == 0 or n < 20)},
        )
        for n in range(80)
    ]  # fmt: skip
    (change,) = wording.changes(samples, ("plain", "typos"))
    assert (change.name, change.value, change.n) == ("change_typos", -0.75, 40)
    assert change.interval[0] < -0.75 < change.interval[1] < 0


def test_what_has_no_choices_is_refused():
    with pytest.raises(UserError, match="no multiple-choice task"):
        rows_of("noise:triviaqa")
