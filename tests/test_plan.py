"""`evalkit plan`: what it promises of the gate, and that it is the gate's own judgement."""

from __future__ import annotations

from pathlib import Path

import made_runs as made
import numpy as np
import pytest
from typer.testing import CliRunner

from evalkit.analysis.baseline import load_scores, save_baseline
from evalkit.analysis.changes import assumed, observed
from evalkit.analysis.planning import NO_CHANGE, TWICE, plan
from evalkit.analysis.policy import Policy, Rule
from evalkit.analysis.scores import RunScores
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.contract.types import Group
from evalkit.statistics.choice import difference_for

BASE = made.answers(1000, 0.6, 1)


def scores(folder: Path, *tasks: tuple[str, list[bool]], groups: tuple[Group, ...] = ()) -> RunScores:
    return load_scores(made.write_run(folder, [made.choice_task(*task) for task in tasks], groups=groups), p_gold=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> RunScores:
    return scores(tmp_path_factory.mktemp("plan") / "base", ("t", BASE))


def test_odds_are_those_of_the_gates_test(base: RunScores) -> None:
    """Drawn by hand: 1,000 items of which 5 % flip either way, judged by `difference_for`."""
    generator = np.random.default_rng(7)
    passed = 0
    for _ in range(300):
        gained, lost, _ = generator.multinomial(1000, [0.025, 0.025, 0.95])
        a = [0.0] * gained + [1.0] * (1000 - gained)
        b = [1.0] * gained + [0.0] * lost + [1.0] * (1000 - gained - lost)
        passed += difference_for(a, b, binary=True).p_value(-0.02, "greater") <= 0.025
    found = plan(base, flips=0.05, draws=300).rows[0]
    assert found.odds[NO_CHANGE].passed == pytest.approx(passed / 300, abs=0.08)
    assert found.odds[NO_CHANGE].regression <= 0.02
    assert found.odds[TWICE].passed <= 0.01
    assert found.changed == pytest.approx(0.05)


def test_the_items_needed_are_enough_and_not_many_more(base: RunScores) -> None:
    policy = Policy(default=Rule(margin=0.03))
    needed = plan(base, policy, flips=0.05, draws=200).rows[0].items_needed
    assert needed is not None
    assert 250 < needed < 900  # about (2.8 / 0.03)^2 * 0.05 = 436, by the normal approximation
    assert plan(base, policy, flips=0.05, limit=needed, draws=300, seed=5).rows[0].odds[NO_CHANGE].passed >= 0.72
    assert plan(base, policy, flips=0.05, limit=0.6 * needed, draws=300).rows[0].odds[NO_CHANGE].passed < 0.75


def test_never_more_items_than_there_are(base: RunScores) -> None:
    found = plan(base, Policy(default=Rule(margin=0.002)), flips=0.2, draws=50).rows[0]
    assert (found.items_needed, found.total) == (None, 1000)


def test_a_given_loss(base: RunScores) -> None:
    odds = plan(base, flips=0.1, loss=0.1, draws=50).rows[0].odds
    assert odds["the given loss"].regression == 1.0


def test_earlier_runs_show_how_many_items_change(tmp_path: Path, base: RunScores) -> None:
    run = scores(tmp_path / "run", ("t", made.correlated(BASE, 0.05, 0.1, 3)))
    found = plan(base, runs=[run], draws=100)
    a, b = (one.tasks["t"].series["acc,none"].values for one in (base, run))
    assert found.assumed is None
    assert found.rows[0].changed == pytest.approx(sum(x != y for x, y in zip(a, b, strict=True)) / 1000)


def test_draws_have_the_loss_that_was_asked_for(base: RunScores) -> None:
    generator = np.random.default_rng(3)
    changes = assumed(base.tasks["t"].series["acc,none"], 0.05, 1.0, 1)
    for loss in (0.0, 0.02, 0.05, 0.2):
        drawn, _ = changes.draw(200_000, loss, generator)
        assert drawn.mean() == pytest.approx(-loss, abs=0.002)
        assert np.abs(drawn).mean() == pytest.approx(max(0.05, loss), abs=0.002)


def test_clusters_are_drawn_whole(tmp_path: Path) -> None:
    info = made.info("t")
    passages = [made.choice_sample(k, right, task="t") for k, right in enumerate(BASE[:200])]
    for k, one in enumerate(passages):
        one.document.data["passage"] = f"p{k // 5}"  # type: ignore[index]
    first = load_scores(made.write_run(tmp_path / "a", [(info, passages)])).tasks["t"]
    worse = [made.choice_sample(k, right and k % 25 >= 5, task="t") for k, right in enumerate(BASE[:200])]
    for k, one in enumerate(worse):
        one.document.data["passage"] = f"p{k // 5}"  # type: ignore[index]
    other = load_scores(made.write_run(tmp_path / "b", [(info, worse)])).tasks["t"]
    changes = observed([(first, other)], "acc,none", 1.0)
    assert changes.clustered
    _, labels = changes.draw(100, 0.0, np.random.default_rng(1))
    assert sorted(labels.count(label) for label in set(labels)) == [5] * 20


def test_assumed_flips_are_judged_in_the_clusters_there_are(tmp_path: Path) -> None:
    """60 items in 3 passages have the degrees of freedom of 3, as the gate's own test has."""
    samples = [made.choice_sample(number, right) for number, right in enumerate(BASE[:60])]
    for number, one in enumerate(samples):
        one.document.data["passage"] = f"passage {number % 3}"  # type: ignore[index]
    base = load_scores(made.write_run(tmp_path / "base", [(made.info("t"), samples)]))
    changes = assumed(base.tasks["t"].series["acc,none"], 0.05, 1.0, 1, base.tasks["t"].clusters)
    assert changes.clustered
    assert {len(unit) for unit in changes.units} == {20}
    assert changes.rate == pytest.approx(0.05, abs=0.02)
    wide = Policy(default=Rule(margin=0.3))
    assert plan(base, wide, flips=0.05, draws=50).rows[0].odds[NO_CHANGE].passed == 0
    free = Policy(default=Rule(margin=0.3), cluster_by="none")
    alone = load_scores(tmp_path / "base", "none")
    assert plan(alone, free, flips=0.05, draws=50).rows[0].odds[NO_CHANGE].passed == 1


def test_several_tasks_and_their_average(tmp_path: Path) -> None:
    tasks = [(name, made.answers(400, 0.6, seed)) for seed, name in enumerate("abc")]
    found = scores(tmp_path / "base", *tasks)
    each = plan(found, Policy(default=Rule(margin=0.03)), flips=0.05, draws=100, brief=True)
    assert each.overall is not None
    assert each.overall.odds[NO_CHANGE].passed <= min(row.odds[NO_CHANGE].passed for row in each.rows)
    assert each.overall.items == 1200
    average = plan(
        found, Policy.model_validate({"average": {"tasks": list("abc"), "margin": 0.03}}), flips=0.05, draws=100
    )
    assert average.overall is None
    assert average.rows[0].odds[NO_CHANGE].passed > each.overall.odds[NO_CHANGE].passed + 0.2


def test_what_cannot_be_planned(base: RunScores, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="earlier runs or --flips, not both"):
        plan(base, runs=[base], flips=0.1)
    other = scores(tmp_path / "other", ("u", BASE))
    with pytest.raises(UserError, match="no earlier run has it"):
        plan(base, runs=[other])


def test_the_command_and_the_line_of_baseline_save(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "run", [made.choice_task("t", BASE)])
    file = tmp_path / "baseline.json"
    saved = CliRunner().invoke(app, ["baseline", "save", str(run), "--output", str(file)])
    assert saved.exit_code == 0
    assert saved.stdout.splitlines()[0] == str(file)
    assert "an unchanged model that changes 5% of the items passes the gate with" in saved.output
    shown = CliRunner().invoke(app, ["plan", "--baseline", str(file), "--flips", "0.1", "--draws", "50"])
    assert shown.exit_code == 0
    assert "Items for 80 %" in shown.stdout
    assert "50 candidates drawn" in shown.stdout
    as_json = CliRunner().invoke(app, ["plan", "--baseline", str(file), "--json", "--draws", "50"])
    assert '"items_needed"' in as_json.stdout


def test_p_gold_is_planned_from_earlier_runs(tmp_path: Path) -> None:
    a = save_baseline(made.write_run(tmp_path / "a", [made.choice_task("t", BASE)]), tmp_path / "a.json")
    b = made.write_run(tmp_path / "b", [made.choice_task("t", made.correlated(BASE, 0.02, 0.03, 3))])
    found = plan(load_scores(a, p_gold=True), Policy(p_gold=0.01), [load_scores(b, p_gold=True)], draws=50)
    assert [row.metric for row in found.rows] == ["acc,none", "p_gold,none"]
