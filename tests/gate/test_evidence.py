"""No pass without evidence: whatever the runs lack, the gate says so and does not exit with 0."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import made_runs as made
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from evalkit.analysis.baseline import save_baseline
from evalkit.analysis.compare import compare
from evalkit.analysis.gate import gate
from evalkit.analysis.policy import Policy, Rule
from evalkit.api.comparing import plan
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.contract.types import Group
from evalkit.render.report import write_markdown
from evalkit.store import RunDir

RIGHT = made.answers(60, 0.6, 1)


def task(name: str, outcomes: list[bool] = RIGHT, *, unscored: int = 0, n: int | None = None, primary: str = "acc"):
    """A task of which the first ``unscored`` items have no value and only the first ``n`` were asked."""
    info, samples = made.choice_task(name, outcomes)
    samples = [
        replace(one, status="unscored", metrics={}) if number < unscored else one for number, one in enumerate(samples)
    ][:n]
    if primary != "acc":
        key = f"{primary},none"
        info = replace(info, primary=key, higher_is_better={key: True})
        samples = [replace(one, metrics={key: one.metrics["acc,none"]} if one.metrics else {}) for one in samples]
    return info, samples


def run(folder: Path, *tasks, groups: tuple[Group, ...] = (), partial: bool = False) -> Path:
    return made.write_run(folder, tasks, label=folder.name, groups=groups, partial=partial)


def undecided(base: Path, candidate: Path, policy: Policy | None = None) -> str:
    """The messages of the checks that are not decided; the gate's exit code is 3."""
    result = gate(base, candidate, policy)
    assert result.exit_code == 3
    return "; ".join(check.message for check in result.checks if check.outcome == "inconclusive")


def test_a_limited_candidate_is_no_pass(tmp_path: Path) -> None:
    base, candidate = run(tmp_path / "a", task("t")), run(tmp_path / "b", task("t", n=12))
    assert "48 of the baseline's 60 items are not in the candidate" in undecided(base, candidate)
    assert gate(base, candidate, Policy(max_unmatched=0.9, default=Rule(margin=0.9))).exit_code == 0


def test_a_candidate_with_more_items_is_judged(tmp_path: Path) -> None:
    base, candidate = run(tmp_path / "a", task("t", n=50)), run(tmp_path / "b", task("t"))
    assert gate(base, candidate, Policy(default=Rule(margin=0.2))).exit_code == 0


def test_copies_of_one_document_are_one_piece_of_evidence(tmp_path: Path) -> None:
    info, samples = task("t", [True] * 60)
    copies = [replace(samples[0], document=replace(samples[0].document, id=number)) for number in range(60)]
    base, candidate = (run(tmp_path / name, (info, copies)) for name in "ab")
    assert "60 items cannot tell" in undecided(base, candidate, Policy(default=Rule(margin=0.5)))
    pairs = [replace(one, document=samples[number // 2].document) for number, one in enumerate(samples)]
    (row,) = compare(run(tmp_path / "c", (info, pairs)), [run(tmp_path / "d", (info, pairs))]).candidates[0].metrics
    assert (row.cluster_field, row.difference.clusters) == ("document", 30)


def test_what_no_gate_can_judge_has_no_plan(tmp_path: Path) -> None:
    base = run(tmp_path / "a", task("t", unscored=60))
    with pytest.raises(UserError, match=r"nothing can be drawn: t: the baseline has no value of acc,none"):
        plan(base)
    saved = CliRunner().invoke(app, ["baseline", "save", str(base), "--output", str(tmp_path / "b.json")])
    assert (saved.exit_code, (tmp_path / "b.json").is_file()) == (0, True)


def test_items_without_a_score_are_no_pass(tmp_path: Path) -> None:
    base, candidate = run(tmp_path / "a", task("t")), run(tmp_path / "b", task("t", unscored=6))
    assert "6 items that the baseline scored have no score" in undecided(
        base, candidate, Policy(default=Rule(margin=0.2))
    )
    assert gate(base, candidate, Policy(default=Rule(margin=0.2, max_unscored=0.1))).exit_code == 0
    both = run(tmp_path / "c", task("t", unscored=6))
    assert gate(both, candidate, Policy(default=Rule(margin=0.2))).exit_code == 0  # unscored in the baseline too


def test_a_task_without_any_score_is_no_pass(tmp_path: Path) -> None:
    base = run(tmp_path / "a", task("t"), task("u"))
    candidate = run(tmp_path / "b", task("t"), task("u", unscored=60))
    result = gate(base, candidate, Policy(default=Rule(margin=0.2)))
    assert result.exit_code == 3
    messages = {check.task: check.message for check in result.checks if check.outcome == "inconclusive"}
    assert set(messages) == {"u"}
    alone = gate(run(tmp_path / "c", task("u")), run(tmp_path / "d", task("u", unscored=60)))
    assert alone.exit_code == 3
    assert any("no value of acc,none for any item" in check.message for check in alone.checks)


def test_another_primary_metric_is_no_pass(tmp_path: Path) -> None:
    base, candidate = run(tmp_path / "a", task("t")), run(tmp_path / "b", task("t", primary="exact_match"))
    message = undecided(base, candidate)
    assert "its primary metric is acc,none in the baseline and exact_match,none in the candidate" in message


def test_no_item_in_common_is_no_pass_and_no_comparison(tmp_path: Path) -> None:
    info, samples = task("t")
    base, candidate = run(tmp_path / "a", (info, samples[:30])), run(tmp_path / "b", (info, samples[30:]))
    assert "no item of the baseline (30) is among the candidate's (30)" in undecided(base, candidate)
    with pytest.raises(UserError, match="no item of the baseline"):
        compare(base, [candidate])


@pytest.mark.parametrize("more", [("u", "v", "w"), ("u",)])
def test_a_group_with_other_leaves_is_judged_leaf_by_leaf(tmp_path: Path, more: tuple[str, ...]) -> None:
    base = run(tmp_path / "a", task("u"), task("v"), groups=(Group("g", ("u", "v"), aggregate=("acc,none",)),))
    names = [*more]
    candidate = run(
        tmp_path / "b",
        *(task(name, [False] * 60) for name in names),
        groups=(Group("g", tuple(names), aggregate=("acc,none",)),),
    )
    result = gate(base, candidate)
    assert result.exit_code == 1
    assert {check.task for check in result.checks if check.kind == "margin"} == {"u", "v"} & set(names)


def test_leaves_with_different_metrics_are_judged_leaf_by_leaf(tmp_path: Path) -> None:
    group = (Group("g", ("u", "v"), aggregate=("acc,none",)),)
    sides = [
        run(
            tmp_path / name,
            task("u", outcomes),
            task("v", outcomes, primary="exact_match"),
            groups=group,
        )
        for name, outcomes in (("a", [True] * 60), ("b", [False] * 60))
    ]
    result = gate(*sides)
    assert result.exit_code == 1
    assert {check.task for check in result.checks if check.kind == "margin"} == {"u", "v"}


def test_a_partial_baseline_is_no_pass(tmp_path: Path) -> None:
    base, candidate = run(tmp_path / "a", task("t"), partial=True), run(tmp_path / "b", task("t"))
    assert "the baseline's run was interrupted" in undecided(base, candidate, Policy(default=Rule(margin=0.3)))


def translated(folder: Path, script: list[dict[str, str]]) -> Path:
    """A run of the shipped group of translations on bundled items, by a mock model with a script."""
    file = folder.with_suffix(".yaml")
    file.write_text(json.dumps(script), "utf-8")
    line = ["run", "--model", "mock", "--model-args", f"script={file}", "--tasks", "translation", "--sample"]
    done = CliRunner().invoke(app, [*line, "--limit", "6", "--output", str(folder)])
    assert done.exit_code == 0, done.output
    return folder


def test_translation_from_references_to_rubbish(tmp_path: Path) -> None:
    rubbish = translated(tmp_path / "rubbish", [{"match": ".*", "text": "xyzzy"}])
    found = RunDir.open(rubbish)
    frames = {name: found.samples(name, ("prompt", "target")) for name in found.tasks()}
    pairs = [(row.prompt, json.loads(row.target)) for frame in frames.values() for row in frame.itertuples()]
    script = [
        {"match": f"(?s){re.escape(prompt[-60:])}$", "text": target if isinstance(target, str) else target[0]}
        for prompt, target in pairs
    ]
    references = translated(tmp_path / "references", script)
    result = gate(references, rubbish)
    assert result.exit_code == 1
    # The report marks what compare says, for corpus metrics and their averages too.
    rows = [row for row in compare(references, [rubbish]).candidates[0].metrics if row.metric.startswith("bleu")]
    assert {row.verdict for row in rows} == {"worse"}
    assert {row.level for row in rows} == {"task", "micro", "macro"}
    page = write_markdown([references, rubbish], tmp_path / "r.md").read_text("utf-8")
    assert page.count("| **100") >= len({row.task for row in rows if row.level == "macro"})
    assert "(tie)" not in page.partition("Bold is")[0]
    judged = {check.task for check in result.checks if check.kind == "margin"}
    assert judged == {"translation"}
    assert {check.task for check in result.checks if check.kind == "part"} == set(frames)


def test_a_saved_baseline_sees_the_same(tmp_path: Path) -> None:
    base, candidate = run(tmp_path / "a", task("t")), run(tmp_path / "b", task("t", n=12))
    saved = save_baseline(base, tmp_path / "base.json")
    assert "48 of the baseline's 60 items" in undecided(saved or tmp_path / "base.json", candidate)


SHAPES = st.fixed_dictionaries(
    {
        "names": st.sets(st.sampled_from("tuvw"), min_size=1),
        "unscored": st.sampled_from([0, 0, 0, 3, 20]),
        "n": st.sampled_from([None, None, 20, 11, 1]),
        "primary": st.sampled_from(["acc", "acc", "exact_match"]),
        "partial": st.booleans(),
        "grouped": st.booleans(),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=SHAPES, after=SHAPES)
def test_exit_0_means_that_every_task_of_the_baseline_was_judged(tmp_path_factory, before, after) -> None:
    folder = tmp_path_factory.mktemp("pair")

    def made_of(shape, name):
        outcomes = RIGHT[:20]
        tasks = [
            task(one, outcomes, unscored=shape["unscored"], n=shape["n"], primary=shape["primary"])
            for one in sorted(shape["names"])
        ]
        group = (Group("g", tuple(sorted(shape["names"])), aggregate=(f"{shape['primary']},none",)),)
        return run(folder / name, *tasks, groups=group if shape["grouped"] else (), partial=shape["partial"])

    base, candidate = made_of(before, "a"), made_of(after, "b")
    try:
        result = gate(base, candidate, Policy(default=Rule(margin=0.9)))
    except UserError:
        return  # exit code 2: not the same measurement, or nothing to read
    if result.exit_code:
        return
    passed = {check.task for check in result.checks if check.kind == "margin" and check.outcome == "pass"}
    assert before["names"] <= passed or "g" in passed
    assert before["names"] <= after["names"]
    assert not before["partial"]
    assert not after["partial"]
    assert before["primary"] == after["primary"]
    assert (after["n"] or 20) >= (before["n"] or 20)
