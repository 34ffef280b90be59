"""A matrix of models of which one cannot be reached: one line, and what came before stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalkit.cli.app import app
from evalkit.store import RunDir

pytest.importorskip("httpx2", reason="the extra openai is not installed")

CONFIG = """
tasks: [boolq@sample]
limit: 2
models:
  - {name: mock, label: before}
  - {name: "http://127.0.0.1:9/v1", label: server, args: {max_retries: 0}}
  - {name: mock, label: after, args: {seed: 2}}
"""


def test_a_server_that_is_not_there_ends_the_matrix_with_one_line(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="needs the extra openai")
    config, output = tmp_path / "matrix.yaml", tmp_path / "runs"
    config.write_text(CONFIG)
    result = CliRunner().invoke(app, ["run", "--config", str(config), "--output", str(output), "--quiet"])
    assert result.exit_code == 2
    told = [line for line in result.stderr.splitlines() if "127.0.0.1:9" in line]
    assert len(told) == 1
    assert "is a server with the OpenAI API running there?" in told[0]
    assert "Traceback" not in result.stderr
    assert RunDir.open(output / "before").has_results()
    assert not RunDir.open(output / "server").has_results()
    assert not (output / "after").exists()


def test_the_same_command_goes_on_when_it_is_mended(tmp_path: Path) -> None:
    config, output = tmp_path / "matrix.yaml", tmp_path / "runs"
    config.write_text(CONFIG)
    line = ["run", "--config", str(config), "--output", str(output), "--quiet"]
    CliRunner().invoke(app, line)
    config.write_text(CONFIG.replace('  - {name: "http', '  # - {name: "http'))
    again = CliRunner().invoke(app, line)
    assert again.exit_code == 0, again.output
    assert RunDir.open(output / "before").result().counters["requests_answered"] == 0
    assert RunDir.open(output / "after").has_results()
