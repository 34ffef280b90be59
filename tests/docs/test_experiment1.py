"""examples/experiment1: its tasks, shots and curve are those of the board it fills, and its command goes on."""

from pathlib import Path

from evalkit.leaderboard.board import load_board
from evalkit.spec import config
from evalkit.task.catalog import resolve

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_config_asks_for_all_that_the_board_counts() -> None:
    specs = config.expand(*config.load(EXAMPLES / "experiment1.yaml"))
    assert [spec.model.label for spec in specs] == ["SmolLM2-135M", "SmolLM2-10-layers"]
    selection = resolve(specs[0])
    shots = {task.info.name: task.info.num_fewshot for task in selection.tasks}
    members = {group.name: group.children for group in selection.groups}
    for column in load_board("family").columns:
        if column.task and column.weight:
            found = {shots[name] for name in members.get(f"{column.task}_stem", (column.task,)) if name in shots}
            assert found == {column.num_fewshot}, column.title
    assert members["shot_curve:openbookqa:num=0+1+5+10"] == tuple(f"examples:openbookqa:num={n}" for n in (0, 1, 5, 10))
    assert {name.rpartition("by=")[2] for name in shots if "num=5:by=" in name} == {
        "random", "quality", "quality+similar",
    }  # fmt: skip


def test_comet_is_asked_of_the_same_translations() -> None:
    plain, comet = (config.load(EXAMPLES / f"experiment1{name}.yaml")[0] for name in ("", ".comet"))
    names = [[task if isinstance(task, str) else task["name"] for task in one["tasks"]] for one in (plain, comet)]
    assert names[1] == [name for name in names[0] if name.startswith(("wmt22", "examples:wmt22"))]
    assert comet["metrics"] == ["comet", "comet_kiwi"]
    assert {key: plain[key] for key in ("limit", "dtype", "cache", "models")} == {
        key: comet[key] for key in ("limit", "dtype", "cache", "models")
    }


def test_the_script_runs_that_config_into_one_folder_so_that_it_goes_on() -> None:
    script = (EXAMPLES / "experiment1.sh").read_text("utf-8")
    assert '--config "$here/experiment1.yaml" --output runs/experiment1' in script
    assert "--board family" in script
