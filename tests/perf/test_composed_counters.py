"""Counters of a model that is several: stages of a cascade, replicas; and of vLLM, which times its own requests."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from virtual_clock import virtual_time

from evalkit.backends import opening
from evalkit.contract.capabilities import Capabilities
from evalkit.contract.types import Generate, Request, Score
from evalkit.engine import answer
from evalkit.perf.meter import Exchange, Meter
from evalkit.runner.evaluate import execute
from evalkit.spec.models import EngineSpec, ModelSpec, RunSpec
from evalkit.store import RunDir

TOKENS = ("given", "computed", "shared", "generated")
DELAY = 0.25


def run(output: Path, model: dict[str, Any], **engine: Any) -> RunSpec:
    tasks = [{"name": "triviaqa"}, {"name": "boolq"}]
    return RunSpec.model_validate(
        {"model": model, "tasks": tasks, "sample": True, "limit": 3, "output": output, "engine": engine}
    )


def kinds(raw: dict[str, list[Any]], column: str) -> dict[str, float]:
    """Sums of a column of the raw durations by kind."""
    found: dict[str, float] = {}
    for kind, value in zip(raw["kind"], raw[column], strict=True):
        found[kind] = found.get(kind, 0) + value
    return found


# -- cascades -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cascade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cascade") / "run"
    stages = [
        {"name": "mock", "label": "cheap", "args": {"delay_s": DELAY}},
        {"name": "mock", "label": "dear", "args": {"delay_s": 4 * DELAY, "seed": 7}},
    ]
    with pytest.MonkeyPatch.context() as patch:
        virtual_time(patch)
        execute(run(path, {"name": "cascade:x,y", "args": {"stages": stages, "threshold": 0.9}}))
    return path


def test_a_cascades_counters_are_the_sum_of_its_stages(cascade: Path) -> None:
    counters, raw = RunDir.open(cascade).result().counters, RunDir.open(cascade).performance()
    stages = counters["by_stage"]
    assert list(stages) == ["1 cheap", "2 dear"]
    for name in TOKENS:
        assert (
            sum(stage["tokens"][name] for stage in stages.values()) == counters["tokens"][name] > 0 or name == "shared"
        )
    for name in ("ttft", "per_token"):
        assert sum(stage["latency"][name]["n"] for stage in stages.values()) == counters["latency"][name]["n"]
    by_kind = kinds(raw, "tokens")
    assert by_kind["prefill"] == counters["tokens"]["computed"]
    assert by_kind["decode"] + by_kind["ttft"] == counters["tokens"]["generated"]


def test_each_stage_has_its_own_speed(cascade: Path) -> None:
    counters = RunDir.open(cascade).result().counters
    cheap, dear = counters["by_stage"].values()
    assert cheap["throughput"]["prefill_tokens_per_s"] == pytest.approx(1 / DELAY)
    assert dear["throughput"]["decode_tokens_per_s"] == pytest.approx(1 / (4 * DELAY))
    seconds = kinds(RunDir.open(cascade).performance(), "seconds")
    assert seconds["prefill"] == pytest.approx(DELAY * (cheap["tokens"]["computed"] + 4 * dear["tokens"]["computed"]))


def test_a_stage_that_counts_nothing_is_named_as_uncounted() -> None:
    from evalkit.backends.cascade import Stage
    from evalkit.contract.types import Response

    stage = Stage(SimpleNamespace(info=None), 0.5, None, responses={0: Response(text="a"), 1: Response(text="b")})  # type: ignore[arg-type]
    assert stage.meter.counters()["tokens"]["uncounted_requests"] == 2


# -- replicas -----------------------------------------------------------------------------------------------------


def requests(count: int) -> list[Request]:
    texts = [f"Question {n}: how much is {n} and one?\nAnswer:" for n in range(count)]
    return [
        *(Score(text, f" {n % 7}") for n, text in enumerate(texts)),
        *(Generate(text, ("\n",), 8) for text in texts),
    ]


def test_two_replicas_add_up_to_their_parts_and_to_one_models_work() -> None:
    asked = requests(24)
    alone = opening.open_backend(ModelSpec(name="mock", args={"delay_s": 0.0002}), EngineSpec())
    answer(alone, asked, None, EngineSpec())
    expected = alone.meter.counters()["tokens"]  # type: ignore[union-attr]
    engine = EngineSpec(replicas=2)
    backend: Any = opening.open_backend(ModelSpec(name="mock", args={"delay_s": 0.0002}), engine)
    try:
        while backend.fleet.ready < 2:
            backend.fleet.wait()
        answer(backend, asked, None, engine)
        whole, parts, raw = backend.meter.counters(), backend.parts(), backend.meter.raw()
    finally:
        backend.close()
    replicas = list(parts["by_replica"].values())
    assert len(replicas) == 2
    assert parts["replicas"] == {"asked": 2, "loaded": 2, "lost": 0}
    for name in TOKENS:
        assert sum(one["tokens"][name] for one in replicas) == whole["tokens"][name]
        assert whole["tokens"][name] >= expected[name], "what both computed, because one was slow, counts twice"
    assert all(one["tokens"]["given"] > 0 for one in replicas)
    assert len(raw["ttft"][0]) == whole["latency"]["ttft"]["n"]
    peaks = [one["memory"]["host_peak_bytes"] for one in replicas]
    assert parts["memory"]["replicas_host_peak_bytes"] == sum(peaks)
    assert parts["memory"]["replica_host_peak_bytes"] == max(peaks)
    assert min(peaks) > 5 * 2**20


def test_counters_of_replicas_are_read_once_after_each_piece_of_work() -> None:
    from evalkit.engine.executors import Replicated
    from evalkit.engine.executors.service import Measured

    calls = []

    def measured() -> dict[int, Measured]:
        calls.append(1)
        return {0: Measured(meter(3), {"device_peak_allocated_bytes": 10}), 1: Measured(None, {"weights_bytes": 4})}

    info = opening.open_backend(ModelSpec(name="mock"), EngineSpec()).info
    fleet: Any = SimpleNamespace(
        opened=SimpleNamespace(info=info, tokens=(0, 1), capabilities=Capabilities()),
        size=2,
        losses=1,
        measured=measured,
        compute=lambda *_: None,
    )
    backend = Replicated(fleet, "local", text=SimpleNamespace())  # type: ignore[arg-type]
    assert backend.meter.given == 3
    assert backend.parts()["memory"] == {
        "device_peak_allocated_bytes": 10,
        "replica_device_peak_allocated_bytes": 10,
        "weights_bytes": 4,
    }
    assert len(calls) == 1
    backend.score([], lambda *_: None)
    assert backend.meter.given == 3
    assert len(calls) == 2


# -- the meter itself ---------------------------------------------------------------------------------------------


def meter(given: int) -> Meter:
    found = Meter()
    found.read(given)
    return found


def test_merged_percentiles_come_from_all_raw_values() -> None:
    one, other = Meter(), Meter()
    for seconds in (0.1, 0.2, 0.3):
        one.first(seconds)
    other.first(0.9)
    one.add(other)
    found = one.counters()["latency"]["ttft"]
    assert (found["n"], found["mean_s"], found["p50_s"]) == (4, pytest.approx(0.375), pytest.approx(0.25))
    assert found["p99_s"] == pytest.approx(0.882)


def test_a_copy_taken_in_the_middle_of_work_is_whole() -> None:
    working, stop = Meter(), threading.Event()

    def work() -> None:
        while not stop.is_set():
            working.prefill(3, 0.1)
            working.step(2, 0.1)
            working.exchange(Exchange(given=5, generated=2, cached=1, seconds=0.3, ttft=0.1, gaps=(0.2,)))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        copies = [pickle.loads(pickle.dumps(working)) for _ in range(50)]
    finally:
        stop.set()
        thread.join()
    for copy in copies:
        assert len(copy.prefill_seconds) == len(copy.prefill_tokens)
        assert len(copy.e2e_seconds) == len(copy.ttft_seconds) == len(copy.itl_seconds)
        assert copy.computed == sum(copy.prefill_tokens) + 4 * len(copy.e2e_seconds)
        copy.read(1)  # a copy is a meter like any other


def test_threads_lose_no_counts() -> None:
    shared = Meter()

    def work() -> None:
        for _ in range(2000):
            shared.exchange(Exchange(given=3, generated=1, seconds=0.1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (shared.given, shared.generated, len(shared.e2e_seconds)) == (24_000, 8_000, 8_000)


# -- vLLM ---------------------------------------------------------------------------------------------------------


def test_vllms_own_times_are_taken_where_it_tells_them() -> None:
    from evalkit.backends.vllm.scoring import exchange_of

    times = SimpleNamespace(arrival_time=1e9, queued_ts=1.0, scheduled_ts=3.0, first_token_ts=3.5, last_token_ts=4.5)
    output = SimpleNamespace(metrics=times, num_cached_tokens=16)
    counted = Meter()
    counted.exchange(exchange_of(output, 40, 11))
    counted.exchange(exchange_of(output, 41, None))
    assert (counted.given, counted.computed, counted.generated) == (81, 49, 11)
    assert (list(counted.ttft_seconds), list(counted.tpot_seconds)) == ([0.5], [0.1])
    assert (list(counted.e2e_seconds), list(counted.score_seconds)) == ([1.5], [1.5])


@pytest.mark.parametrize(
    "metrics",
    [
        None,
        SimpleNamespace(),
        SimpleNamespace(scheduled_ts=0.0, first_token_ts=0.0, last_token_ts=0.0),
        SimpleNamespace(scheduled_ts=5.0, first_token_ts=4.0, last_token_ts=6.0),
        SimpleNamespace(scheduled_ts="soon", first_token_ts=None, last_token_ts=float("nan")),
    ],
)
def test_what_vllm_does_not_tell_is_absent(metrics: Any) -> None:
    from evalkit.backends.vllm.scoring import exchange_of

    counted = Meter()
    counted.exchange(exchange_of(SimpleNamespace(metrics=metrics), 40, 11))
    assert counted.counters() == {"tokens": {"given": 40, "generated": 11}, "throughput": {}, "latency": {}}
