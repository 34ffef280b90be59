"""The examples in docs/extending.md work as they stand there."""

import json
import re
import sys
import tomllib
from pathlib import Path

from typer.testing import CliRunner

from evalkit.cli.app import app

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "extending.md").read_text("utf-8")


def block(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)
    return next(text for text in blocks if containing in text)


def write(folder: Path) -> Path:
    rhymes, wordplay = folder / "my_tasks" / "rhymes", folder / "my_tasks" / "wordplay"
    rhymes.mkdir(parents=True)
    wordplay.mkdir()
    (rhymes / "task.yaml").write_text(block("yaml", "name: rhymes"), "utf-8")
    (rhymes / "task.py").write_text(block("python", "ending = Metric("), "utf-8")
    (rhymes / "sample.jsonl").write_text(block("json", '"_split"'), "utf-8")
    (wordplay / "group.yaml").write_text(block("yaml", "name: wordplay"), "utf-8")
    return folder / "my_tasks"


def evalkit(*line: str) -> str:
    result = CliRunner().invoke(app, list(line))
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_tasks_prompt_is_shown(tmp_path):
    assert "A word that rhymes with mat:" in evalkit("tasks", "show", "rhymes", "--include-path", str(write(tmp_path)))


def test_the_metric_beside_the_task_scores(tmp_path):
    outputs = tmp_path / "outputs.jsonl"
    answers = ("cat", "fit", " ")
    rows = ({"task": "rhymes", "doc_id": index, "text": text} for index, text in enumerate(answers))
    outputs.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    line = ["run", "--model", f"predictions:{outputs}", "--tasks", "rhymes", "--sample", "--json", "--quiet"]
    line += ["--include-path", str(write(tmp_path)), "--output", str(tmp_path / "run")]
    results = json.loads(evalkit(*line))["results"]["rhymes"]
    # "cat" is right, "fit" ends like neither rhyme of bright, and a blank answer has no ending to score.
    assert results["exact_match,none"] == 1 / 3
    assert results["ending,none"] == 0.5
    assert results["ending_two,none"] == 0.5


def test_the_benchmark_in_one_file_scores(tmp_path):
    place = tmp_path / "my_tasks" / "shouting"
    place.mkdir(parents=True)
    (place / "benchmark.py").write_text(block("python", "class Shouting("), "utf-8")
    outputs = tmp_path / "outputs.jsonl"
    answers = (" APPLE", " TABLe", "green", "")
    rows = ({"task": "shouting", "doc_id": index, "text": text} for index, text in enumerate(answers))
    outputs.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    line = ["run", "--model", f"predictions:{outputs}", "--tasks", "shouting@2shot", "--json", "--quiet"]
    line += ["--include-path", str(tmp_path / "my_tasks"), "--output", str(tmp_path / "run")]
    results = json.loads(evalkit(*line))["results"]["shouting"]
    assert results["correct,none"] == 0.25
    # A blank answer has no capitals to count, and "green" none that is right.
    assert results["share,none"] == (1 + 4 / 5 + 0) / 3


def test_the_group_fixes_its_childrens_shots(tmp_path):
    line = ["run", "--model", "mock", "--tasks", "wordplay", "--sample", "--json", "--quiet"]
    line += ["--include-path", str(write(tmp_path)), "--output", str(tmp_path / "run")]
    shots = json.loads(evalkit(*line))["n-shot"]
    assert shots == {"rhymes": 0, "boolq": 2}


def test_the_packages_entry_points_are_those_of_the_plugin():
    shown = tomllib.loads(block("toml", "evalkit.metrics"))["project"]["entry-points"]
    plugin = tomllib.loads((ROOT / "tests" / "plugin" / "pyproject.toml").read_text("utf-8"))
    assert shown == plugin["project"]["entry-points"]


def test_the_backend_that_says_what_it_can_is_found_by_its_names(tmp_path, monkeypatch):
    (tmp_path / "parrot_kind.py").write_text(block("python", "BackendType("), "utf-8")
    installed = tmp_path / "evalkit_parrot_kind-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: evalkit-parrot-kind\nVersion: 0.1\n")
    (installed / "entry_points.txt").write_text("[evalkit.backends]\nparrot = parrot_kind:kind\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "parrot_kind", raising=False)
    assert "repeats the last word" in evalkit("models", "list")
    line = ["run", "--sample", "--limit", "2", "--quiet", "--output", str(tmp_path / "run")]
    for number, name in enumerate(("parrot:grey", "polly")):
        evalkit(*line[:-1], str(tmp_path / f"run{number}"), "--model", name, "--tasks", "triviaqa")
    for told, more in (
        ("task boolq asks for log-likelihoods of choices", ["--tasks", "boolq"]),
        (
            "--dtype: polly runs on the backend parrot, which does not take it",
            ["--tasks", "triviaqa", "--dtype", "float16"],
        ),
    ):
        refused = CliRunner().invoke(app, [*line, "--model", "polly", *more])
        assert refused.exit_code == 2
        assert told in " ".join(refused.output.split())
    assert not (tmp_path / "run").exists()
