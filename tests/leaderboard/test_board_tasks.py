"""Every shipped board asks for tasks, metrics and counters that exist."""

import pytest

from evalkit.leaderboard import published
from evalkit.leaderboard.board import Board, load_board, names
from evalkit.leaderboard.chat import CONTROLLED, GRADE, WIN_RATE
from evalkit.probes.robustness import CIRCULAR, FIRST_PLACE
from evalkit.spec.models import RunSpec
from evalkit.task.catalog import Catalog, resolve
from evalkit.task.generative_choice import ACCURACY
from evalkit.task.listing import row_of

OF_LM_EVAL = ("medqa_4options", "medmcqa", "pubmedqa")
"""Tasks that come by lm_eval:NAME, whose metrics are lm-evaluation-harness's."""

JUDGED = {("MT-Bench", GRADE), ("AlpacaEval", WIN_RATE), ("AlpacaEval", CONTROLLED)}
"""Benchmarks by the name of their published figures, of which `evalkit judge chat` writes entries."""


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
        if column.task in OF_LM_EVAL:
            assert column.weight == 0
            continue
        if (column.task, column.metric) in JUDGED or (name == "chat" and column.hidden and column.task != "ifeval"):
            assert column.weight == 0
            assert column.task == "AlpacaEval" or (column.task, column.metric) in elsewhere
            continue
        catalog.require(column.task)
        known = row_of(catalog, column.task).metrics
        if "acc,none" in known:
            known += (ACCURACY,)  # of models that only write
        if column.task.startswith("order:"):
            known += (CIRCULAR, FIRST_PLACE)  # of all orders of a document, made when a run is summed up
        if column.metric is not None and column.metric not in known:
            # Only the paper's own scale may lack a metric of ours, and then it does not count.
            assert (column.task, column.metric) in elsewhere, (column.title, known)
            assert column.weight == 0
            assert column.hidden


GROUPS = ("open-llm", "medical", "enterprise", "multilingual")


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_of_the_boards_name_runs_its_tasks_with_its_shots(name: str, catalog: Catalog) -> None:
    counted = {
        (column.task, column.num_fewshot) for column in load_board(name).columns if column.task and column.weight
    }
    spec = RunSpec.model_validate({"model": {"name": "mock"}, "tasks": [{"name": name}]})
    asked = {task.info.name: task.info.num_fewshot for task in resolve(spec).tasks}
    for task, shots in counted:
        assert {asked[leaf] for leaf in catalog.leaves(str(task))} == {shots}, task
