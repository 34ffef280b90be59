"""Samples as a table: every format holds the same rows, and none begins a formula where a spreadsheet looks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import evalkit
from evalkit.api.exporting import export_samples
from evalkit.contract.errors import UserError
from tests.cli.conftest import Evalkit
from tests.cli.conftest import evalkit as command_line  # noqa: F401

EVIL = '=HYPERLINK("http://x")'


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> evalkit.Run:
    return evalkit.evaluate(
        evalkit.mock(lambda request: EVIL), ["triviaqa"], bundled=True, output=tmp_path_factory.mktemp("run") / "r"
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "xlsx"])
def test_every_format_holds_the_same_rows(run: evalkit.Run, tmp_path: Path, suffix: str) -> None:
    if suffix == "xlsx":
        pytest.importorskip("openpyxl", reason="needs openpyxl (pip install 'evalkit-harness[excel]')")
    to = tmp_path / "new" / f"samples.{suffix}"
    assert export_samples(run, "triviaqa", to) == (24, 0)
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet, "xlsx": pd.read_excel}.get(suffix)
    frame = read(to) if read else pd.read_json(to, lines=True)
    assert list(frame["doc_id"]) == list(range(24))
    assert list(frame["em,none"]) == [0.0] * 24
    assert set(frame["reply"]) == {("'" if suffix in ("csv", "xlsx") else "") + EVIL}
    assert set(frame["prompt"]) == set(run.samples("triviaqa")["prompt"])


def test_other_names_and_tasks_are_refused(run: evalkit.Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the name says the format: \.csv"):
        export_samples(run, "triviaqa", tmp_path / "samples.txt")
    with pytest.raises(UserError, match="no task 'trivia'"):
        export_samples(run, "trivia", tmp_path / "samples.csv")


def test_on_the_command_line(command_line: Evalkit, run: evalkit.Run, tmp_path: Path) -> None:  # noqa: F811
    done = command_line("samples", "export", run.path)
    assert done.exit_code == 0, done.output
    assert "24 rows in triviaqa.csv" in done.stdout
    assert len(pd.read_csv(tmp_path / "triviaqa.csv")) == 24
