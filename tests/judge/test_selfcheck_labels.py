"""SelfCheckGPT against people's labels: the areas are scikit-learn's, the labels the paper's."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evalkit.cli.judge import app
from evalkit.contract.grading import Claim
from evalkit.data import open_source
from evalkit.judge.selfcheck_labels import Passage, by_grader, by_unigram, detection, passages, precision_recall_area


def test_the_area_is_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    draw = np.random.default_rng(5)
    for digits in (1, 6):
        truth = draw.random(200) < 0.3
        scores = np.round(draw.normal(size=200) + truth, digits)
        precision, recall, _ = sklearn.precision_recall_curve(truth, scores)
        assert precision_recall_area(truth, scores) == pytest.approx(sklearn.auc(recall, precision))


class Words:
    identity = "words:1"

    def grade(self, claims: list[Claim]) -> list[float | None]:
        return [None if "?" in one.text else float(one.text in one.source) for one in claims]


def test_a_grader_as_a_score() -> None:
    made = [Passage("A. B?", ("A.", "B?"), (0.0, 1.0), ("A. C.", "D."))]
    assert by_grader(made, Words()) == [[0.5, 0.5]]


@pytest.mark.mirror
def test_the_figures_on_the_set(tmp_path: Path) -> None:
    sklearn, stats = pytest.importorskip("sklearn.metrics"), pytest.importorskip("scipy.stats")
    folder = os.environ.get("EVALKIT_DATA_DIR")
    if not folder:
        pytest.skip("EVALKIT_DATA_DIR names no mirror")
    found = passages(open_source(Path(folder)))
    scores = by_unigram(found)["unigram_max"]
    one = detection("unigram_max", found, scores)
    labels = [label for each in found for label in each.labels]
    flat = [score for own in scores for score in own]

    def area(truth: list[bool], given: list[float]) -> float:
        precision, recall, _ = sklearn.precision_recall_curve(truth, given)
        return float(sklearn.auc(recall, precision))

    assert one.nonfact.value == pytest.approx(area([label > 0.499 for label in labels], flat))
    assert one.factual.value == pytest.approx(area([label < 0.499 for label in labels], [-score for score in flat]))
    mixed = [(own, each) for own, each in zip(scores, found, strict=True) if np.mean(each.labels) < 0.99]
    truth = [label > 0.99 for _, each in mixed for label in each.labels]
    assert one.nonfact_star.value == pytest.approx(area(truth, [score for own, _ in mixed for score in own]))
    means = [float(np.mean(own)) for own in scores], [float(np.mean(each.labels)) for each in found]
    assert one.pearson.value == pytest.approx(stats.pearsonr(*means).statistic)
    out = tmp_path / "found.json"
    ran = CliRunner().invoke(app, ["selfcheck", "--data-dir", folder, "--output", str(out)], env={"COLUMNS": "200"})
    assert ran.exit_code == 0, ran.output
    saved = {each["score"]: each["nonfact"]["value"] for each in json.loads(out.read_text())["scores"]}
    assert saved["unigram_max"] == pytest.approx(one.nonfact.value)
