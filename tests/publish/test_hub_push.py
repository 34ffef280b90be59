"""`evalkit push`: a run's files in a data set of the Hub, against a stand-in that the real client writes to."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

import evalkit
from tests.hub import writable_hub

pytestmark = pytest.mark.slow

WRITES = "hf_" + "x" * 20


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> evalkit.Run:
    folder = tmp_path_factory.mktemp("pushed") / "run"
    return evalkit.evaluate("mock", ["boolq@bundled", "triviaqa@bundled"], limit=6, output=folder, progress=False)


def shell(folder: Path, url: str, *line: object, token: str = WRITES) -> subprocess.CompletedProcess[str]:
    left_out = ("HF_HUB_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"HF_ENDPOINT": url, "HF_HOME": str(folder / "home"), **({"HF_TOKEN": token} if token else {})}
    command = [sys.executable, "-m", "evalkit", *map(str, line)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_results_and_samples_reach_the_hub(run: evalkit.Run, tmp_path: Path) -> None:
    with writable_hub() as (url, repositories, made):
        refused = shell(tmp_path, url, "push", run.path, "--to", "me/evals", token="")
        assert refused.returncode == 2
        assert "hf auth login" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert repositories == {}
        done = shell(tmp_path, url, "push", run.path, "--to", "me/evals", "--samples")
        assert done.returncode == 0, done.stderr
        again = shell(tmp_path, url, "log", run.path, "--to", "hub:me/evals", "--samples")
        assert again.returncode == 0, again.stderr
    assert "private" in (
        made["me/evals"].get("visibility"),
        *(key for key, one in made["me/evals"].items() if one is True),
    )
    files = repositories["me/evals"]
    (folder,) = {path.partition("/")[0] for path in files if path != "README.md"}
    assert json.loads(files[f"{folder}/results.json"])["results"]["boolq"]["acc,none"] == run["boolq"]["acc"].value
    rows = pd.read_csv(io.BytesIO(files[f"{folder}/metrics.csv"]))
    assert rows[rows["task"] == "boolq"]["n"].tolist()[0] == 6
    assert pq.read_table(io.BytesIO(files[f"{folder}/samples/boolq.parquet"])).num_rows == 6
    assert not any("journal" in path for path in files)
    card = DatasetCard(files["README.md"].decode())
    paths = {one["data_files"][0]["path"] for one in card.data.to_dict()["configs"]}
    assert paths == {f"{folder}/samples/boolq.parquet", f"{folder}/samples/triviaqa.parquet"}
    assert card.text.count("| boolq (bundled items, 6 of 24 items) |") == 1  # pushed twice, told once


def test_a_name_that_is_none_is_told(run: evalkit.Run, tmp_path: Path) -> None:
    done = shell(tmp_path, "http://127.0.0.1:9", "push", run.path, "--to", "evals")
    assert (done.returncode, "ORG/NAME" in done.stderr) == (2, True)
    gone = shell(tmp_path, "http://127.0.0.1:9", "push", run.path, "--to", "me/evals")
    assert (gone.returncode, gone.stderr.count("\n")) == (2, 1)
