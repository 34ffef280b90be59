"""The examples in CONTRIBUTING.md work as they stand there."""

import json
import re
import sys
from pathlib import Path

from typer.testing import CliRunner

from evalkit.cli.app import app

GUIDE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return next(text for text in blocks if containing in text)


def write_task(folder: Path) -> Path:
    task = folder / "my_tasks" / "capitals"
    task.mkdir(parents=True)
    (task / "task.yaml").write_text(block("yaml", "name: capitals"), encoding="utf-8")
    (task / "sample.jsonl").write_text(block("json", '"_split"'), encoding="utf-8")
    return folder / "my_tasks"


def install_parrot(folder: Path, monkeypatch) -> None:
    """What pip would leave behind, without pip."""
    (folder / "parrot.py").write_text(block("python", "class Parrot"), encoding="utf-8")
    installed = folder / "evalkit_parrot-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: evalkit-parrot\nVersion: 0.1\n")
    entry_point = block("toml", "evalkit.backends").splitlines()[-1]
    (installed / "entry_points.txt").write_text("[evalkit.backends]\n" + entry_point.replace('"', "") + "\n")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "parrot", raising=False)


def test_the_tasks_prompt_is_shown(tmp_path):
    result = CliRunner().invoke(app, ["tasks", "show", "capitals", "--include-path", str(write_task(tmp_path))])
    assert result.exit_code == 0, result.output
    assert "What is the capital of Norway?\nAnswer: Oslo" in result.output
    assert result.output.rstrip().endswith("The answer: 'Tokyo'")


def test_the_task_and_the_backend_run_together(tmp_path, monkeypatch):
    install_parrot(tmp_path, monkeypatch)
    line = ["run", "--model", "any", "--backend", "parrot", "--tasks", "capitals", "--sample", "--json", "--quiet"]
    line += ["--include-path", str(write_task(tmp_path)), "--output", str(tmp_path / "run")]
    result = CliRunner().invoke(app, line)
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)["results"]["capitals"]
    # Kisumu is the shortest of its three; a character each way, all choices are as likely, and the first one wins.
    assert results["acc,none"] == 0
    assert results["acc_norm,none"] == 0.5
