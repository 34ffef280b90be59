"""Full disks, Ctrl-C, broken journals, failing items, other batch sizes: a run ends clearly and can go on."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from lives import Life, journaled
from needs import seeds
from typer.testing import CliRunner

from evalkit.cli.app import app

pytestmark = pytest.mark.slow

MOCK = ("run", "--model", "mock", "--model-args", "delay_s=0.0001", "--sample", "--tasks", "boolq,hellaswag,triviaqa",
        "--quiet", "--output", "run")  # fmt: skip
REAL = ("run", "--model", "smollm2-135m", "--device", "cpu", "--sample", "--limit", "8", "--batch-size", "1",
        "--tasks", "truthfulqa_mc2,arc_easy", "--quiet", "--output", "run")  # fmt: skip


def metrics(folder: Path) -> dict:
    results = json.loads((folder / "run" / "results.json").read_text())
    assert results["evalkit"]["partial"] is False
    return results["results"]


def evalkit(*line: object):
    return CliRunner().invoke(app, [str(word) for word in line])


def script(folder: Path, *rules: dict) -> str:
    path = folder / "script.json"
    path.write_text(json.dumps(rules))
    return f"script={path}"


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> tuple[dict, int]:
    """The mock run that nothing happened to: its metrics, and how many requests it computes."""
    folder = tmp_path_factory.mktemp("unbroken")
    life = Life(folder, *MOCK)
    assert life.end() == 0, life.output()
    return metrics(folder), len(life.answered())


# -- full disk ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [3_000, 40_000, 90_000])
def test_a_full_disk_ends_clearly_and_leaves_a_resumable_run(unbroken, tmp_path, limit):
    """A file-size limit strikes the spec, the journal, or the samples and the report."""
    expected, total = unbroken
    life = Life(tmp_path, *MOCK, file_limit=limit)
    code = life.end()
    assert code != 0
    said = life.output()
    assert "evalkit: error: " in said, said
    assert "Traceback" not in said
    assert "free space" in said
    assert "same command again" in said
    kept = journaled(tmp_path / "run")
    again = Life(tmp_path, *MOCK)
    assert again.end() == 0, again.output()
    assert metrics(tmp_path) == expected
    assert kept.isdisjoint(again.answered())
    assert len(again.answered()) == total - len(kept)


class SmallDisk:
    """A tmpfs with ``free`` bytes left until `clear`; the rest is taken by a file of zeros."""

    SIZE = 16 << 20

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def leave(self, free: int) -> None:
        with self._ballast.open("wb") as file:
            for _ in range((self.SIZE - free) // 4096):
                file.write(bytes(4096))

    def clear(self) -> None:
        self._ballast.unlink()


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={SmallDisk.SIZE}", "evalkit-test", str(folder)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        pytest.skip("this system has no command mount")
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here (it needs root): {mounted.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize(
    ("free", "full"),
    [(0, ".lock"), (4096, ".json"), (24_576, "journal.sqlite"), (98_304, "journal.sqlite"), (458_752, "results.json")],
)
def test_a_disk_that_fills_up_ends_clearly_and_the_run_goes_on_when_there_is_space(
    unbroken, small_disk, tmp_path, free, full
):
    expected, total = unbroken
    run = small_disk.folder / "run"
    small_disk.leave(free)
    life = Life(tmp_path, *MOCK[:-1], run)
    assert life.end() == 2, life.output()
    said = life.output()
    assert "Traceback" not in said
    (message,) = (line for line in said.splitlines() if line.startswith("evalkit: error: "))
    assert full in message
    assert "free space" in message
    assert "same command again" in message
    small_disk.clear()
    kept = journaled(run)
    assert not (run / "results.json").exists()
    again = Life(tmp_path, *MOCK[:-1], run)
    assert again.end() == 0, again.output()
    assert metrics(small_disk.folder) == expected
    assert kept.isdisjoint(again.answered())
    assert len(again.answered()) == total - len(kept)


def test_a_report_that_cannot_be_written_loses_no_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ("run", "--model", "mock", "--sample", "--tasks", "boolq", "--limit", "2", "--quiet", "--output", "run")
    assert evalkit(*line).exit_code == 0
    report = tmp_path / "run" / "report.html"
    report.unlink()
    (report / "inside").mkdir(parents=True)
    (tmp_path / "run" / "results.json").unlink()
    failed = evalkit(*line)
    assert failed.exit_code == 2
    assert "report.html" in failed.output
    assert "Traceback" not in failed.output
    assert (tmp_path / "run" / "results.json").exists()
    shutil.rmtree(report)
    assert evalkit(*line).exit_code == 0
    assert report.is_file()


def test_a_run_killed_between_its_first_two_files_begins_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ("run", "--model", "mock", "--sample", "--tasks", "boolq", "--limit", "2", "--quiet", "--output")
    assert evalkit(*line, "run").exit_code == 0
    for folder, content in (("begun", (tmp_path / "run" / "environment.json").read_text()), ("alien", "{}")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "environment.json").write_text(content)
    assert evalkit(*line, "begun").exit_code == 0
    refused = evalkit(*line, "alien")
    assert refused.exit_code == 2
    assert "not a run directory" in refused.stderr


# -- Ctrl-C -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_once_writes_partial_results_and_says_how_to_go_on(unbroken, tmp_path, how):
    expected, total = unbroken
    life = Life(tmp_path, *MOCK)
    assert life.wait_for_answers(20)
    life.interrupt(how)
    assert life.end() == 130, life.output()
    said = life.output()
    assert "stopping after the batch at work" in said
    assert "continue with: evalkit run --resume run" in said
    assert "Traceback" not in said
    partial = json.loads((tmp_path / "run" / "results.json").read_text())
    assert partial["evalkit"]["partial"] is True
    kept = journaled(tmp_path / "run")
    assert len(life.answered()) == len(kept) < total
    again = Life(tmp_path, "run", "--resume", "run", "--quiet")
    assert again.end() == 0, again.output()
    assert metrics(tmp_path) == expected
    assert len(again.answered()) == total - len(kept)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_twice_stops_at_once(tmp_path, how):
    slow = script(tmp_path, {"delay_s": 0.01})  # seconds a row
    life = Life(tmp_path, "run", "--model", "mock", "--model-args", slow, "--sample", "--tasks", "boolq", "--output",
                "run")  # fmt: skip
    assert life.wait_for_answers(1)
    life.interrupt(how)
    while "stopping after" not in life.output():
        pass
    life.interrupt(how)
    assert life.end() == 130, life.output()
    said = life.output()
    assert "continue with: evalkit run --resume run" in said
    assert "Traceback" not in said


# -- the journal --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> tuple[Path, int]:
    """A folder with a mock run that was killed when most of its answers were there, and how many are kept. The model
    is slow until then, and answers at once afterwards.
    """
    folder = tmp_path_factory.mktemp("killed")
    (folder / "script.json").write_text(json.dumps([{"delay_s": 0.0002}]))
    life = Life(folder, *_scripted(folder))
    while len(journaled(folder / "run")) < 60:
        assert life.wait_for_answers(1), life.output()
    assert life.kill()
    (folder / "script.json").write_text(json.dumps([{"delay_s": 0.0}]))
    return folder, len(journaled(folder / "run"))


def _scripted(folder: Path) -> tuple[str, ...]:
    return ("run", "--model", "mock", "--model-args", f"script={folder / 'script.json'}", "--sample", "--tasks",
            "boolq,hellaswag,triviaqa", "--quiet", "--output", "run")  # fmt: skip


@pytest.mark.parametrize("seed", seeds(6, 100))
def test_a_garbled_journal_is_recovered_or_refused_never_read_wrong(unbroken, killed, tmp_path, monkeypatch, seed):
    expected, _ = unbroken
    folder, kept = killed
    shutil.copytree(folder / "run", tmp_path / "run")
    draw = random.Random(seed)
    for name in ("journal.sqlite", "journal.sqlite-wal"):
        file = tmp_path / "run" / name
        if not file.exists():
            continue
        data = bytearray(file.read_bytes())
        if seed % 2:
            data = data[: draw.randrange(len(data) + 1)]
        for _ in range(draw.choice([0, 1, 8, 64]) if len(data) else 0):
            data[draw.randrange(len(data))] = draw.randrange(256)
        file.write_bytes(data)
    monkeypatch.chdir(tmp_path)
    done = evalkit(*_scripted(folder))
    if done.exit_code == 0:
        assert metrics(tmp_path) == expected
    else:
        assert done.exit_code == 2
        assert done.stderr.startswith("evalkit: error: run/journal.sqlite: ")
    assert kept


def test_the_second_process_is_told_who_holds_the_run(tmp_path):
    slow = script(tmp_path, {"delay_s": 0.01})
    line = (
        "run",
        "--model",
        "mock",
        "--model-args",
        slow,
        "--sample",
        "--tasks",
        "boolq",
        "--quiet",
        "--output",
        "run",
    )
    first = Life(tmp_path, *line)
    assert first.wait_for_answers(1)
    second = Life(tmp_path, *line)
    assert second.end() == 2
    assert f"in use by process {first._process.pid} on " in second.output()
    assert first.kill()
    connection = sqlite3.connect(tmp_path / "run" / "journal.sqlite")
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


# -- items that fail ----------------------------------------------------------------------------------------------


def test_failed_items_are_errors_and_retry_asks_for_them_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    clean = evalkit("run", "--model", "mock", "--sample", "--tasks", "boolq", "--quiet", "--output", "clean")
    assert clean.exit_code == 0, clean.output
    path = tmp_path / "script.json"
    path.write_text(json.dumps([{"match": "octopus", "error": "the server is on fire"}]))
    line = ("run", "--model", "mock", "--model-args", f"script={path}", "--sample", "--tasks", "boolq", "--quiet",
            "--output", "run")  # fmt: skip
    failed = evalkit(*line)
    assert failed.exit_code == 1
    assert "above --max-error-rate 0" in failed.stderr
    assert "evalkit retry run" in failed.stderr
    count = _statuses(tmp_path / "run", "boolq").count("error")
    assert count >= 1
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["n-samples"]["boolq"]["effective"] == 24
    assert evalkit(*line, "--max-error-rate", "1").exit_code == 0
    path.write_text("[]")  # the server is well again
    before = len(journaled(tmp_path / "run"))
    again = evalkit("retry", "run", "--quiet")
    assert again.exit_code == 0, again.output
    assert len(journaled(tmp_path / "run")) - before == 2 * count  # two choices an item
    assert _statuses(tmp_path / "run", "boolq") == ["ok"] * 24
    cleaned = json.loads((tmp_path / "clean" / "results.json").read_text())["results"]
    assert json.loads((tmp_path / "run" / "results.json").read_text())["results"] == cleaned


def _statuses(run: Path, task: str) -> list[str]:
    from evalkit.store import RunDir

    return RunDir.open(run).samples(task)["status"].tolist()


def test_nan_logits_are_errors_that_name_the_item(tmp_path, monkeypatch):
    from evalkit.store import RunDir

    monkeypatch.chdir(tmp_path)
    rule = script(tmp_path, {"match": "octopus", "nan": True})
    done = evalkit("run", "--model", "mock", "--model-args", rule, "--sample", "--tasks", "boolq,triviaqa", "--quiet",
                   "--output", "run")  # fmt: skip
    assert done.exit_code == 1
    frame = RunDir.open(tmp_path / "run").samples("boolq")
    hit = frame["prompt"].str.contains("octopus")
    assert hit.any()
    assert not hit.all()
    assert set(frame.loc[hit, "status"]) == {"error"}
    assert set(frame.loc[~hit, "status"]) == {"ok"}
    assert all("not finite" in error for error in frame.loc[hit, "error"])
    assert frame.loc[hit, "doc_id"].iloc[0] >= 0
    assert not journaled(tmp_path / "run") & set(_failed_keys(tmp_path / "run"))


def _failed_keys(run: Path) -> list[str]:
    from evalkit.store import Journal

    with Journal(run / "journal.sqlite") as journal:
        return list(journal.failures())


# -- the real model -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory, smollm2_folder) -> Path:
    """A run of the real model that nothing happened to."""
    folder = tmp_path_factory.mktemp("real")
    life = Life(folder, *REAL)
    assert life.end() == 0, life.output()
    return folder


@pytest.mark.slow
@pytest.mark.model
def test_a_resume_with_another_batch_size_gives_the_same_within_1e_4(real, tmp_path):
    life = Life(tmp_path, *REAL)
    assert life.wait_for_answers(2)
    life.interrupt()
    assert life.end() == 130, life.output()
    assert 0 < len(journaled(tmp_path / "run")) < len(journaled(real / "run"))
    again = Life(tmp_path, *REAL, "--batch-size", "7")
    assert again.end() == 0, again.output()
    for task in ("truthfulqa_mc2", "arc_easy"):
        for got, want in zip(_loglikelihoods(tmp_path, task), _loglikelihoods(real, task), strict=True):
            assert got == pytest.approx(want, abs=1e-4)
    for task, row in metrics(real).items():
        for key, value in row.items():
            if isinstance(value, float):
                assert metrics(tmp_path)[task][key] == pytest.approx(value, abs=1e-5), key


def _loglikelihoods(folder: Path, task: str) -> list[list[float]]:
    from evalkit.store import RunDir

    rows = RunDir.open(folder / "run").samples(task)["responses"]
    return [[response["loglikelihood"] for response in row] for row in rows]


@pytest.mark.slow
@pytest.mark.model
def test_another_process_writes_the_same_numbers(real, tmp_path):
    """A plain `python -m evalkit`, without any of this file's helpers."""
    environment = dict(os.environ)
    subprocess.run([sys.executable, "-m", "evalkit", *REAL], cwd=tmp_path, env=environment, check=True, timeout=300,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    assert metrics(tmp_path) == metrics(real)
    assert _loglikelihoods(tmp_path, "arc_easy") == _loglikelihoods(real, "arc_easy")


LOADING = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup this
import evalkit
from evalkit.cli.app import main

@evalkit.register_backend("slow")
def load(model, engine):
    print("now", flush=True)
    try:
        time.sleep(60)
    except BaseException:  # as a library in C++ that calls Python: no exception comes out of it whole
        print("half way", flush=True)
        raise SystemExit(134)

sys.argv = ["evalkit", "run", "--model", "any", "--backend", "slow", "--tasks", "boolq@bundled", "--output", "run"]
main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_model_loads_ends_the_run_in_a_line(tmp_path, how):
    process = subprocess.Popen(
        [sys.executable, "-c", LOADING], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "now\n"
    process.send_signal(how)
    out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert out == ""
    assert "Traceback" not in said
    assert said.splitlines()[-2:] == [
        "evalkit: stopped while the model was loading",
        "evalkit: continue with: evalkit run --resume run",
    ]
    again = Life(tmp_path, "run", "--model", "mock", "--tasks", "boolq@bundled", "--limit", "2", "--output", "other")
    assert again.end() == 0, again.output()
