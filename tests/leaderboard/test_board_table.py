"""Which result fills which cell, and scores, ranks and win rates worked out by hand."""

from __future__ import annotations

from pathlib import Path

import made_runs as made
import pytest
from made_entries import BOARD, entry, result

from evalkit.contract.errors import UserError
from evalkit.contract.types import Group
from evalkit.leaderboard import published
from evalkit.leaderboard.board import Board, Column, load_board, names
from evalkit.leaderboard.collect import Found, collect, run_entry
from evalkit.leaderboard.entry import Entry, from_run, parse, write_entry
from evalkit.leaderboard.rows import graded
from evalkit.leaderboard.table import Table, build_table
from evalkit.store import RunDir


def table(*entries: Entry, board: Board = BOARD) -> Table:
    return build_table(board, [Found(one, Path(f"{n}.json")) for n, one in enumerate(entries)])


def test_the_score_is_the_weighted_mean_and_ranks_leave_out_incomplete_rows() -> None:
    found = table(entry("good", 0.8, 0.6), entry("poor", 0.4, 0.2), entry("half", 0.9, None))
    by_name = {row.entry.model.name: row for row in found.rows}
    assert by_name["good"].score == pytest.approx((80 + 3 * 60) / 4)
    # sqrt((1 * 1.2649)^2 + (3 * 1.5492)^2) / 4, standard errors in points
    assert by_name["good"].error == pytest.approx(1.2041594)
    assert [by_name[name].rank for name in ("good", "poor", "half")] == [1, 2, None]
    assert by_name["half"].score is None
    assert (by_name["good"].win_rate, by_name["poor"].win_rate) == (1.0, 0.0)


def test_rows_within_the_error_share_a_rank_and_the_next_rank_counts_them() -> None:
    found = table(entry("x", 0.70, 0.70), entry("y", 0.69, 0.69), entry("z", 0.30, 0.30))
    assert [(r.entry.model.name, r.rank, r.tied) for r in found.rows] == [
        ("x", 1, True),
        ("y", 1, True),
        ("z", 3, False),
    ]


def test_a_column_at_a_hundred_percent_leaves_the_score_its_error() -> None:
    results = {"a": result(1.0), "b": result(0.5)}
    score = results["a"].metrics[results["a"].primary]
    whole = score.model_copy(update={"stderr": 0.0, "interval": (0.97, 1.0)})
    results["a"] = results["a"].model_copy(update={"metrics": {results["a"].primary: whole}})
    (row,) = table(entry("m", None, None, results=results)).rows
    assert row.cells[0] is not None
    assert row.cells[0].error == pytest.approx(3 / (2 * 1.959964), rel=1e-4)
    assert row.error > row.cells[0].error / 4


def test_the_interval_of_a_mean_of_shares_ends_where_shares_end() -> None:
    few = result(0.001)
    score = few.metrics[few.primary].model_copy(update={"interval": (0.0, 0.006)})
    results = dict.fromkeys("ab", few.model_copy(update={"metrics": {few.primary: score}}))
    rows = table(entry("low", None, None, results=results), entry("mid", 0.5, 0.5)).rows
    found = {row.entry.model.name: row for row in rows}
    assert found["low"].score == pytest.approx(0.1)
    assert found["low"].interval == pytest.approx((0.0, 0.1 + 1.959964 * found["low"].error), rel=1e-5)
    mid = found["mid"]
    assert mid.interval == pytest.approx((50 - 1.959964 * mid.error, 50 + 1.959964 * mid.error), rel=1e-5)


def test_equal_models_are_not_ranked_by_chance() -> None:
    # Fifteen scores as chance spreads equal models: a standard error of the score is 1.15 points.
    steps = (-2.0, -1.6, -1.2, -0.9, -0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.9, 1.2, 1.6, 2.0)
    spread = [0.70 + 0.0115 * step for step in steps]
    found = table(*[entry(f"m{number:02}", value, value) for number, value in enumerate(spread)])
    assert {row.rank for row in found.rows} == {1}
    assert {row.worst for row in found.rows} == {len(spread)}


def test_a_win_rate_counts_a_tie_as_half() -> None:
    board = BOARD.model_copy(update={"score": "win_rate", "columns": BOARD.columns[:2]})
    found = table(entry("x", 0.8, 0.5), entry("y", 0.8, 0.4), entry("z", 0.1, 0.6), board=board)
    rates = {row.entry.model.name: row.win_rate for row in found.rows}
    # Column a: x and y beat z and tie each other: 0.75, 0.75, 0; column b: z, x, y: 1, 0.5, 0.
    assert rates == {"x": pytest.approx(0.625), "y": pytest.approx(0.375), "z": pytest.approx(0.5)}


def test_other_shots_do_not_count_and_fuller_results_come_before_newer_ones() -> None:
    limited = entry("m", None, 0.5, date="2026-02-01", results={"a": result(0.9, n=10, n_total=1000), "b": result(0.5)})
    shots = entry("m", None, None, date="2026-03-01", results={"a": result(0.99, shots=5)})
    found = table(entry("m", 0.6, 0.5, date="2026-01-01"), limited, shots)
    (row,) = found.rows
    assert row.cells[0] is not None
    assert row.cells[0].value == 0.6
    assert row.status == "full"
    assert len(row.history) == 3


def test_a_row_never_mixes_two_checkpoints_of_one_name() -> None:
    old = entry("m", 0.6, 0.5, date="2026-01-01", fingerprint="old")
    new = entry("m", 0.7, None, date="2026-02-01", fingerprint="new")
    (row,) = table(old, new).rows
    assert row.cells[0] is not None
    assert (row.cells[0].value, row.cells[1]) == (0.7, None)


def test_quantized_variants_are_rows_of_their_own() -> None:
    assert len(table(entry("m", 0.6, 0.5), entry("m", 0.6, 0.5, quantization="nf4")).rows) == 2


def test_published_rows_stand_beside_measured_ones_without_a_rank(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text(
        "model,task,metric,num_fewshot,value,unit,source\nbig,a,acc,0,99,%,a paper\nbig,b,acc,0,98,%,a paper\n"
    )
    found = table(entry("m", 0.6, 0.5), *published.read_csv(file))
    top = found.rows[0]
    assert (top.entry.model.name, top.status, top.rank, top.entry.source) == ("big", "published", None, "a paper")
    assert top.score == pytest.approx((99 + 3 * 98) / 4)
    assert found.rows[1].rank == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model,task\n", ":1: no column 'metric'"),
        ("model,task,metric,value,source,colour\n", "unknown column 'colour'"),
        ("model,task,metric,value,source\nm,a,acc,high,s\n", ":2: value is 'high', not a number"),
        ("model,task,metric,value,source\nm,a,acc,nan,s\n", ":2: value is 'nan', not a number"),
        ("model,task,metric,value,source\nm,a,acc\n", ":2: has not as many fields"),
        ("model,task,metric,value,source\n,a,acc,1,s\n", ":2: name: String should have at least 1 character"),
    ],
)
def test_a_wrong_csv_is_named_with_its_line(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "p.csv"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        published.read_csv(file)
    assert says in str(caught.value)


def test_every_shipped_board_and_its_published_numbers_load() -> None:
    assert {"open-llm", "experiment1", "hallucination", "llm-perf", "translation", "long-context"} <= set(names())
    for name in names():
        board = load_board(name)
        assert board.name == name
        beside = [Found(one, Path()) for file in board.published for one in published.shipped(file)]
        assert bool(build_table(board, beside).rows) == bool(board.published)


def test_published_averages_and_tables_are_what_the_sources_say() -> None:
    board = load_board("open-llm")
    found = build_table(board, [Found(one, Path()) for one in published.shipped("open_llm_2023")])
    top = found.rows[0]
    assert (top.entry.model.name, top.score, top.rank, top.as_published) == ("meta-llama/Llama-2-70b-hf", 67.3, 1, True)
    family = {one.model.name: one for one in published.shipped("experiment1")}
    assert family["Vicuna-7B"].results["wmt20:en-de"].metrics["bleu,none"].value == 18.245
    assert family["LLaMA-7B"].results["boolq"].metrics["acc,none"].value == pytest.approx(0.751)


def test_an_unknown_board_and_a_wrong_key_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"did you mean .*open-llm"):
        load_board("open-lm")
    file = tmp_path / "b.yaml"
    file.write_text("name: b\ntitle: B\ncolumns:\n  - {title: A, task: a, wieght: 2}\n")
    with pytest.raises(UserError, match=r"columns\[0\]\.wieght"):
        load_board(str(file))


def test_a_run_becomes_an_entry_and_comes_back_the_same(tmp_path: Path) -> None:
    tasks = [made.choice_task("a_1", [1, 0, 1, 1]), made.choice_task("a_2", [0, 0, 1, 1])]
    run = made.write_run(tmp_path / "r", tasks, label="Nice name", groups=[Group("a", ("a_1", "a_2"))],
                         counters={"throughput": {"tokens_per_s": 5.5}, "energy": {"cpu": "unavailable"}})  # fmt: skip
    entry = run_entry(run).entry
    assert entry.model.name == "Nice name"
    assert entry.results["a_1"].metrics["acc,none"].value == 0.75
    assert entry.results["a_1"].metrics["acc,none"].proportion
    assert entry.counters == {"throughput.tokens_per_s": 5.5}
    path = write_entry(entry, tmp_path / "entries")
    assert path.name == f"{entry.id}.json"
    assert parse(path.read_text(), str(path)) == entry
    assert [one.entry.id for one in collect([tmp_path])] == [entry.id]


def test_an_entry_carries_no_folder_of_the_machine(tmp_path: Path) -> None:
    run = made.write_run(tmp_path / "r", [made.choice_task("a", [1, 0])], model=str(tmp_path / "secret" / "my-model"))
    entry = from_run(RunDir.open(run).result())
    assert entry.model.name == "my-model"
    assert str(tmp_path) not in entry.model_dump_json()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": "other"}, "format"),
        ({"colour": 1}, "colour"),
        ({"report": "javascript:alert(1)"}, "report"),
        ({"date": "<b>"}, "date"),
        ({"results": {"a": {"metrics": {"acc,none": {"value": "NaN"}}}}}, "results.a.metrics.acc,none.value"),
    ],
)
def test_a_wrong_entry_is_refused_naming_the_field(change: dict[str, object], says: str) -> None:
    import json

    content = entry("m", 0.5, 0.5).model_dump(mode="json") | change
    with pytest.raises(UserError) as caught:
        parse(json.dumps(content), "x.json")
    assert "x.json" in str(caught.value)
    assert says in str(caught.value)


def test_a_published_metrics_direction_is_told_or_evalkits_own(tmp_path: Path) -> None:
    file = tmp_path / "own.csv"
    file.write_text(
        "model,task,metric,value,source,higher_is_better\n"
        "m,a,character_accuracy,0.5,here,\nm,b,ter,40,here,\nm,c,loss,1.5,here,false\nm,d,bits_per_byte,1,here,\n",
        "utf-8",
    )
    (entry,) = published.read_csv(file)
    rising = {name: result.metrics[result.primary].higher_is_better for name, result in entry.results.items()}
    assert rising == {"a": True, "b": False, "c": False, "d": False}
    file.write_text("model,task,metric,value,source,higher_is_better\nm,a,acc,0.5,here,maybe\n", "utf-8")
    with pytest.raises(UserError, match=r"own\.csv:2: higher_is_better is 'maybe'"):
        published.read_csv(file)


def families(**changes: str) -> Board:
    columns = (("A", "a", 1.0, "one"), ("B", "b", 1.0, "one"), ("C", "c", 2.0, "two"), ("D", "d", 0.0, "two"))
    return Board(
        name="families",
        title="Families",
        columns=tuple(
            Column(title=title, task=task, weight=weight, group=changes.get(title, group))
            for title, task, weight, group in columns
        ),
        score="families",
    )


def test_an_index_is_the_mean_of_its_families() -> None:
    board = families()
    assert board.weights == pytest.approx((0.25, 0.25, 0.5, 0.0))
    assert board.formula == "(mean(A, B) + mean(C (weight 2))) / 2"
    results = {"a": result(0.2), "b": result(0.4), "c": result(0.9)}
    (row,) = table(entry("m", None, None, results=results), board=board).rows
    assert row.score == pytest.approx((30 + 90) / 2)
    with pytest.raises(ValueError, match="needs a group"):
        families(C="")


def test_shares_and_nats_have_no_common_mean() -> None:
    nats = result(0.9)
    score = nats.metrics["acc,none"].model_copy(update={"proportion": False, "unit": "nats"})
    nats = nats.model_copy(update={"metrics": {"acc,none": score}})
    results = {"a": result(0.2), "b": result(0.4), "c": nats}
    with pytest.raises(UserError, match="A in %, C in nats have no common mean"):
        table(entry("m", None, None, results=results), board=families())


def test_a_graded_column_says_by_which_grader() -> None:
    told = "consistent|agg:mean|grader:lexical:2|kappa:0.33 [0.28 to 0.38] on qags+wice|ci:wilson|n:9"
    one = result(0.2)
    score = one.metrics["acc,none"].model_copy(update={"signature": told})
    results = {"a": one.model_copy(update={"metrics": {"acc,none": score}}), "b": result(0.1)}
    (row,) = table(entry("m", None, None, results=results)).rows
    assert graded(row.cells[0]) == "graded by lexical:2, kappa 0.33 [0.28 to 0.38] on qags+wice"
    assert graded(row.cells[1]) == ""
    unknown = score.model_copy(update={"signature": told.replace("0.33 [0.28 to 0.38] on qags+wice", "not validated")})
    results["a"] = one.model_copy(update={"metrics": {"acc,none": unknown}})
    (row,) = table(entry("m", None, None, results=results)).rows
    assert graded(row.cells[0]) == "graded by lexical:2, which was not validated"
