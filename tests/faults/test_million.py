"""A million items from rows to report, in bounded memory."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

GIGABYTE = 1_000_000_000


def benchmark() -> ModuleType:
    file = Path(__file__).parents[2] / "benchmarks" / "million.py"
    spec = importlib.util.spec_from_file_location("million", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["generate", "multiple_choice"])
@pytest.mark.parametrize(
    ("items", "most"), [(3_000, 1.0), pytest.param(1_000_000, 1.5, marks=pytest.mark.nightly)], ids=str
)
def test_a_run_of_many_items_stays_within_memory(tmp_path: Path, items: int, most: float, kind: str) -> None:
    if items > 3_000 and kind != "generate":
        pytest.skip("two million requests: by hand, python benchmarks/million.py --kind multiple_choice")
    measured = benchmark().measure(items, kind, tmp_path)
    assert measured["peak_bytes"] < most * GIGABYTE
    results = json.loads((tmp_path / "run" / "results.json").read_bytes())
    assert results["results"]["many"]["sample_len"] == items
    assert set(measured["seconds_of"]) >= {"answer", "score"}
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    assert ("of tasks with more items the first 100,000 are shown: many (1,000,000)." in page.lower()) == (
        items > 100_000
    )
