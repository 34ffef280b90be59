"""Published tables: one schema for every file, no row twice, and numbers beside measured ones only where they agree."""

import csv
import re
from pathlib import Path

import pytest
from made_entries import BOARD, entry, result

from evalkit import UserError
from evalkit.leaderboard import published
from evalkit.leaderboard.agreement import Reference, difference
from evalkit.leaderboard.board import Board, Column, load_board
from evalkit.leaderboard.collect import Found
from evalkit.leaderboard.entry import Result, Score
from evalkit.leaderboard.rows import heads, lines
from evalkit.leaderboard.table import build_table
from evalkit.store.paths import share
from evalkit.task.catalog import Catalog
from evalkit.task.listing import row_of

FILES = sorted((share("leaderboards") / "published").glob("*.csv"))
HEADER = list(published.ALLOWED)
MISSPELT = re.compile(r"meta_llama|dvxuette|huggyllama/Llama|^Mpt |\s{2,}")


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_has_the_one_schema_and_says_nothing_twice(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == HEADER
    seen: dict[tuple[str, ...], int] = {}
    for line, row in enumerate(rows_of(path), 2):
        assert row["model"], line
        assert row["benchmark"], line
        assert row["metric"], line
        assert row["source"], line
        float(row["value"])
        assert not MISSPELT.search(row["model"]), (line, row["model"])
        assert re.fullmatch(r"|\d+", row["num_fewshot"]), line
        assert re.fullmatch(r"|20\d\d", row["date"]), line
        key = tuple(row[name].lower() for name in HEADER if name not in ("value", "note"))
        assert key not in seen, (line, seen.get(key))
        seen[key] = line
    assert published.shipped(path.stem)


ELSEWHERE = {"score", "truthful", "comet", "comet_kiwi"}
"""Metrics of the sources that the tasks themselves lack."""


def test_every_published_task_exists_and_has_the_metric() -> None:
    catalog = Catalog.of()
    named = {(row["task"], row["metric"]) for path in FILES for row in rows_of(path) if row["task"]}
    for task in sorted({task for task, _ in named} - {"average", published.COUNTERS}):
        catalog.require(task)
        if task.startswith("wmt22:"):  # a pair that nobody asked for yet is in no list
            continue
        # How an answer was read out of a text (the filter, behind the comma) a source may leave open.
        known = {name for key in row_of(catalog, task).metrics for name in (key, key.partition(",")[0])}
        assert {metric for other, metric in named if other == task} - ELSEWHERE <= known, (task, known)


def test_the_tables_that_the_sources_have_are_all_there() -> None:
    assert len(FILES) >= 30
    assert sum(len(rows_of(path)) for path in FILES) >= 1495


@pytest.mark.parametrize(
    ("changes", "reference", "says"),
    [
        ({}, Reference("acc,none", (5,)), ""),
        ({}, Reference("acc,none", ()), ""),
        ({}, Reference("", ()), ""),
        ({"num_fewshot": 0}, Reference("acc,none", (5,)), "0-shot, not 5-shot"),
        ({"num_fewshot": 0}, Reference("acc,none", {1, 5}), "0-shot, not 1-shot or 5-shot"),
        ({"num_fewshot": None}, Reference("acc,none", (5,)), "shots not stated"),
        ({"num_fewshot": None}, Reference("acc,none", ()), ""),
        ({"num_fewshot": 0}, Reference("acc,none", (None,)), "0-shot, not several numbers of shots"),
        ({}, Reference("acc_norm,none", (5,)), "acc, not acc_norm"),
        ({"differs": "another test set"}, Reference("acc,none", (5,)), "another test set"),
    ],
)
def test_a_published_number_agrees_in_metric_shots_and_protocol_or_says_in_what_not(
    changes: dict[str, object], reference: Reference, says: str
) -> None:
    fields = {"num_fewshot": 5, "metrics": {"acc,none": Score(value=0.5)}, **changes}
    assert difference(Result.model_validate(fields), reference) == says


def test_a_board_cell_says_the_difference_and_holds_no_number(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text(
        "model,task,metric,num_fewshot,value,unit,differs,source\n"
        "same,a,acc,0,90,%,,a paper\nshots,a,acc,5,91,%,,a paper\nmetric,a,em,0,92,%,,a paper\n"
        "unknown,a,acc,,93,%,,a paper\nprotocol,a,acc,0,94,%,full texts scored,a paper\nopen,b,acc,3,95,%,,a paper\n"
    )
    found = [Found(one, Path()) for one in (entry("m", 0.6, 0.5), *published.read_csv(file))]
    table = build_table(BOARD, found)
    told = {row.entry.model.name: (row.cells[0], row.differences) for row in table.rows}
    assert told["m"][1] == ()
    assert told["same"][0] is not None
    assert {name: (cell, *text[:2]) for name, (cell, text) in told.items() if name not in ("m", "same")} == {
        "shots": (None, "5-shot, not 0-shot", ""),
        "metric": (None, "em, not acc", ""),
        "unknown": (None, "shots not stated", ""),
        "protocol": (None, "full texts scored", ""),
        "open": (None, "", "3-shot, not 0-shot"),  # the column leaves shots open, the measured row has 0
    }
    columns = heads(table)
    place = next(n for n, head in enumerate(columns) if head.id == "c0")
    shown = {line.row.entry.model.name: (line.texts[place], line.spans[place]) for line in lines(table, columns)}
    assert shown["shots"] == ("–", "5-shot, not 0-shot")


def test_without_a_score_measured_rows_come_first(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    file.write_text("model,task,metric,num_fewshot,value,unit,source\na first name,a,acc,0,90,%,a paper\n")
    found = [Found(one, Path()) for one in (*published.read_csv(file), entry("m", 0.6, None))]
    assert [row.entry.model.name for row in build_table(BOARD, found).rows] == ["m", "a first name"]


def test_measured_rows_of_several_shots_say_theirs() -> None:
    board = Board(name="t", title="T", columns=(Column(title="A", task="a"),))
    few = entry("few", 0.6, None)
    few = few.model_copy(update={"results": {"a": result(0.6, shots=5)}})
    table = build_table(board, [Found(one, Path(one.model.name)) for one in (entry("none", 0.5, None), few)])
    columns = heads(table)
    place = next(n for n, head in enumerate(columns) if head.id == "c0")
    assert {line.spans[place].partition(",")[0] for line in lines(table, columns)} == {"0-shot", "5-shot"}


def test_one_number_twice_is_refused_and_other_ways_are_other_entries(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    head = "model,variant,benchmark,metric,num_fewshot,value,protocol,source\n"
    file.write_text(head + "m,,B,acc,0,1,,s\nm,,B,acc,3,2,,s\nm,,B,f1,0,3,,s\nm,tuned,B,acc,0,4,,s\n")
    found = published.read_csv(file)
    assert [(one.model.name, one.results["B"].num_fewshot, len(one.results["B"].metrics)) for one in found] == [
        ("m", 0, 2), ("m", 3, 1), ("m (tuned)", 0, 1),
    ]  # fmt: skip
    file.write_text(head + "m,,B,acc,0,1,,s\nm,,B,acc,0,2,,s\n")
    with pytest.raises(UserError, match=r"p\.csv:3: says once more what line 2 says"):
        published.read_csv(file)
    file.write_text("model,benchmark,metric,value,source\nm,,acc,1,s\n")
    with pytest.raises(UserError, match="neither task nor benchmark"):
        published.read_csv(file)


def test_a_board_of_correlations_shows_its_average_as_finely_as_its_cells() -> None:
    board = Board(name="t", title="T", columns=(Column(title="A", task="a"), Column(title="B", task="b")))
    rho = Score(value=0.7123, stderr=0.01, interval=(0.69, 0.73), n=600, proportion=False)
    results = {
        task: result(0.5).model_copy(update={"primary": "rho,none", "metrics": {"rho,none": rho}}) for task in "ab"
    }
    found = [Found(entry("one", None, None).model_copy(update={"results": results}), Path())]
    (line,) = lines(build_table(board, found), columns := heads(build_table(board, found)))
    place = next(n for n, head in enumerate(columns) if head.id == "score")
    assert (line.texts[place], line.spans[place]) == ("0.712", "0.698 to 0.726")
    shares = [Found(entry("one", 0.005, 0.005), Path())]
    (line,) = lines(build_table(BOARD, shares), heads(build_table(BOARD, shares)))
    assert line.texts[place] == "0.5"


def test_the_safety_board_shows_what_its_papers_say() -> None:
    table = build_table(load_board("safety"), [Found(one, Path()) for one in published.shipped("safety_2023")])
    row = next(row for row in table.rows if row.entry.model.name.startswith("Mistral"))
    assert [cell.shown for cell in row.cells[:2] if cell] == pytest.approx([98.4, 36.0])
