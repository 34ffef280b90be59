"""`evalkit study cascade`, from models to a cascade that runs as it was predicted to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from evalkit import load_run
from evalkit.api.studying import table_of
from evalkit.backends import answer_scorer
from evalkit.cli.app import app
from evalkit.statistics.routing import Policy, Table, route

pytest.importorskip("sklearn")


PAGE = Path(__file__).parent.parent / "docs" / "studies.md"


def config(folder: Path, **changes: object) -> Path:
    models = [
        {"name": "mock", "label": "cheap", "args": {"seed": 1}},
        {"name": "mock", "label": "dear", "args": {"seed": 2}},
    ]
    own = {"prices": [1.0, [10.0, 20.0]], "budgets": [0.02], **changes}
    asked = {"tasks": ["boolq", "triviaqa"], "bundled": True, "models": models, "cascade": own}
    file = folder / "cascade.yaml"
    file.write_text(yaml.safe_dump(asked), "utf-8")
    return file


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of the page, carried out."""
    folder = tmp_path_factory.mktemp("study")
    (page,) = re.findall(r"```yaml\n(tasks: .*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (folder / "cascade.yaml").write_text(page, "utf-8")
    line = ["study", "cascade", str(folder / "cascade.yaml"), "--output", str(folder / "out"), "-q"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 0, done.output
    assert "model alone" in done.output
    return folder


def test_the_study_lies_beside_its_runs(studied: Path) -> None:
    out = studied / "out"
    study = json.loads((out / "study.json").read_text("utf-8"))
    assert study["n_train"] + study["n_test"] + study["left_out"] == 48
    assert set(study["scorers"]) == {"cheap", "dear"}
    assert load_run(out / "cheap").tasks == ("boolq", "triviaqa")
    page = (out / "report.html").read_text("utf-8")
    assert "Accuracy against cost" in page
    assert "http" not in page.split("<main")[1].split("<script")[0]


def test_a_finished_study_asks_no_model_again(studied: Path) -> None:
    before = (studied / "out" / "study.json").read_bytes()
    journal = sum(one.stat().st_size for one in (studied / "out" / "answers").rglob("*") if one.is_file())
    done = CliRunner().invoke(
        app, ["study", "cascade", str(studied / "cascade.yaml"), "--output", str(studied / "out"), "-q"]
    )
    assert done.exit_code == 0, done.output
    assert (studied / "out" / "study.json").read_bytes() == before
    assert sum(one.stat().st_size for one in (studied / "out" / "answers").rglob("*") if one.is_file()) == journal


def test_a_chosen_cascade_runs_as_the_study_said(studied: Path, tmp_path: Path) -> None:
    """The scorer's file and a threshold in a run of the backend: who answers is who the study's table says."""
    out = studied / "out"
    items = table_of(studied / "cascade.yaml", {"output": out})
    scorer = answer_scorer.read(out / "scorer.json")
    scores = [scorer.of(name).scores(items.answers[name]) for name in items.models]
    limit = float(np.median(scores[0]))
    table = Table(items.quality, items.cost, np.stack(scores, axis=1), items.deciding)
    expected = route(table, Policy((0, 1), (limit,)))
    models = yaml.safe_load((studied / "cascade.yaml").read_text("utf-8"))["models"]
    args = {"scorer": str(out / "scorer.json"), "threshold": [limit], "prices": [1.0, [10.0, 20.0]], "stages": models}
    asked = {"tasks": ["boolq", "triviaqa"], "bundled": True, "model": {"name": "cascade:cheap,dear", "args": args}}
    file = tmp_path / "run.yaml"
    file.write_text(yaml.safe_dump(asked), "utf-8")
    done = CliRunner().invoke(app, ["run", "--config", str(file), "--output", str(tmp_path / "run"), "-q"])
    assert done.exit_code == 0, done.output
    counted = load_run(tmp_path / "run").result.counters["cascade"]
    assert counted["rule"] == "scorer"
    assert [one["documents_answered"] for one in counted["stages"]] == np.bincount(expected.stage).tolist()
    assert counted["cost"] == pytest.approx(float(expected.cost.sum()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"prices": [1.0]}, "1 prices for 2 models"),
        ({"prices": [1.0, -1.0]}, "prices are at least 0"),
        ({"test_share": 1.5}, "cascade.test_share"),
        ({"cheapest": 1}, "cascade.cheapest"),
    ],
)
def test_bad_configurations_are_told_before_a_model_is_asked(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    line = ["study", "cascade", str(config(tmp_path, **changes)), "--output", str(tmp_path / "out"), "-q"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2, done.output
    assert words in done.output
    assert not (tmp_path / "out").exists()


def test_a_file_without_its_part_is_told(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("tasks: [boolq]\nmodel: mock\n", "utf-8")
    done = CliRunner().invoke(app, ["study", "cascade", str(file)])
    assert done.exit_code == 2
    assert "cascade: is missing" in done.output
