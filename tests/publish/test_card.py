"""`evalkit card`: huggingface_hub's own parser reads what is written, and nothing of another's is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import EvalResult, ModelCard, ModelCardData

import evalkit as ek
from tests.cli.conftest import evalkit  # noqa: F401


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ek.Run:
    folder = tmp_path_factory.mktemp("card") / "run"
    tasks = ["truthfulqa_mc1@bundled", "truthfulqa_mc2@bundled", "boolq@bundled"]
    return ek.evaluate("mock", tasks, limit=5, output=folder, progress=False)


def test_the_block_is_read_by_the_hubs_parser(evalkit, run: ek.Run) -> None:  # noqa: F811
    done = evalkit("card", run.path)
    assert done.exit_code == 0, done.output
    card = ModelCard(done.stdout, ignore_metadata_errors=False)
    found = {one.metric_args["task"]: one for one in card.data.eval_results}
    assert set(found) == set(run.tasks)
    for task, one in found.items():
        primary = run[task].primary
        assert (one.metric_value, one.metric_args["n"]) == (primary.value, primary.n)
        assert one.metric_args["ci95"] == list(primary.interval)
        assert "bundled items" in one.metric_name
    # One data set, two tasks: each number keeps its own name.
    assert "truthfulqa_mc2" in found["truthfulqa_mc2"].metric_name


def test_it_goes_into_a_card_that_is_there(evalkit, run: ek.Run, tmp_path: Path) -> None:  # noqa: F811
    other = EvalResult("text-generation", "me/own", "own", "bleu", 12.5)
    data = ModelCardData(model_name="mine", license="mit", eval_results=[other])
    readme = tmp_path / "README.md"
    readme.write_text(f"---\n{data.to_yaml()}\n---\n\n# Mine\n\nWords.\n", "utf-8")
    for _ in range(2):
        assert evalkit("card", run.path, "--into", readme).exit_code == 0
    card = ModelCard.load(readme, ignore_metadata_errors=False)
    assert (card.data.license, card.data.model_name) == ("mit", "mine")
    assert len(card.data.eval_results) == 1 + len(run.tasks)
    assert card.text.count("## Evaluation") == 1
    assert "Words." in card.text
    readme.write_text("---\n[broken\n---\n", "utf-8")
    assert evalkit("card", run.path, "--into", readme).exit_code == 2
