"""What the gate's exit codes say: no worse than the margin, worse than it, or what is missing to tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import made_runs as made
import pytest

from evalkit.analysis.baseline import save_baseline
from evalkit.analysis.compare import compare
from evalkit.analysis.gate import GateResult, gate
from evalkit.analysis.policy import Policy, Rule
from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Group

Task = tuple[str, Sequence[bool]]


def run(folder: Path, *tasks: Task, topics: int = 0, **more: object) -> Path:
    """A run of tasks with the given outcomes; ``topics``: items a topic, which documents name as ``topic``."""
    made_of = []
    for name, outcomes in tasks:
        info, samples = made.choice_task(name, outcomes)
        if topics:
            samples = [
                replace(one, document=_about(one.document, f"topic {place // topics}"))
                for place, one in enumerate(samples)
            ]
        made_of.append((info, samples))
    return made.write_run(folder, made_of, label=folder.name, **more)  # type: ignore[arg-type]


def _about(document: Document, topic: str) -> Document:
    return replace(document, data={**document.data, "topic": topic})


def flipped(n: int, gained: int, lost: int) -> tuple[list[bool], list[bool]]:
    """Outcomes of two runs on ``n`` items of which so many were gained and lost."""
    same = n - gained - lost
    base = [False] * gained + [True] * lost + [True] * same
    return base, [True] * gained + [False] * lost + [True] * same


def judged(tmp_path: Path, n: int, gained: int, lost: int, **policy: object) -> GateResult:
    base, candidate = flipped(n, gained, lost)
    sides = run(tmp_path / "a", ("t", base)), run(tmp_path / "b", ("t", candidate))
    return gate(*sides, Policy.model_validate(policy))


@pytest.mark.parametrize(
    ("gained", "lost", "code", "words"),
    [
        (100, 100, 0, "difference 0.0"),
        (60, 100, 3, "worse, by more than the margin or not: cannot tell"),
        (90, 130, 3, "worse, by more than the margin or not: cannot tell"),
        (160, 180, 3, "no difference shown, and a loss of more than the margin not ruled out"),
        (60, 180, 1, "worse by more than that"),
    ],
)
def test_each_code_means_what_it_says(tmp_path: Path, gained: int, lost: int, code: int, words: str) -> None:
    result = judged(tmp_path, 2000, gained, lost)
    assert result.exit_code == code
    assert words in result.checks[0].message


def test_any_loss_fails_where_it_is_asked_for(tmp_path: Path) -> None:
    base, candidate = flipped(2000, 10, 30)  # one point, shown to be a loss and to be less than two points
    sides = run(tmp_path / "a", ("t", base)), run(tmp_path / "b", ("t", candidate))
    assert gate(*sides).exit_code == 0
    strict = gate(*sides, Policy(fail_on="any_loss"))
    assert strict.exit_code == 1
    assert "worse, and any loss fails" in strict.checks[0].message
    assert gate(*sides, Policy(fail_on="any_loss", tasks={"t": Rule(fail_on="margin")})).exit_code == 0


def test_how_many_items_would_tell_is_never_more_than_there_are(tmp_path: Path) -> None:
    base, candidate = flipped(200, 8, 8)
    sides = run(tmp_path / "a", ("t", base)), run(tmp_path / "b", ("t", candidate), n_total={"t": 5000})
    check = gate(*sides).checks[0]
    assert check.items_needed is not None
    assert 200 < check.items_needed < 5000
    assert f"200 items cannot tell, about {check.items_needed:,} of the 5,000 there are would" in check.message
    few = run(tmp_path / "c", ("t", candidate), n_total={"t": 400})
    check = gate(sides[0], few).checks[0]
    assert check.items_needed is None
    assert check.margin_enough is not None
    assert check.margin_enough > 0.02
    assert "all 400 there are would be enough for a margin of about" in check.message


def test_the_items_it_asks_for_do_tell(tmp_path: Path) -> None:
    asked = judged(tmp_path, 200, 8, 8, tasks={"t": {"margin": 0.04}}).checks[0]
    assert asked.margin_enough is not None
    again = judged(tmp_path / "again", 200, 8, 8, tasks={"t": {"margin": asked.margin_enough + 1e-6}})
    assert again.exit_code == 0


@pytest.mark.parametrize(
    ("floor", "code", "words"),
    [
        (0.5, 0, "required at least 50.0"),
        (0.7, 1, "required at least 70.0"),
        (0.58, 3, "400 items cannot tell"),
    ],
)
def test_floors_are_decided_by_the_interval(tmp_path: Path, floor: float, code: int, words: str) -> None:
    outcomes = [True] * 240 + [False] * 160
    folder = run(tmp_path / "a", ("t", outcomes))
    rule = Rule(margin=0.1, floor=floor)
    result = gate(folder, folder, Policy(tasks={"t": rule}))
    assert result.exit_code == code
    assert words in next(check for check in result.checks if check.kind == "floor").message
    by_value = gate(folder, folder, Policy(tasks={"t": rule.model_copy(update={"floor_by": "value"})}))
    assert by_value.exit_code == (0 if floor <= 0.6 else 1)


def test_three_items_that_each_lose_a_tenth_are_no_certain_regression(tmp_path: Path) -> None:
    task = made.info("t", primary="f1,none", higher_is_better={"f1,none": True}, kind="generate")
    sides = [
        made.write_run(tmp_path / name, [(task, [made.text_sample(number, value) for number in range(3)])])
        for name, value in (("a", 0.9), ("b", 0.8))
    ]
    assert gate(*sides).exit_code == 3


def test_a_group_is_judged_as_one_with_its_tasks_below_it(tmp_path: Path) -> None:
    names = ("u", "v", "w")
    base, candidate = flipped(400, 20, 20)
    sides = [
        run(
            tmp_path / side, *((name, outcomes) for name in names), groups=(Group("g", names, aggregate=("acc,none",)),)
        )
        for side, outcomes in (("a", base), ("b", candidate))
    ]
    result = gate(*sides)
    assert [(check.kind, check.task) for check in result.checks] == [
        ("margin", "g"), ("part", "u"), ("part", "v"), ("part", "w"),
    ]  # fmt: skip
    assert [check.outcome for check in result.checks] == ["pass", *["inconclusive"] * 3]
    assert result.exit_code == 0  # the parts do not count


def test_the_policys_average_is_judged_as_one(tmp_path: Path) -> None:
    names = ("u", "v", "w")
    base, candidate = flipped(400, 20, 20)
    first = run(tmp_path / "a", *((name, base) for name in names))
    second = run(tmp_path / "b", *((name, candidate) for name in names))
    assert gate(first, second).exit_code == 3
    result = gate(first, second, Policy.model_validate({"average": names}))
    assert result.exit_code == 0
    assert [check.task for check in result.checks] == ["average", *names]
    strict = gate(first, second, Policy.model_validate({"average": {"tasks": names, "margin": 0.001}}))
    assert strict.exit_code == 3
    lacking = run(tmp_path / "c", *((name, candidate) for name in names[:2]))
    without = gate(first, lacking, Policy.model_validate({"average": names}))
    assert without.exit_code == 1
    assert any("w is not in the candidate" in check.message for check in without.checks)
    with pytest.raises(UserError, match="average names 'x', which neither run has"):
        gate(first, second, Policy.model_validate({"average": ["u", "x"]}))


def test_an_average_of_different_measures_is_not_judged(tmp_path: Path) -> None:
    def sides(name: str) -> Path:
        words = made.info("u", primary="words,none", higher_is_better={"words,none": False}, kind="generate")
        samples = [replace(made.text_sample(k, 0.0, task="u"), metrics={"words,none": 3.0 + k % 5}) for k in range(40)]
        return made.write_run(tmp_path / name, [made.choice_task("t", [True, False] * 20), (words, samples)])

    result = gate(sides("a"), sides("b"), Policy.model_validate({"average": ["t", "u"]}))
    assert result.exit_code == 3
    assert "u and t are measured in different units or directions" in result.checks[0].message


def test_a_saved_baseline_knows_the_clusters_of_the_candidates_documents(tmp_path: Path) -> None:
    base, candidate = flipped(240, 24, 48)
    first = run(tmp_path / "a", ("t", base), topics=10)
    second = run(tmp_path / "b", ("t", candidate), topics=10)
    file = save_baseline(first, tmp_path / "base.json")
    rows = [compare(one, [second], cluster_by="topic").candidates[0].metrics[0] for one in (first, file)]
    assert [row.difference.clusters for row in rows] == [24, 24]
    assert rows[0] == rows[1]
    policy = Policy(cluster_by="topic")
    assert gate(file, second, policy).checks == gate(first, second, policy).checks
    assert compare(file, [second]).candidates[0].metrics[0].difference.clusters is None
    other = save_baseline(second, tmp_path / "other.json")
    with pytest.raises(UserError, match=r"baseline save RUN --cluster-by topic"):
        compare(file, [other], cluster_by="topic")
    kept = save_baseline(first, tmp_path / "kept.json", cluster_by="topic")
    assert compare(kept, [other], cluster_by="topic").candidates[0].metrics[0].difference.clusters == 24


def test_a_field_that_no_document_has_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", ("t", [True, False] * 10))
    for call in (
        lambda: compare(folder, [folder], cluster_by="topc"),
        lambda: gate(folder, folder, Policy(cluster_by="topc")),
        lambda: save_baseline(folder, tmp_path / "x.json", cluster_by="topc"),
    ):
        with pytest.raises(UserError, match="topc"):
            call()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_total": {"t": 1000}}, "a limited run: 200 of the task's 1,000 items"),
        ({"partial": True}, "a partial run: it was interrupted after 200 items"),
    ],
)
def test_limited_and_partial_runs_are_called_so(tmp_path: Path, changes: Mapping[str, object], words: str) -> None:
    outcomes = made.answers(1000, 0.6, 1)
    base = run(tmp_path / "a", ("t", outcomes))
    candidate = run(tmp_path / "b", ("t", outcomes[:200]), **changes)
    result = gate(base, candidate)
    assert result.exit_code == 3
    assert words in "; ".join(check.message for check in result.checks)
