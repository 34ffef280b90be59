"""The fixture ``evalkit`` in a stranger's tests: it passes, fails and skips by what is shown."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = """
import json
import pytest

ROWS = [{"question": f"{n}+1?", "answer": str(n + 1)} for n in range(40)]


def knows(request):
    return " " + str(int(request.context.rpartition("Q: ")[2].partition("+")[0]) + 1)


def half(request):
    n = int(request.context.rpartition("Q: ")[2].partition("+")[0])
    return f" {n + 1}" if n % 2 else " 0"


@pytest.fixture
def task(tmp_path):
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in ROWS))
    path = str(tmp_path / "sums.jsonl")
    return {"name": "sums", "data": path, "prompt": "Q: {{question}}\\nA:", "target": "{{answer}}"}


@pytest.fixture
def good(evalkit, task):
    import evalkit as package
    return evalkit.evaluate(package.mock(knows), [task])


@pytest.fixture
def bad(evalkit, task):
    import evalkit as package
    return evalkit.evaluate(package.mock(half), [task])


def test_passes(evalkit, good):
    evalkit.at_least(good["sums"]["exact_match"], 0.8)
    evalkit.each(good, "sums", lambda row: row["exact_match,remove_whitespace"] == 1)


def test_shown_to_be_lower(evalkit, bad):
    evalkit.at_least(bad["sums"]["exact_match"], 0.8)


def test_not_shown_either_way(evalkit, bad):
    evalkit.at_least(bad["sums"]["exact_match"], 0.45)


def test_each_item(evalkit, bad):
    def right(row):
        assert row["exact_match,remove_whitespace"] == 1, "wrong sum"
    evalkit.each(bad, "sums", right)


def test_worse_than_the_baseline(evalkit, good, bad):
    evalkit.no_worse(bad, good)


def test_too_few_items_skip(evalkit, good):
    evalkit.no_worse(good, good, {"tasks": {"sums": {"margin": 0.0001}}}, undecided="skip")


def test_the_same_run_is_made_once(evalkit):
    first = evalkit.evaluate("mock", "boolq", bundled=True, limit=2)
    assert evalkit.evaluate("mock", ["boolq"], limit=2, bundled=True) is first
"""


@pytest.mark.skipif(
    "evalkit" not in entry_points(group="pytest11").names, reason="needs evalkit installed as a package"
)
def test_a_strangers_tests_pass_and_fail_by_what_is_shown(tmp_path: Path) -> None:
    (tmp_path / "test_model.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    text = done.stdout
    assert "PASSED test_model.py::test_passes" in text, text + done.stderr
    assert "PASSED test_model.py::test_the_same_run_is_made_once" in text
    assert "is shown not to be at least 0.8" in text
    assert "cannot be told to be at least 0.45; more items would tell" in text
    assert "20 of 40 items of sums do not hold" in text
    assert "item 0: wrong sum" in text
    assert "is worse than" in text
    assert "by more than is allowed" in text
    assert "too few items to tell" in text
    assert "2 passed, 1 skipped" in text.replace("4 failed, ", "")
