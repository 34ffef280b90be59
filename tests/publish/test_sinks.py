"""`--log-to`: each place's own package reads back what a run left there, offline."""

from __future__ import annotations

import csv
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

import evalkit
from evalkit.contract.errors import UserError
from evalkit.publish import sinks

TASKS = ["boolq@bundled", "triviaqa@bundled"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> evalkit.Run:
    folder = tmp_path_factory.mktemp("logged") / "run"
    return evalkit.evaluate("mock", TASKS, limit=6, output=folder, label="parrot", progress=False)


def log(run: evalkit.Run, place: str, samples: bool = True) -> str:
    notes: list[str] = []
    assert sinks.send(run, [sinks.target(place)], samples, notes.append) == 0, notes
    return notes[0]


@pytest.fixture
def there(run: evalkit.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_csv_holds_many_runs_and_each_once(run: evalkit.Run, there: Path) -> None:
    other = evalkit.evaluate("mock", TASKS[0], limit=3, output=there / "other", log_to="csv:all.csv", progress=False)
    for one in (run, run):
        log(one, "csv:all.csv")
    rows = list(csv.DictReader((there / "all.csv").open()))
    assert len(rows) == len(run.rows()) + len(other.rows())
    (row,) = (row for row in rows if (row["metric"], row["n"]) == ("acc", "6"))
    assert float(row["stderr"]) == run["boolq"]["acc"].stderr
    assert row["run"] == str(run.path.resolve())
    (there / "mine.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="holds another table"):
        sinks.target("csv:mine.csv").sink.log(run, {"file": "mine.csv"}, False)
    assert (there / "mine.csv").read_text() == "a,b\n1,2\n"


def test_tensorboard_reads_the_events(run: evalkit.Run, there: Path) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="needs tensorboard (pip install 'evalkit-harness[tensorboard]')",
    )
    log(run, "tensorboard:board")
    log(run, "tensorboard:board")
    (folder,) = (there / "board").iterdir()
    found = reader.EventAccumulator(str(folder))
    found.Reload()
    (one,) = found.Scalars("boolq/acc")
    assert one.value == pytest.approx(run["boolq"]["acc"].value)
    assert found.Scalars("boolq/n")[0].value == 6
    assert b"| boolq |" in found.Tensors("results")[0].tensor_proto.string_val[0]


def leveldb_records(log: bytes) -> Iterator[bytes]:
    """The records of W&B's file behind its seven bytes of header: LevelDB's log format, blocks of 32 KiB with chunks of
    checksum, length and type (1 whole, 2 first, 3 middle, 4 last).
    """
    place, record = 0, b""
    while place + 7 <= len(log):
        if (room := (7 + place) % 32768) > 32768 - 7:  # the header counts in the first block
            place += 32768 - room
            continue
        _, length, kind = struct.unpack_from("<IHB", log, place)
        place += 7
        record += log[place : place + length]
        place += length
        if kind in (1, 4):
            yield record
            record = b""


def test_wandb_reads_its_offline_file(run: evalkit.Run, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="needs wandb (pip install 'evalkit-harness[wandb]')")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(there))
    log(run, "wandb:team/evals")
    wandb.teardown()  # as at the end of a program: its writer lets go of the file
    (file,) = there.glob("wandb/offline-run-*/run-*.wandb")
    records = []
    for data in leveldb_records(file.read_bytes()[7:]):
        records.append(Record())
        records[-1].ParseFromString(data)
    (header,) = [one.run for one in records if one.WhichOneof("record_type") == "run"][:1]
    assert (header.project, header.entity) == ("evals", "team")
    assert {"spec", "model", "tasks", "environment"} <= {one.key for one in header.config.update}
    summary = {
        ".".join(item.nested_key) or item.key: json.loads(item.value_json)
        for one in records
        for item in one.summary.update
    }
    history = {
        ".".join(item.nested_key) or item.key: json.loads(item.value_json)
        for one in records
        for item in one.history.item
    }
    seen = history | summary
    assert seen["boolq/acc"] == run["boolq"]["acc"].value
    assert seen["boolq/acc_stderr"] == run["boolq"]["acc"].stderr
    tables = {path.relative_to(file.parent / "files").parts[:3] for path in file.parent.glob("files/**/*.table.json")}
    assert len(tables) >= 2  # results, and the samples' folder


@pytest.mark.slow
def test_mlflow_reads_its_database(run: evalkit.Run, there: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow (pip install 'evalkit-harness[mlflow]')")
    pytest.importorskip("alembic", reason="needs alembic (pip install 'evalkit-harness[mlflow]')")
    for _ in range(2):
        log(run, "mlflow:uri=sqlite:///ml.db,experiment=evals")
    client = mlflow.MlflowClient("sqlite:///ml.db")
    (found,) = client.search_runs([client.get_experiment_by_name("evals").experiment_id])
    assert found.info.status == "FINISHED"
    assert found.data.metrics["boolq/acc"] == run["boolq"]["acc"].value
    assert found.data.metrics["boolq/acc_ci_high"] == run["boolq"]["acc"].interval[1]
    assert found.data.params["spec.model.label"] == "parrot"
    mlflow.set_tracking_uri("sqlite:///ml.db")
    table = client.load_table(found.info.experiment_id, "samples/boolq.json", [found.info.run_id])
    assert len(table) == 6  # once, though it was sent twice


@pytest.mark.slow
def test_mlflow_reads_a_folder(run: evalkit.Run, there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="needs mlflow (pip install 'evalkit-harness[mlflow]')")
    for place in ("mlflow:mlruns", f"mlflow:{(there / 'mlruns').as_uri()}"):  # the second updates the first
        log(run, place)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = mlflow.MlflowClient("mlruns")
    (found,) = client.search_runs([client.get_experiment_by_name("evalkit").experiment_id])
    assert found.data.metrics["boolq/acc"] == run["boolq"]["acc"].value


def test_trackio_reads_its_store(run: evalkit.Run, there: Path) -> None:
    pytest.importorskip("trackio", reason="needs trackio (pip install 'evalkit-harness[trackio]')")
    import subprocess
    import sys

    # In a process of its own: trackio settles its folder when it is imported.
    code = (
        "import os, sys, json; os.environ['TRACKIO_DIR'] = sys.argv[2]\n"
        "import evalkit; from evalkit.publish import sinks\n"
        "found = evalkit.load_run(sys.argv[1])\n"
        "assert sinks.send(found, [sinks.target('trackio:project=evals,name=one')], True, print) == 0\n"
        "from trackio.sqlite_storage import SQLiteStorage\n"
        "print(json.dumps(SQLiteStorage.get_logs('evals', 'one'), default=str))\n"
    )
    command = [sys.executable, "-c", code, str(run.path), str(there / "store")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout.splitlines()[-1])
    assert row["boolq/acc"] == run["boolq"]["acc"].value
    assert row["boolq/n"] == 6
    assert {"results", "samples/boolq", "samples/triviaqa"} <= set(row)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("trakio", "did you mean trackio"),
        ("csv:where=x", "unknown setting 'where'"),
        ("hub:repository=x", "known: private, repo, samples"),
    ],
)
def test_a_place_that_cannot_be_is_told_before_the_run(place: str, told: str, there: Path) -> None:
    with pytest.raises(UserError, match=told):
        evalkit.evaluate("mock", TASKS, output=there / "no", log_to=place, progress=False)
    assert not (there / "no").exists()


def test_a_place_that_fails_loses_no_run(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (there / "taken").write_text("")
    place = "csv:taken/file.csv"
    run = evalkit.evaluate("mock", TASKS[0], limit=3, output=there / "run", log_to=place, progress=False)
    assert run["boolq"]["acc"].n == 3
    told = capsys.readouterr().err
    assert f"--log-to {place}: failed" in told
    assert f"evalkit log {there / 'run'} --to {place}" in told


def test_a_plug_in_is_a_function(run: evalkit.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from evalkit.contract import registry

    seen: list[object] = []

    def diary(found: sinks.Published, settings: object, samples: bool) -> str:
        seen.append((found.rows()[0]["task"], settings, samples))
        return "the diary"

    registry.register(registry.SINKS, "diary", diary, origin=registry.defined_at(diary, 1))
    try:
        assert log(run, "diary:page=7", samples=False) == "logged to the diary"
    finally:
        registry.unregister(registry.SINKS, "diary")
    assert seen == [("boolq", {"where": "page=7"}, False)]
