"""Every shipped board asks for tasks, metrics and counters that exist."""

import pytest

from evalkit.leaderboard import published
from evalkit.leaderboard.board import Board, load_board, names
from evalkit.task.catalog import Catalog
from evalkit.task.listing import row_of


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.of()


def only_published(board: Board) -> set[tuple[str, str]]:
    """(task, metric) that the board's published numbers bring."""
    entries = [entry for name in board.published for entry in published.shipped(name)]
    return {(task, key) for entry in entries for task, result in entry.results.items() for key in result.metrics}


@pytest.mark.parametrize("name", names())
def test_every_column_has_a_task_and_a_metric_of_it(name: str, catalog: Catalog) -> None:
    board = load_board(name)
    elsewhere = only_published(board)
    for column in board.columns:
        if column.task is None:
            continue
        catalog.require(column.task)
        known = row_of(catalog, column.task).metrics
        if column.metric is not None and column.metric not in known:
            # Only the paper's own scale may lack a metric of ours, and then it does not count.
            assert (column.task, column.metric) in elsewhere, (column.title, known)
            assert column.weight == 0
            assert column.hidden
