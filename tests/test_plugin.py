"""The doors hold: a third party's package is installed, and its task, backend and metric are used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin"
USE = """
import json
from evalkit.contract import registry
from evalkit.contract.types import PromptStyle
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec, TaskSpec
from evalkit.task import catalog

model = ModelSpec(name="scripted", backend="scripted", args={"France": "Paris", "Italy": "Rimini", "Peru": "Cusco"})
task = catalog.resolve(RunSpec(model=model, tasks=(TaskSpec(name="plugin_capitals@sample@1shot"),))).tasks[0]
backend = registry.load(registry.BACKENDS, model.backend)(model, EngineSpec())
documents = task.documents(None)
requests = list(task.requests(documents, PromptStyle()))
answers = {index: response for index, response in backend.respond([asked for one in requests for asked in one])}
samples = [task.score(document, asked, [answers[index]])
           for index, (document, asked) in enumerate(zip(documents, requests))]
print(json.dumps({
    "provider": registry.provider(registry.METRICS, "first_letter"),
    "context": requests[0][0].context,
    "metrics": {metric.key: metric.value for metric in task.summarize(samples)},
    "sample": task.info.sample,
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin installed into it by pip, from a copy of its source."""
    import shutil

    root = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, root / "source", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    command += ["--disable-pip-version-check", "--target", str(root / "site"), str(root / "source")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return root / "site"


def run(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), str(Path(__file__).parents[1])])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=installed.parent
    )


def test_task_backend_and_metric_are_used(installed: Path) -> None:
    done = run(installed, "-c", USE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["provider"] == "evalkit-example 0.3.0"
    assert found["context"].startswith("What is the capital of ")
    assert found["context"].endswith("\n\nWhat is the capital of France?")
    assert found["metrics"] == {"first_letter,none": 0.5, "exact_match,none": 0.25}
    assert found["sample"] is True


def test_command_line_runs_the_plugin(installed: Path) -> None:
    """`evalkit run` of the plugin's task on the plugin's backend, end to end."""
    output = installed.parent / "out"
    done = run(
        installed,
        *("-m", "evalkit", "run", "--model", "scripted", "--backend", "scripted"),
        *("--model-args", "France=Paris,Italy=Rimini,Peru=Cusco"),
        *("--tasks", "plugin_capitals@sample", "--output", str(output)),
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((output / "results.json").read_text())
    assert results["results"]["plugin_capitals"]["first_letter,none"] == 0.5
