"""The table of docs/probes.md: four scripted models land where they must, task by task and on the board."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "scripted_models.py"


@pytest.mark.slow
def test_four_models_land_where_they_must() -> None:
    spec = importlib.util.spec_from_file_location("scripted_models", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    found, index = script.figures()
    assert script.table(found, index) in script.PAGE.read_text("utf-8"), "run scripts/scripted_models.py"
    low = {"fabricated_entities"}
    for task, values in found.items():
        if task == "selfcheck_subjects":
            assert values["perfect"].value < values["lying"].value
            continue
        best, worst = (0, 1) if task in low else (100 if values["perfect"].unit != "share" else 1, 0)
        assert values["perfect"].value == pytest.approx(best, abs=1e-3), task  # a probability is never quite 1
        assert values["lying"].value == pytest.approx(worst, abs=1e-3), task
    assert index["perfect"] == pytest.approx(100, abs=0.01)
    assert index["lying"] == pytest.approx(0, abs=0.01)
    assert index["lying"] < index["abstaining"] < index["agreeing"] < index["perfect"]
