"""Counters tell the truth: known delays, known allocations, and parts that sum to the whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from virtual_clock import virtual_time

from evalkit.contract.types import Score
from evalkit.perf import latency
from evalkit.perf.counters import Meter, tokenizer_counters
from evalkit.perf.energy import EnergyMeter, per_kwh
from evalkit.perf.memory import Sampler
from evalkit.runner.evaluate import execute
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.store import RunDir

DELAY = 0.25


def mock_run(output: Path, *tasks: str, **args: object) -> RunSpec:
    model = {"name": "mock", "backend": "mock", "args": args}
    names = [{"name": name} for name in tasks]
    return RunSpec.model_validate({"model": model, "tasks": names, "sample": True, "limit": 2, "output": output})


@pytest.fixture(scope="module")
def delayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a mock that takes DELAY for every token it reads or writes, by a clock that only its sleep moves."""
    path = tmp_path_factory.mktemp("delayed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        virtual_time(patch)
        execute(mock_run(path, "triviaqa", "boolq", delay_s=DELAY))
    return path


def test_known_delays_give_throughput_and_latency(delayed: Path) -> None:
    counters = RunDir.open(delayed).result().counters
    assert counters["throughput"]["prefill_tokens_per_s"] == pytest.approx(1 / DELAY)
    assert counters["throughput"]["decode_tokens_per_s"] == pytest.approx(1 / DELAY)
    raw = RunDir.open(delayed).performance()
    reads = [tokens for kind, tokens in zip(raw["kind"], raw["tokens"], strict=True) if kind == "prefill"]
    firsts = [seconds for kind, seconds in zip(raw["kind"], raw["seconds"], strict=True) if kind == "ttft"]
    generated_prompts = sorted(reads)[: len(firsts)]  # trivia questions are shorter than boolq's passages
    assert sorted(firsts) == pytest.approx([DELAY * tokens for tokens in generated_prompts])
    assert counters["latency"]["per_token"]["p50_s"] == pytest.approx(DELAY)


def test_the_sum_of_the_parts_is_the_whole(delayed: Path) -> None:
    result = RunDir.open(delayed).result()
    counters, raw = result.counters, RunDir.open(delayed).performance()
    parts = counters["tasks"].values()
    for name in ("requests", "prompt_tokens", "output_tokens"):
        assert sum(part[name] for part in parts) == counters[name]
    answering = sum(part["apportioned_seconds"] for part in counters["tasks"].values())
    assert answering == pytest.approx(counters["seconds"]["answer"])
    named = sum(counters["seconds"][part] for part in ("load", "answer", "score"))
    assert named <= counters["seconds"]["total"]
    tokens = counters["tokens"]
    assert tokens["given"] == tokens["computed"] + tokens["shared"]
    by_kind = dict.fromkeys(("prefill", "decode", "ttft"), 0)
    for kind, count in zip(raw["kind"], raw["tokens"], strict=True):
        by_kind[kind] += count
    assert by_kind["prefill"] == tokens["computed"]
    assert by_kind["decode"] + by_kind["ttft"] == tokens["generated"]
    for kind, tokens_of_kind in by_kind.items():
        spent = sum(s for k, s in zip(raw["kind"], raw["seconds"], strict=True) if k == kind)
        if kind != "ttft":
            assert spent == pytest.approx(DELAY * tokens_of_kind)
    assert set(result.counters["energy"]) >= {"cpu", "gpu"}


def test_on_a_real_clock_the_meter_says_what_the_sleeps_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    def sleep(seconds: float, real: Callable[[float], None] = time.sleep) -> None:
        started = time.perf_counter()
        real(seconds)
        slept.append(time.perf_counter() - started)

    monkeypatch.setattr("evalkit.backends.mock.time", SimpleNamespace(sleep=sleep))
    result = execute(mock_run(tmp_path / "run", "triviaqa", delay_s=0.01))
    raw = RunDir.open(tmp_path / "run").performance()
    measured = sum(s for kind, s in zip(raw["kind"], raw["seconds"], strict=True) if kind != "ttft")
    assert measured == pytest.approx(sum(slept), rel=0.05)
    assert result.counters["seconds"]["answer"] >= sum(slept)


def test_answers_from_the_journal_are_not_counted_as_work(tmp_path: Path) -> None:
    spec = mock_run(tmp_path / "run", "boolq")
    execute(spec)
    again = execute(spec).counters
    assert again["requests"] == 4
    assert again["requests_answered"] == 0
    assert "tokens_per_s" not in again.get("throughput", {})


def test_peak_memory_reacts_to_an_allocation() -> None:
    size = 150 * 2**20
    with Sampler(interval=0.005) as sampler:
        before = sampler.counters()["memory"]
        block = bytearray(b"\x01") * size
        after = sampler.counters()["memory"]
        del block
    grown = after["host_peak_bytes"] - before["host_start_bytes"]
    assert 0.95 * size <= grown
    kept = sampler.peak_bytes() - before["host_start_bytes"]
    assert kept >= 0.95 * size, "a peak stays after the memory is free"


def test_what_only_loading_took_is_not_in_the_peak_of_answering() -> None:
    size = 150 * 2**20
    with Sampler(interval=3600) as sampler:
        loading = bytearray(b"\x01") * size
        sampler.look()
        del loading
        sampler.loaded()
        answering = bytearray(b"\x01") * (size // 3)
        sampler.look()
        del answering
        memory = sampler.counters()["memory"]
    start = memory["host_start_bytes"]
    assert 0.95 * size <= memory["host_peak_bytes"] - start
    assert 0.95 * size / 3 <= memory["host_answer_peak_bytes"] - start < 0.7 * size


def test_percentiles_weigh_a_step_by_its_sequences() -> None:
    found = latency.summary([1.0, 2.0], [3, 1])
    assert found is not None
    assert found["n"] == 4
    assert found["mean_s"] == 1.25
    assert found["p50_s"] == 1.0
    assert found["p99_s"] == pytest.approx(1.97)
    assert latency.summary([]) is None


def test_a_meter_that_measured_nothing_claims_nothing() -> None:
    counters = Meter().counters()
    assert counters["throughput"] == {}
    assert counters["latency"] == {}


def test_draft_acceptance() -> None:
    meter = Meter()
    meter.speculated(10, 4)
    meter.speculated(10, 0)
    assert meter.counters()["tokens"]["draft_acceptance"] == 0.2


def rapl(folder: Path, name: str, microjoules: int, span: int = 1000) -> Path:
    package = folder / name
    package.mkdir(parents=True)
    (package / "name").write_text("package-0\n")
    (package / "max_energy_range_uj").write_text(f"{span}\n")
    (package / "energy_uj").write_text(f"{microjoules}\n")
    return package / "energy_uj"


def test_rapl_is_summed_over_packages_and_its_wrap(tmp_path: Path) -> None:
    first, second = rapl(tmp_path, "intel-rapl:0", 900), rapl(tmp_path, "intel-rapl:1", 100)
    meter = EnergyMeter(tmp_path)
    meter.start()
    first.write_text("950")
    meter.sample()
    first.write_text("50")  # wrapped at 1000
    second.write_text("400")
    found = meter.counters()
    meter.close()
    assert found["cpu"] == "measured"
    assert found["cpu_joules"] == pytest.approx((50 + 100 + 300) * 1e-6)
    assert found["joules"] >= found["cpu_joules"]


def test_energy_that_cannot_be_read_is_named_and_never_a_number(tmp_path: Path) -> None:
    meter = EnergyMeter(tmp_path / "none")
    meter.start()
    found = meter.counters()
    meter.close()
    assert found["cpu"].startswith("unavailable: ")
    assert "cpu_joules" not in found
    assert per_kwh(10, {"cpu": "unavailable"}) is None
    assert per_kwh(10, {"joules": 36.0}) == pytest.approx(1e6)


def test_tokens_per_word_and_byte_of_a_byte_tokenizer() -> None:
    from evalkit.backends.mock import load

    backend = load(ModelSpec(name="mock"), EngineSpec())
    found = tokenizer_counters(backend, [[Score("one two", " three")], [Score("é", " x")]])
    assert found == {"tokens_per_word": 17 / 5, "tokens_per_byte": 1.0, "prompts": 2}
