"""docs/python.md, the notebook and the docstring's example run as they stand; a caller's file is typed."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from evalkit.contract import registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python.md").read_text("utf-8")
CALLER = """
import evalkit
from evalkit import Generate, Request, Response


class Echo:
    def __init__(self) -> None:
        self.info = evalkit.ModelInfo(name="echo", backend="own", fingerprint="1", max_length=64)

    def respond(self, requests: list[Request]) -> "list[tuple[int, Response]]":
        return [(index, Response(text="x")) for index, _ in enumerate(requests)]


class Own(evalkit.Benchmark):
    name = "own"


def answer(request: Request) -> str:
    return request.context if isinstance(request, Generate) else "yes"


@evalkit.register_backend("typed")
def load(model: evalkit.ModelSpec, engine: evalkit.EngineSpec) -> evalkit.Backend:
    return evalkit.mock(answer)


run: evalkit.Run = evalkit.evaluate(evalkit.mock(answer), ["boolq@sample"], limit=0.5, num_fewshot=1, dtype="auto")
value: float | None = run["boolq"]["acc"].value
names: list[str] = list(run.to_pandas()["task"])
more: evalkit.Run = evalkit.evaluate("mock", [Own, Own(), "boolq"])
verdict: str = evalkit.gate(run, "base").outcome
checked: evalkit.Checked = evalkit.check("mock", run, looks=4, limit=50, dtype="auto")
saved: int = checked.saved
loaded: evalkit.Backend = load(evalkit.ModelSpec(name="x"), evalkit.EngineSpec())
"""


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_example_of_the_page_runs(capsys):
    namespace = {"__name__": "python_page"}
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) >= 10
    try:
        for number, block in enumerate(blocks):
            exec(compile(block, f"docs/python.md, example {number + 1}", "exec"), namespace)
    finally:
        for group, name in ((registry.TASK_OBJECTS, "doubling"), (registry.BACKENDS, "shouter")):
            if registry.origin_of(group, name):
                registry.unregister(group, name)
    assert Path("both.html").is_file()


def test_the_docstrings_example_runs():
    from evalkit.api import evaluation

    assert doctest.testmod(evaluation).attempted >= 3
    assert doctest.testmod(evaluation).failed == 0


def test_the_notebook_runs_and_shows_the_table(tmp_path):
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat (pip install 'evalkit-harness[dev]')")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient (pip install 'evalkit-harness[dev]')")
    pytest.importorskip("ipykernel", reason="needs ipykernel (pip install 'evalkit-harness[dev]')")
    notebook = nbformat.read(ROOT / "examples" / "evaluate.ipynb", as_version=4)
    nbformat.validate(notebook)
    done = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell.id: cell.get("outputs", []) for cell in done.cells}
    shown = "".join(str(output.get("data", {}).get("text/html", "")) for output in outputs["evaluate"])
    assert "<progress" in shown
    assert "<td>boolq@bundled</td>" in shown
    assert "".join(output.get("text", "") for output in outputs["gate"]).split()[0] in (
        "pass",
        "regression",
        "inconclusive",
    )


@pytest.mark.slow
def test_a_callers_file_passes_mypy_strict(tmp_path):
    pytest.importorskip("mypy", reason="needs mypy (pip install 'evalkit-harness[dev]')")
    (tmp_path / "caller.py").write_text(CALLER, "utf-8")
    # What evalkit uses inside is no part of its face, and reading torch's types takes minutes.
    skipped = "".join(f"[mypy-{name}.*]\nfollow_imports = skip\n" for name in ("torch", "transformers", "scipy"))
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = True\n" + skipped, "utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--no-warn-unused-configs", "caller.py"]
    environment = os.environ | {"MYPYPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_evalkit_brings_nothing_heavy():
    code = (
        "import sys, evalkit\n"
        "heavy = {'torch', 'transformers', 'pandas', 'numpy', 'scipy', 'datasets', 'pydantic', 'rich', 'typer'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "assert set(evalkit.__all__) <= set(dir(evalkit))\n"
        "for name in evalkit.__all__: getattr(evalkit, name)\n"
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n[]\n"
