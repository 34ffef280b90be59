"""benchmarks/gpu.py, from its command line to its JSON, with a tiny shape on the CPU."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
WORDS = (
    "--shape tiny --device cpu --dtype float32 --limit 2 --baseline-limit 1 --baseline-batches 8 --seconds 0.01 --oom 1"
)


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    if not BENCHMARKS.is_dir():
        pytest.skip("the benchmarks are in the repository only")
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_drawn_questions_are_mmlu_s_in_number_and_share_their_subject_s_prefix(benchmarks: None) -> None:
    import mmlu_prompts

    table = mmlu_prompts.lengths()
    assert len(table) == 57
    assert sum(int(row["questions"]) for row in table) == 14_042
    row = table[0]
    first, *rest = mmlu_prompts.drawn(row, 1000)
    shared = int(row["prefix"])
    assert len(rest) + 1 == int(row["questions"])
    assert all((one.context[:shared] == first.context[:shared]).all() for one in rest)
    assert all(len(one.context) >= shared + 8 for one in rest)
    assert (mmlu_prompts.drawn(row, 1000)[0].context == first.context).all()


def test_a_run_on_the_cpu(benchmarks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval", reason="the baseline is lm-eval's own backend")
    import gpu

    few = gpu.lengths()[:5]
    monkeypatch.setattr(gpu, "lengths", lambda: few)
    monkeypatch.setattr(gpu, "RATE_ROWS", (64,))
    monkeypatch.setattr(gpu, "bandwidth", lambda *_: 1e9)
    monkeypatch.setattr(sys, "argv", ["gpu.py", *WORDS.split(), "--output", str(tmp_path / "gpu.json")])
    gpu.main()
    found: dict[str, Any] = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert (found["questions"], found["subjects"], found["path"]) == (10, 5, "tree")
    own = found["evalkit"]
    assert own["distinct"] == own["computed_tokens"] < own["given"]
    assert own["reads"] == 10
    assert own["share"] == pytest.approx(own["limit"] / own["seconds"])
    assert found["ratio"] > 0
    assert found["apart"]["largest"] < 1e-4 < found["apart"]["spread"]
    oom = found["out_of_memory"]
    assert oom["passes_refused"][0] == own["distinct"]
    assert oom["passes_refused"][-1] > 256
    assert oom["largest_difference"] < 1e-4
    assert oom["preferences_that_differ"] == 0
