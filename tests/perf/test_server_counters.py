"""What a run on a server counts: times against a server with known delays, tokens against what it tells."""

from __future__ import annotations

from pathlib import Path

import pytest
from streaming_server import SharedClock, Timing, streaming

from evalkit.backends import opening
from evalkit.backends.openai.backend import ServerBackend
from evalkit.contract.types import Generate
from evalkit.runner.evaluate import execute
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.store import RunDir

pytest.importorskip("httpx2", reason="the extra openai is not installed")

WITHIN = 0.05
TIMINGS = [
    Timing(ttft=0.4, gaps=(0.03, 0.05, 0.02), tail=0.01, prompt_tokens=100, cached_tokens=60),
    Timing(ttft=0.2, gaps=(0.04,) * 9, tail=0.0, prompt_tokens=50, cached_tokens=0),
    Timing(ttft=0.9, gaps=(), tail=0.1, prompt_tokens=5, cached_tokens=1),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SharedClock:
    shared = SharedClock()
    monkeypatch.setattr("evalkit.perf.clocks.now", shared.now)
    return shared


def ask(url: str, count: int, **args: object) -> ServerBackend:
    """A backend that has asked ``count`` prompts, one after another."""
    backend = opening.open_backend(ModelSpec(name=url, args={"num_concurrent": 1, **args}), EngineSpec())
    assert isinstance(backend, ServerBackend)
    answers = list(backend.respond([Generate(f"prompt {number}", max_tokens=16) for number in range(count)]))
    assert [response.status for _, response in answers] == ["ok"] * count
    backend.close()
    return backend


def test_known_delays_give_ttft_itl_tpot_and_the_whole(clock: SharedClock) -> None:
    with streaming(clock, TIMINGS) as url:
        meter = ask(url, 3).meter
    assert list(meter.ttft_seconds) == pytest.approx([0.4, 0.2, 0.9], rel=WITHIN)
    assert list(meter.itl_seconds) == pytest.approx([0.03, 0.05, 0.02, *[0.04] * 9], rel=WITHIN)
    assert list(meter.tpot_seconds) == pytest.approx([0.1 / 3, 0.04], rel=WITHIN)
    assert list(meter.e2e_seconds) == pytest.approx([0.51, 0.56, 1.0], rel=WITHIN)
    found = meter.counters()
    assert found["latency"]["ttft"]["mean_s"] == pytest.approx(0.5, rel=WITHIN)
    assert found["latency"]["itl"]["n"] == 12
    assert found["latency"]["itl"]["p50_s"] == pytest.approx(0.04, rel=WITHIN)
    assert found["tokens"] == {"given": 155, "computed": 94, "shared": 61, "generated": 15}


def test_a_piece_of_several_tokens_counts_as_what_the_server_says(clock: SharedClock) -> None:
    with streaming(clock, [Timing(ttft=0.1, gaps=(0.2, 0.2), tokens_a_piece=4)]) as url:
        meter = ask(url, 1).meter
    assert meter.generated == 12
    assert list(meter.tpot_seconds) == pytest.approx([0.4 / 11], rel=WITHIN)
    assert list(meter.tpot_tokens) == [11]
    tokens = meter.counters()["tokens"]
    assert "computed" not in tokens, "nobody said what of the prompt came from a cache"
    assert tokens["given"] == 7


def test_the_parts_are_the_whole_in_the_files_of_a_run(clock: SharedClock, tmp_path: Path) -> None:
    timings = [Timing(ttft=0.25, gaps=(0.05,) * n, prompt_tokens=10 * n, cached_tokens=n) for n in (1, 2, 3)]
    with streaming(clock, timings) as url:
        model = {"name": url, "args": {"num_concurrent": 1}}
        tasks = [{"name": "triviaqa"}]
        execute(
            RunSpec.model_validate({"model": model, "tasks": tasks, "sample": True, "limit": 3, "output": tmp_path})
        )
    counters, raw = RunDir.open(tmp_path).result().counters, RunDir.open(tmp_path).performance()
    assert counters["tokens"] == {"given": 60, "computed": 54, "shared": 6, "generated": 9}
    assert (counters["prompt_tokens"], counters["output_tokens"]) == (60, 9)
    rows = list(zip(raw["kind"], raw["seconds"], raw["tokens"], strict=True))
    assert sum(tokens for kind, _, tokens in rows if kind == "e2e") == counters["tokens"]["generated"]
    whole = sum(seconds for kind, seconds, _ in rows if kind == "e2e")
    assert whole == pytest.approx(sum(seconds for kind, seconds, _ in rows if kind in ("ttft", "itl")), rel=WITHIN)
    assert counters["latency"]["ttft"]["p50_s"] == pytest.approx(0.25, rel=WITHIN)
    assert counters["latency"]["itl"]["mean_s"] == pytest.approx(0.05, rel=WITHIN)
    assert "tokens_per_kwh" not in counters["energy"], "a server's energy is not this machine's"
