"""`evalkit judge validate`: the figures are scikit-learn's, the sets are read by their own fields."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evalkit.cli.judge import app
from evalkit.contract.errors import UserError
from evalkit.contract.grading import Claim
from evalkit.data import open_source
from evalkit.judge.labelled import SETS, USUAL, Item, labelled
from evalkit.judge.validation import agreement
from evalkit.probes.grading.finding import grader
from evalkit.probes.grading.measured import SHIPPED


@pytest.fixture
def mirror() -> Path:
    folder = os.environ.get("EVALKIT_DATA_DIR")
    if not folder:
        pytest.skip("EVALKIT_DATA_DIR names no mirror")
    return Path(folder)


def scored(n: int = 120, seed: int = 3) -> list[tuple[Item, float | None]]:
    draw = np.random.default_rng(seed)
    labels = draw.random(n) < 0.4
    scores = np.clip(np.round(draw.normal(0.45 + 0.2 * labels, 0.25), 1), 0, 1)
    return [
        (Item(Claim("", ""), bool(label), str(place // 3)), float(score))
        for place, (label, score) in enumerate(zip(labels, scores, strict=True))
    ]


def test_the_figures_are_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.metrics")
    graded = scored()
    labels = [item.supported for item, _ in graded]
    scores = np.array([score for _, score in graded])
    found = agreement("made", graded)
    assert found.balanced_accuracy.value == pytest.approx(sklearn.balanced_accuracy_score(labels, scores >= 0.5))
    assert found.roc_auc.value == pytest.approx(sklearn.roc_auc_score(labels, scores))
    assert found.kappa.value == pytest.approx(sklearn.cohen_kappa_score(labels, scores >= 0.5))
    for figure in (found.balanced_accuracy, found.roc_auc, found.kappa):
        assert figure.interval is not None
        assert figure.value is not None
        assert figure.interval[0] < figure.value < figure.interval[1]
    assert (found.n, found.clusters) == (120, 40)


def test_copies_of_an_item_in_one_cluster_do_not_narrow_an_interval() -> None:
    graded = [(item._replace(cluster=str(place)), score) for place, (item, score) in enumerate(scored())]
    once, thrice = agreement("once", graded), agreement("thrice", [one for one in graded for _ in range(3)])
    for figure in ("balanced_accuracy", "roc_auc", "kappa"):
        assert getattr(thrice, figure).stderr == pytest.approx(getattr(once, figure).stderr, rel=0.02)


def test_what_is_not_defined_has_no_figure() -> None:
    one = [(Item(Claim("", ""), True, str(place)), 0.9) for place in range(20)]
    found = agreement("one label", [*one, (Item(Claim("", ""), True, "x"), None)])
    assert (found.balanced_accuracy.value, found.roc_auc.value, found.kappa.value) == (None, None, None)
    assert (found.n, found.no_verdict) == (20, 1)
    with pytest.raises(UserError, match="no verdict on any"):
        agreement("none", [(Item(Claim("", ""), True, "x"), None)])


def test_the_corrected_rate_is_nearer_to_peoples() -> None:
    rate = agreement("made", scored(1500)).rate
    assert rate is not None
    assert abs(rate.value - rate.people) < abs(rate.judge - rate.people) / 2
    assert rate.interval[0] < rate.value < rate.interval[1]
    assert rate.labelled == 100


@pytest.mark.mirror
@pytest.mark.parametrize("name", sorted(SETS))
def test_the_mirrors_labels_are_read(name: str, mirror: Path) -> None:
    found = labelled(name, open_source(mirror))
    share = sum(item.supported for item in found.items) / len(found.items)
    assert 0.1 < share < 0.7
    assert all(item.claim.source and item.claim.text.strip() for item in found.items[:50])


@pytest.mark.mirror
def test_the_shipped_figures_are_those_of_the_sets(mirror: Path) -> None:
    """Recomputed from the grader's scores by scikit-learn: the lexical one's on every set, the other's on two."""
    sklearn = pytest.importorskip("sklearn.metrics")
    shipped = json.loads(SHIPPED.read_text("utf-8"))
    chosen = {"lexical": USUAL} | ({"embedding": ("aggrefact",)} if importlib.util.find_spec("wordllama") else {})
    for name, sets in chosen.items():
        made = grader(name, {})
        for one in (labelled(each, open_source(mirror)) for each in sets):
            scores = made.grade([item.claim for item in one.items])
            known = [
                (item.supported, score) for item, score in zip(one.items, scores, strict=True) if score is not None
            ]
            labels, said = [label for label, _ in known], [score >= 0.5 for _, score in known]
            again = {
                "kappa": sklearn.cohen_kappa_score(labels, said),
                "roc_auc": sklearn.roc_auc_score(labels, [score for _, score in known]),
                "balanced_accuracy": sklearn.balanced_accuracy_score(labels, said),
            }
            assert shipped[made.identity]["by_set"][one.name] == pytest.approx(again, abs=1e-6)
        by_set = shipped[made.identity]["by_set"].values()
        assert shipped[made.identity]["kappa"] == pytest.approx(sum(one["kappa"] for one in by_set) / 7, abs=1e-6)


@pytest.mark.mirror
def test_the_command(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "found.json"
    common = ["validate", "--on", "qags,wice", "--data-dir", str(mirror), "--limit", "12", "--output", str(out)]
    ran = CliRunner().invoke(app, [*common, "--grader", "lexical"], env={"COLUMNS": "200"})
    assert ran.exit_code == 0, ran.output
    record = json.loads(out.read_text())
    assert record["grader"] == "lexical:2"
    assert [one["name"] for one in record["sets"]] == ["qags", "wice"]
    assert not (tmp_path / "cache" / "graders").exists()
    script = json.dumps([{"prefer": "yes"}])
    always = [
        *common,
        "--grader",
        "lm",
        "--model",
        "mock",
        "--backend",
        "mock",
        "--model-args",
        f'{{"script": {script}}}',
    ]
    ran = CliRunner().invoke(app, always, env={"COLUMNS": "200"})
    assert ran.exit_code == 0, ran.output
    assert json.loads(out.read_text())["sets"][0]["balanced_accuracy"]["value"] == 0.5
