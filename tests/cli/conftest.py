"""The command line in this process, away from the repository and from the user's settings."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from evalkit.cli.app import app

Evalkit = Callable[..., Result]


@pytest.fixture
def evalkit(tmp_path, monkeypatch) -> Evalkit:
    """Runs a command line in an empty folder; ``result.stdout`` and ``result.stderr`` are apart."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EVALKIT_DATA_DIR", raising=False)

    def call(*line: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in line])

    return call
