"""Ranks of rows that are made of runs: on the same items, jointly, in one column and in several."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import made_runs as made
import pytest

from evalkit.analysis.compare import compare
from evalkit.leaderboard.board import Board, Column
from evalkit.leaderboard.collect import collect
from evalkit.leaderboard.table import Row, build_table
from evalkit.statistics.ranks import Pairwise, rank_intervals, ranks_of_wins

BASE = made.answers(400, 0.6, 1)


def rows(paths: Sequence[Path], *tasks: str, score: Literal["mean", "win_rate"] = "mean") -> dict[str, Row]:
    columns = tuple(Column(title=task, task=task) for task in tasks)
    board = Board(name="b", title="B", columns=columns, score=score)
    return {row.entry.model.name: row for row in build_table(board, collect(paths)).rows}


def run(folder: Path, **outcomes: list[bool]) -> Path:
    return made.write_run(folder, [made.choice_task(*one) for one in outcomes.items()], label=folder.name)


def test_rows_are_paired_item_by_item(tmp_path: Path) -> None:
    better = [right or number % 8 == 0 for number, right in enumerate(BASE)]  # the same answers and a few more
    paths = [run(tmp_path / "a", t=BASE), run(tmp_path / "b", t=better), run(tmp_path / "c", t=list(BASE))]
    found = rows(paths, "t")
    assert {name: (row.rank, row.worst) for name, row in found.items()} == {"b": (1, 1), "a": (2, 3), "c": (2, 3)}
    # As independent samples they could not be told apart.
    import numpy as np

    scores = np.array([found[name].score for name in "abc"])
    apart = rank_intervals(scores, np.diag([found[name].error ** 2 for name in "abc"]))
    assert apart.best == (1, 1, 1)


def test_a_mean_of_columns_is_paired_over_all_of_them(tmp_path: Path) -> None:
    def more(outcomes: list[bool]) -> list[bool]:
        return [right or number % 16 == 0 for number, right in enumerate(outcomes)]

    paths = [run(tmp_path / "a", t=BASE, u=BASE[:300]), run(tmp_path / "b", t=more(BASE), u=more(BASE[:300]))]
    found = rows(paths, "t", "u")
    assert (found["b"].rank, found["a"].rank) == (1, 2)


def test_win_rates_are_paired_within_columns_and_ranked_by_what_is_sure(tmp_path: Path) -> None:
    def more(outcomes: list[bool]) -> list[bool]:
        return [right or number % 8 == 0 for number, right in enumerate(outcomes)]

    paths = [
        run(tmp_path / "a", t=BASE, u=BASE[:300], v=BASE),
        run(tmp_path / "b", t=more(BASE), u=more(BASE[:300]), v=BASE),
        run(tmp_path / "c", t=list(BASE), u=list(BASE[:300]), v=BASE),
    ]
    found = rows(paths, "t", "u", score="win_rate")
    assert {name: (row.rank, row.worst) for name, row in found.items()} == {"b": (1, 1), "a": (2, 3), "c": (2, 3)}
    # A column in which nothing is shown may hide as many wins of the others.
    assert {row.rank for row in rows(paths, "t", "v", score="win_rate").values()} == {1}


def test_of_equal_models_one_wins_every_column_by_chance_and_is_not_ranked_first(tmp_path: Path) -> None:
    lucky = [right or number == 1 for number, right in enumerate([False, False, *BASE])]
    paths = [run(tmp_path / name, t=values, u=values) for name, values in (("a", [False, False, *BASE]), ("b", lucky))]
    found = rows(paths, "t", "u", score="win_rate")
    assert (found["b"].win_rate, found["a"].win_rate) == (1.0, 0.0)
    assert {(row.rank, row.worst) for row in found.values()} == {(1, 2)}


def test_the_ranks_of_wins_follow_from_what_is_sure() -> None:
    """Three rows in two columns: exact numbers, then a column that says nothing."""
    import numpy as np

    gaps = np.array([[0.0, 1, 2], [-1, 0, 1], [-2, -1, 0]])
    certain = np.where(gaps == 0, 1.0, 0.0)
    known = Pairwise(gaps, certain, np.zeros((3, 3)), np.ones((3, 3), dtype=bool))
    open_ = Pairwise(gaps, np.ones((3, 3)), np.eye(3), np.zeros((3, 3), dtype=bool))
    found = ranks_of_wins([known])
    assert (found.best, found.worst) == ((1, 2, 3), (1, 2, 3))
    found = ranks_of_wins([known, known, open_])
    assert (found.best, found.worst) == ((1, 1, 2), (2, 3, 3))
    tied = Pairwise(np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3)), np.ones((3, 3), dtype=bool))
    assert ranks_of_wins([known, tied]).best == (1, 2, 3)


def test_a_column_at_100_percent_leaves_the_row_its_error(tmp_path: Path) -> None:
    paths = [run(tmp_path / "a", t=[True] * 50, u=BASE), run(tmp_path / "b", t=[True] * 50, u=[False, *BASE[1:]])]
    found = rows(paths, "t", "u")
    assert all(row.error > 1 for row in found.values())
    assert {row.rank for row in found.values()} == {1}
    alone = rows(paths, "t")
    assert all(row.error > 1 for row in alone.values())


def test_a_board_does_not_say_more_than_compare(tmp_path: Path) -> None:
    lost = [right and number not in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10) for number, right in enumerate(BASE)]
    paths = [
        run(tmp_path / "a", **{name: list(BASE) for name in "tuvwxyz"}),
        run(tmp_path / "b", t=lost, **{name: list(BASE) for name in "uvwxyz"}),
    ]
    row = next(one for one in compare(paths[0], [paths[1]]).candidates[0].metrics if one.task == "t")
    assert row.difference.p_value < 0.05 < (row.p_adjusted or 0.0)
    assert row.verdict == "no difference shown"
    assert {one.rank for one in rows(paths, "t").values()} == {1}


def test_what_compare_cannot_judge_is_not_told_apart(tmp_path: Path) -> None:
    """One item, right in one run and wrong in the other: both errors alone would tell the rows apart."""
    found = rows([run(tmp_path / "a", t=[True]), run(tmp_path / "b", t=[False])], "t")
    assert {(row.rank, row.worst) for row in found.values()} == {(1, 2)}


@pytest.mark.parametrize("shared", [True, False])
def test_runs_without_shared_items_are_compared_by_their_errors(tmp_path: Path, shared: bool) -> None:
    def folder(name: str, outcomes: list[bool], salt: str) -> Path:
        samples = [made.choice_sample(number, right, task=salt) for number, right in enumerate(outcomes)]
        return made.write_run(tmp_path / name, [(made.info("t"), samples)], label=name)

    found = rows([folder("a", BASE, "t"), folder("b", [False] * 400, "t" if shared else "other")], "t")
    assert (found["a"].rank, found["b"].rank) == (1, 2)
