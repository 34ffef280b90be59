"""Benches become rows beside runs, and the plots that a board asks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_entries import entry
from typer.testing import CliRunner

from evalkit.bench.bench import WORKLOADS, Bench, Measured
from evalkit.bench.server import Load, Reply, summarize
from evalkit.bench.tables import as_json
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.leaderboard.board import Board, Column, Plot, load_board
from evalkit.leaderboard.chosen_plots import chosen_plots, training
from evalkit.leaderboard.collect import Found, collect
from evalkit.leaderboard.from_bench import bench_entry
from evalkit.leaderboard.table import Table, build_table


def made(**changes: object) -> Bench:
    seconds = {"n": 4, "mean_s": 0.05, "p50_s": 0.04, "p90_s": 0.06, "p99_s": 0.07}
    tests = (
        Measured("pp256", "pp", 256, 1, 0, (0.5, 0.5)),
        Measured("tg64 @ d256", "tg", 64, 1, 256, (2.0, 2.0), (64, 64), latencies={"ttft": seconds, "itl": seconds}),
    )
    fields: dict[str, object] = {
        "model": {"name": "m", "backend": "hf", "device": "cpu", "dtype": "float32", "n_parameters": 1000,
                  "fingerprint": "a" * 32, "max_length": 512},
        "load_seconds": 1.5, "tests": tests, "memory": {"host_peak_bytes": 2e9, "weights_bytes": 1e9},
        "energy": {"cpu": "unavailable: no RAPL"}, "utilisation": {}, "workload": "llm-perf",
        "asked": {"called": "m", "name": "m"},
        "environment": {"start_time": "2026-03-04T05:06:07", "cpu": {"model": "A CPU", "cores": 2}, "gpus": []},
    }  # fmt: skip
    return Bench(**{**fields, **changes})  # type: ignore[arg-type]


def table(board: Board, *entries: object) -> Table:
    return build_table(board, [Found(one, Path("x")) for one in entries])  # type: ignore[arg-type]


def test_a_bench_and_a_full_run_make_one_row_and_a_limited_run_gives_no_quality(tmp_path: Path) -> None:
    (tmp_path / "bench.json").write_text(as_json(made()))
    (found,) = collect([tmp_path])
    assert found.entry.counters["bench.pp256_b1.tokens_per_s"] == 512
    assert found.entry.counters["bench.tg64_d256_b1.ttft.p50_s"] == 0.04
    assert (found.entry.hardware, found.entry.date) == ("A CPU, 2 cores", "2026-03-04T05:06:07")
    model = found.entry.model
    facts = {"precision": "float32", "backend": "hf", "fingerprint": "a" * 32, "parameters": 1000.0}
    assert (model.name, model.precision, model.fingerprint) == ("m", "float32", "a" * 32)
    columns = (
        Column(title="Decode", counter="bench.tg64_d256_b1.tokens_per_s"),
        Column(title="A", task="a", full=True, weight=0),
    )
    board = Board(name="b", title="B", columns=columns, score="column", plots=(Plot(x="Decode", y="A", front=True),))
    run = entry("m", 0.6, None, hardware="A CPU, 2 cores", **facts)
    (row,) = table(board, found.entry, run).rows
    assert [cell and cell.value for cell in row.cells] == [32, 0.6]
    few = run.results["a"].model_copy(update={"n": 5})
    (row,) = table(board, found.entry, run.model_copy(update={"results": {"a": few}})).rows
    assert [cell and cell.value for cell in row.cells] == [32, None]


def test_the_boards_fixed_workload_is_what_the_bench_measures() -> None:
    names = {f"bench.{kind}{tokens}{f'_d{depth}' if depth else ''}_b1" for kind, tokens, depth in
             WORKLOADS["llm-perf"].exact}  # fmt: skip
    for column in load_board("llm-perf").columns:
        if column.counter and column.counter.startswith(("bench.pp", "bench.tg")):
            assert ".".join(column.counter.split(".")[:2]) in names


def test_a_servers_bench_names_its_provider(tmp_path: Path) -> None:
    replies = [Reply((0.2, 0.3, 0.4), 0.5, 3), Reply((0.4, 0.5, 0.6), 0.7, 3)]
    done = summarize("http://user:secret@api.example.com:8000/v1", "some-model", Load(), 2.0, replies)
    found = bench_entry(done.as_json(), "x.json")
    assert (found.model.name, found.model.backend) == ("some-model", "api.example.com:8000")
    assert "secret" not in found.model_dump_json()
    assert found.counters["server.tokens_per_s"] == pytest.approx(10)
    assert found.counters["server.ttft.p50_s"] == pytest.approx(0.3)
    (row,) = table(load_board("providers"), found).rows
    assert row.cells[0] is not None


def test_a_bench_of_an_older_version_is_told() -> None:
    plain = json.loads(as_json(made()))
    del plain["asked"]
    with pytest.raises(UserError, match=r"old\.json: no bench that a board can show \(asked"):
        bench_entry(json.dumps(plain), "old.json")


@pytest.mark.parametrize(
    ("revision", "name", "step", "tokens"),
    [
        ("step1000", "EleutherAI/pythia-160m", 1000, 1000 * 2_097_152),
        ("step1000", "other", 1000, None),
        ("step1000-tokens4B", "allenai/OLMo-1B", 1000, 4e9),
        ("stage1-step140000-tokens294B", "allenai/OLMo-2-1124-7B", 140000, 294e9),
        ("main", "m", None, None),
        ("", "m", None, None),
    ],
)
def test_a_checkpoints_revision_says_its_step_and_tokens(
    revision: str, name: str, step: int | None, tokens: float | None
) -> None:
    assert training(revision, name) == (step, tokens)


def plotted(plot: Plot, *entries: object, **changes: object) -> Board:
    columns = (Column(title="A", task="a"), Column(title="B", task="b", weight=0))
    return Board(name="b", title="B", columns=columns, plots=(plot,), **changes)  # type: ignore[arg-type]


def test_checkpoints_of_one_model_are_joined_over_training() -> None:
    board = plotted(Plot(x="tokens", y="score", log=True))
    steps = [entry("allenai/OLMo-1B", 0.3 + n / 50, None, revision=f"step{n}000-tokens{n}B") for n in (1, 4, 16)]
    (figure,) = chosen_plots(table(board, *steps, entry("plain", 0.5, None)))
    assert (len(figure.marks), len(figure.segments), figure.legend) == (3, 2, ((0, "allenai/OLMo-1B"),))
    assert [mark.x for mark in figure.marks] == sorted(mark.x for mark in figure.marks)


def test_a_front_goes_through_what_nothing_beats_and_a_law_has_its_interval() -> None:
    board = plotted(Plot(x="A", y="B", front=True))
    found = table(board, entry("low", 0.3, 0.8), entry("mid", 0.5, 0.6), entry("bad", 0.4, 0.5), entry("top", 0.9, 0.2))
    (figure,) = chosen_plots(found)
    assert len(figure.segments) == 4  # three on the front, two steps
    law = plotted(Plot(x="parameters", y="score", log=True, fit="plain"))
    early = entry("m8", 0.1, None, parameters=8e9, revision="step1")
    sizes = [early.model_copy(update={"date": "2025-01-01"})]
    sizes += [entry(f"m{n}", 1 - 0.5 * n**-0.2, None, parameters=n * 1e9, revision="step2") for n in (1, 2, 4, 8)]
    (figure,) = chosen_plots(table(law, *sizes))
    assert "error = 50 x^-0.2" in figure.note
    assert "95 % interval: 0.2 to 0.2" in figure.note


def test_history_over_days_joins_a_rows_runs_and_a_plot_of_nothing_is_refused() -> None:
    board = plotted(Plot(x="date", y="A"))
    runs = [entry("m", 0.5 + n / 100, None, date=f"2026-01-0{n}") for n in (1, 2, 3)]
    (figure,) = chosen_plots(table(board, *runs))
    assert (len(figure.marks), len(figure.segments)) == (3, 2)
    assert [tick.text for tick in figure.x.ticks] == ["01-01", "01-02", "01-03"]
    assert figure.x.title == "day of 2026"
    with pytest.raises(ValueError, match="no column's title"):
        plotted(Plot(x="C"))


def invoke(*words: str) -> None:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output


def test_the_command_measures_the_fixed_workload_and_its_file_fills_the_board(tmp_path: Path) -> None:
    file = tmp_path / "results" / "bench.json"
    file.parent.mkdir()
    asked = ["bench", "--model", "mock", "--workload", "llm-perf", "-r", "1", "--warmup", "0", "--format", "json"]
    invoke(*asked, "--output", str(file))
    site = tmp_path / "site"
    invoke("leaderboard", "build", str(file.parent), "--board", "llm-perf", "--output", str(site))
    (row,) = [row for row in json.loads((site / "board.json").read_text())["rows"] if row["results"] == "full"]
    assert (row["model"], row["rank"]) == ("mock", 1)
    assert row["Decode"] > 0
    assert row["First token"] > 0
