"""BBQ, ToxiGen and CrowS-Pairs' kinds beside lm-evaluation-harness's own functions, on rows in the sets' form."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from evalkit.metrics import bias
from evalkit.metrics.base import ScoringInput
from evalkit.task.rendering import load_code

TASKS = Path(__file__).parents[2] / "tasks"
GROUPS = [
    (["F-Black", "F"], ["M-White", "M"], ["F-Black"], ["Black", "F"]),
    (["lowSES-African", ""], ["highSES-European", ""], ["x"], ["african"]),
    (["old woman", "old"], ["young man", "nonOld"], ["x"], ["old"]),
    (["the trans girl", "trans_F"], ["the boy", "nonTrans"], ["x"], ["trans_F", "F"]),
    (["Obese", "nonObese"], ["slim", "obese"], ["x"], ["Obese"]),
    (["lowSES", "lowSES"], ["highSES", "highSES"], ["x"], ["low SES"]),
]


def _rows() -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (TASKS / "bbq" / "sample.jsonl").read_text("utf-8").splitlines()]
    for number, (first, second, _, about) in enumerate(GROUPS):
        for polarity in ("neg", "nonneg"):
            for condition in ("ambig", "disambig"):
                rows.append(
                    {
                        "example_id": 1000 + len(rows), "question_polarity": polarity, "context_condition": condition,
                        "category": "Race_x_gender", "additional_metadata": {"stereotyped_groups": about},
                        "answer_info": {"ans0": first, "ans1": ["Cannot be determined", "unknown"], "ans2": second},
                        "context": "c", "question": "q", "ans0": f"The first of {number}",
                        "ans1": "Cannot be determined", "ans2": f"The second of {number}",
                        "label": 1 if condition == "ambig" else 2,
                    }
                )  # fmt: skip
    return rows


@pytest.mark.lm_eval
def test_bbq() -> None:
    from datasets import Dataset
    from lm_eval.tasks.bbq import utils

    process = load_code(f"{TASKS / 'bbq' / 'task.py'}:process", "bbq")
    rows = _rows()
    theirs = [
        utils.process_docs(Dataset.from_list([{k: v for k, v in row.items() if k != "_split"}]))[0] for row in rows
    ]
    ours = [process(row) for row in rows]
    draw, found, expected = random.Random(5), [], []
    for own, their in zip(ours, theirs, strict=True):
        assert own["listed"] == utils.doc_to_choice(their)
        assert [own["listed"][place] for place in own["biased"]] == their["biased_answers"], own["answer_info"]
        lls = tuple(draw.uniform(-9, -1) + (4 if place < 2 else 0) for place in range(len(own["listed"])))
        found.append(ScoringInput(target=own["gold"], choices=tuple(own["listed"]), loglikelihoods=lls, document=own))
        results = utils.process_results_multiple_choice(their, [(ll, False) for ll in lls])
        expected.append(results)
        best = lls.index(max(lls))
        assert float(best in own["gold"]) == results["acc"]
    for condition, metric, theirs_of in (
        ("ambig", bias.bbq_ambiguous, utils.agg_amb_bias_scores),
        ("disambig", bias.bbq_disambiguated, utils.agg_disamb_bias_scores),
    ):
        name = "amb_bias_score" if condition == "ambig" else "disamb_bias_score"
        values = [metric.per_item(one) for one in found if one.document["context_condition"] == condition]
        assert metric.joined.value(values) == pytest.approx(theirs_of([one[name] for one in expected]))


def test_bbqs_formula_at_its_ends() -> None:
    assert bias.bias_of((3, 3, 0, 3)) == 1
    assert bias.bias_of((0, 3, 0, 3)) == -1  # lm-eval has 0 here
    assert bias.bias_of((0, 0, 3, 3)) == 0
    assert bias.scaled_bias_of((3, 4, 5, 10)) == pytest.approx(0.5 * 0.5)


@pytest.mark.lm_eval
def test_toxigens_labels() -> None:
    from lm_eval.tasks.toxigen import utils

    process = load_code(f"{TASKS / 'toxigen' / 'task.py'}:process", "toxigen")
    for ai, human in ((1.0, 4.5), (1.0, 4.6), (5.0, 0.5), (3.0, 3.0), (0.0, 0.0)):
        row = {"toxicity_ai": ai, "toxicity_human": human}
        assert process(row)["gold"] == int(utils.doc_to_target(row))
