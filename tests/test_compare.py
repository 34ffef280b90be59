"""Comparing run directories."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import made_runs as made
import pytest
from typer.testing import CliRunner

from evalkit.analysis.baseline import read_baseline, save_baseline
from evalkit.analysis.compare import compare
from evalkit.contract.errors import UserError
from evalkit.contract.types import Document, Group, Response, Rolling, SampleResult
from evalkit.render.comparison import comparison_markdown


def two(tmp_path: Path, base: list[bool], other: list[bool], **changes: object) -> tuple[Path, Path]:
    a = made.write_run(tmp_path / "a", [made.choice_task("t", base)], label="base")
    b = made.write_run(tmp_path / "b", [made.choice_task("t", other, **changes)], label="cand")
    return a, b


def test_difference_flips_and_verdict(tmp_path: Path) -> None:
    base = [True] * 30 + [False] * 10
    other = [False] * 12 + [True] * 18 + [True, True] + [False] * 8
    found = compare(*(lambda pair: (pair[0], [pair[1]]))(two(tmp_path, base, other)))
    row = found.candidates[0].metrics[0]
    assert (row.task, row.metric, row.level, row.primary) == ("t", "acc,none", "task", True)
    assert (row.base, row.candidate) == (0.75, 0.5)
    assert row.difference.value == pytest.approx(-0.25)
    assert (len(row.improved), len(row.worsened)) == (2, 12)
    assert row.improved[0].title == "Which colour has number 30?"
    assert (row.improved[0].base, row.improved[0].candidate) == (0.0, 1.0)
    assert row.p_adjusted == row.difference.p_value
    assert row.verdict == "worse"


def test_joined_by_document_and_not_by_place(tmp_path: Path) -> None:
    task, samples = made.choice_task("t", [True, False, True, False, True, False])
    a = made.write_run(tmp_path / "a", [(task, samples)])
    b = made.write_run(tmp_path / "b", [(task, list(reversed(samples))[:4])])
    row = compare(a, [b]).candidates[0].metrics[0]
    assert row.difference.n == 4
    assert row.difference.value == 0
    assert (row.unmatched_base, row.unmatched_candidate) == (2, 0)


def test_errors_are_left_out_and_said(tmp_path: Path) -> None:
    task, samples = made.choice_task("t", [True, False, True, False])
    failed = replace(samples[0], status="error", error="timeout", metrics={"acc,none": None})
    a = made.write_run(tmp_path / "a", [(task, samples)], label="a")
    b = made.write_run(tmp_path / "b", [(task, [failed, *samples[1:]])], label="b")
    found = compare(a, [b])
    assert found.candidates[0].metrics[0].difference.n == 3
    assert "1 items of the base, 1 of the candidate" in comparison_markdown(found)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "2"}, "version 1 against 2"),
        ({"num_fewshot": 5}, "few-shot examples 2 against 5"),
        ({"sample": True}, "bundled items"),
    ],
)
def test_different_measurements_are_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    a, b = two(tmp_path, [True, False], [True, True], **changes)
    with pytest.raises(UserError, match=message):
        compare(a, [b])
    found = compare(a, [b], allow_mismatch=True)
    assert any(message in text for text in found.candidates[0].mismatches)


def test_different_prompts_are_refused(tmp_path: Path) -> None:
    task = made.info("t")
    a = made.write_run(tmp_path / "a", [(task, [made.choice_sample(i, True) for i in range(3)])])
    b = made.write_run(tmp_path / "b", [(task, [made.choice_sample(i, True, question="Another?") for i in range(3)])])
    with pytest.raises(UserError, match="3 of 3 shared documents have different prompts"):
        compare(a, [b])


def test_nothing_shared(tmp_path: Path) -> None:
    a = made.write_run(tmp_path / "a", [made.choice_task("x", [True, False])])
    b = made.write_run(tmp_path / "b", [made.choice_task("y", [True, False])])
    with pytest.raises(UserError, match="share no task"):
        compare(a, [b])


def test_groups_are_strata_with_one_headline(tmp_path: Path) -> None:
    names = [f"g_{number}" for number in range(9)]
    group = [Group("g", tuple(names), aggregate=("acc,none",))]
    base = {name: made.answers(30, 0.5, number) for number, name in enumerate(names)}
    gained = {name: made.correlated(base[name], 0.0, 0.5, number) for number, name in enumerate(names)}
    a = made.write_run(
        tmp_path / "a",
        [made.choice_task(n, base[n]) for n in names] + [made.choice_task("solo", base["g_0"])],
        groups=group,
    )
    b = made.write_run(
        tmp_path / "b",
        [made.choice_task(n, gained[n]) for n in names] + [made.choice_task("solo", base["g_0"])],
        groups=group,
    )
    found = compare(a, [b]).candidates[0].metrics
    rows = {row.task: row for row in found if row.primary}
    whole = rows["g"]
    assert (whole.level, whole.difference.n, whole.tasks) == ("micro", 270, tuple(names))
    expected = sum(sum(gained[n]) - sum(base[n]) for n in names) / 270
    assert whole.difference.value == pytest.approx(expected)
    each = [(sum(gained[n]) - sum(base[n])) / 30 for n in names]
    macro = next(row for row in found if row.level == "macro")
    assert macro.difference.value == pytest.approx(sum(each) / 9)
    assert not macro.primary
    # Two headline tests (g, solo); nine subjects among themselves.
    assert whole.p_adjusted == pytest.approx(min(1, 2 * whole.difference.p_value))
    smallest = min((rows[name] for name in names), key=lambda row: row.difference.p_value)
    assert smallest.p_adjusted == pytest.approx(min(1, 9 * smallest.difference.p_value))


@pytest.mark.parametrize("field", ["passage", "of"])
def test_items_that_share_a_passage_or_a_question_are_clustered(tmp_path: Path, field: str) -> None:
    task = made.info("t")

    def samples(outcomes: list[bool]) -> list[SampleResult]:
        plain = [made.choice_sample(number, right) for number, right in enumerate(outcomes)]
        return [
            replace(
                one,
                document=Document(one.document.id, {**one.document.data, field: f"p{number // 4}"}, one.document.hash),
            )
            for number, one in enumerate(plain)
        ]

    a = made.write_run(tmp_path / "a", [(task, samples([True, False] * 20))])
    b = made.write_run(tmp_path / "b", [(task, samples([True, True] * 10 + [True, False] * 10))])
    found = compare(a, [b]).candidates[0].metrics[0]
    assert (found.cluster_field, found.difference.clusters) == (field, 10)
    assert compare(a, [b], cluster_by="none").candidates[0].metrics[0].difference.clusters is None


def test_perplexity_is_resampled_as_a_corpus(tmp_path: Path) -> None:
    task = made.info(
        "w", kind="rolling", primary="word_perplexity,none", higher_is_better={"word_perplexity,none": False}
    )

    def run(folder: str, nats: float, noise: int = 0) -> Path:
        samples = [
            SampleResult(
                Document(number, {"text": str(number)}, made.digest(str(number))),
                (Rolling("text"),),
                (Response(loglikelihood=-nats * (10 + number)),),
                "",
                statistics={"word_perplexity,none": (-nats * (10 + number) - noise * (number % 3) / 10, 10.0 + number)},
                metrics={"word_perplexity,none": 0.0},
            )
            for number in range(20)
        ]
        path = made.write_run(tmp_path / folder, [(task, samples)])
        results = json.loads((path / "results.json").read_text())
        results["evalkit"]["tasks"][0]["metrics"][0] |= {
            "aggregator": "weighted_perplexity",
            "unit": "",
            "bounds": None,
        }
        (path / "results.json").write_text(json.dumps(results))
        return path

    row = compare(run("a", 2.0), [run("b", 2.1, 1)]).candidates[0].metrics[0]
    assert row.base == pytest.approx(7.389056)
    assert row.candidate == pytest.approx(math.exp(820.9 / 390))
    assert row.gain.value < 0
    assert row.verdict == "worse"


def test_baseline_file_compares_as_the_run_does(tmp_path: Path) -> None:
    a, b = two(tmp_path, made.answers(200, 0.5, 1), made.answers(200, 0.6, 2))
    file = save_baseline(a, tmp_path / "baseline.json")
    assert file.stat().st_size < 200 * 16 + 1500
    assert "colour" not in file.read_text()
    assert compare(file, [b]).candidates[0].metrics == compare(a, [b]).candidates[0].metrics


def test_baseline_keeps_copies_and_continuous_values(tmp_path: Path) -> None:
    task = made.info("t", primary="f1,none", higher_is_better={"f1,none": True}, kind="generate")
    samples = [made.text_sample(number % 3, 0.1 * number) for number in range(6)]
    a = made.write_run(tmp_path / "a", [(task, samples)])
    scores = read_baseline(save_baseline(a, tmp_path / "b.json")).tasks["t"]
    assert scores.series["f1,none"].values == pytest.approx((0.0, 0.1, 0.2, 0.3, 0.4, 0.5))
    assert [key.partition("#")[2] for key in scores.keys] == ["", "", "", "1", "1", "1"]


def test_broken_baseline_is_one_line(tmp_path: Path) -> None:
    a, b = two(tmp_path, [True, False], [True, True])
    file = tmp_path / "x.json"
    file.write_text('{"format": "evalkit-baseline"}')
    with pytest.raises(UserError, match="not a baseline file"):
        compare(file, [b])
    good = json.loads(save_baseline(a, tmp_path / "y.json").read_text())
    good["tasks"]["t"]["series"]["acc,none"]["bits"] = "1"
    file.write_text(json.dumps(good))
    with pytest.raises(UserError, match="do not add up"):
        compare(file, [b])


def test_command_prints_a_table_and_json(tmp_path: Path) -> None:
    import typer

    from evalkit.cli.compare import compare as command

    a, b = two(tmp_path, made.answers(40, 0.5, 1), made.answers(40, 0.5, 2))
    app = typer.Typer()
    app.command()(command)
    plain = CliRunner().invoke(app, [str(a), str(b), "--flips", "1", "--markdown", str(tmp_path / "c.md")])
    assert plain.exit_code == 0, plain.output
    assert "cand against base" in plain.output
    assert "no difference shown" in plain.output
    assert "## cand against base" in (tmp_path / "c.md").read_text("utf-8")
    as_json = CliRunner().invoke(app, [str(a), str(b), "--json"])
    assert json.loads(as_json.output)["candidates"][0]["metrics"][0]["difference"]["n"] == 40


def test_terminal_codes_in_names_are_shown_not_obeyed(tmp_path: Path) -> None:
    from rich.console import Console

    from evalkit.render.comparison import print_comparison

    a = made.write_run(tmp_path / "a", [made.choice_task("t", [True, False])], label="x\x1b[31mred")
    b = made.write_run(tmp_path / "b", [made.choice_task("t", [True, True])], label="[bold]y")
    console = Console(width=160, record=True, color_system=None)
    print_comparison(compare(a, [b]), console, flips=1)
    text = console.export_text()
    assert "\x1b" not in text
    assert "⟨U+001B⟩" in text
    assert "[bold]y" in text


@pytest.mark.parametrize("width", [80, 110, 160])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_numbers(tmp_path: Path, width: int) -> None:
    from rich.console import Console

    from evalkit.render.comparison import print_comparison

    name = "a_task_of_usual_length"
    a = made.write_run(tmp_path / "a", [made.choice_task(name, [True, False] * 20)], label="base")
    b = made.write_run(tmp_path / "b", [made.choice_task(name, [False, True] * 19 + [True, True])], label="cand")
    console = Console(width=width, record=True, color_system=None)
    print_comparison(compare(a, [b]), console)
    text = console.export_text()
    table = " ".join(text.split("Differences")[0].split())
    assert "no difference" in table
    row = next(line for line in text.splitlines() if " to +" in line)
    assert row.split()[1:3] == ["50.0", "52.5"] or width > 80  # base and candidate stand at any width
    assert {"Base", "Candidate"} <= set(table.split())
    assert ("Detectable" in text.split("Differences")[0]) == (width == 160)
    assert "…" not in text
