"""`evalkit bench`: how fast a model reads (pp512), writes (tg128) and answers, by llama-bench's and vLLM's terms.

``ppN``: tokens a second of reading a prompt of N tokens. ``tgN``: of writing N tokens after a prompt of one.
``@ dD``: with D tokens read before, whose time is not counted. All prompts are random tokens, seeded.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

from evalkit.backends import opening
from evalkit.bench.estimate import estimate
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, TokenBackend
from evalkit.contract.errors import UserError
from evalkit.contract.optional import HasWeights, IgnoresEnd, capabilities
from evalkit.contract.types import Sampling
from evalkit.perf import energy, latency
from evalkit.perf.clocks import now
from evalkit.perf.counters import Meter, Metered
from evalkit.perf.memory import Sampler
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.spec.naming import model_label
from evalkit.store import environment


@dataclass(frozen=True)
class Plan:
    """What is measured: every prompt length, every number of new tokens, at every batch size and depth."""

    prompts: tuple[int, ...] = (512,)
    generations: tuple[int, ...] = (128,)
    batches: tuple[int, ...] = (1,)
    depths: tuple[int, ...] = (0,)
    warmup: int = 1
    repetitions: int = 5
    seed: int = 1234
    workload: str = ""
    """The name of a fixed workload, whose tests are ``exact`` and take the place of the lists above."""
    exact: tuple[tuple[str, int, int], ...] = ()
    """Kind ("pp", "tg"), tokens and depth of each test."""


WORKLOADS = {
    # A prompt of 256 tokens and 64 new ones, one sequence at a time, as the LLM-Perf leaderboard has it.
    "llm-perf": Plan(workload="llm-perf", exact=(("pp", 256, 0), ("tg", 64, 256))),
}
"""Fixed workloads: results of the same name compare between machines, backends and days."""


@dataclass(frozen=True)
class Measured:
    """One row of the table: ``seconds`` of each repetition, raw; ``tokens`` counted in each."""

    name: str
    kind: str
    tokens: int
    batch: int
    depth: int
    seconds: tuple[float, ...]
    generated: tuple[int, ...] = ()
    """Tokens that came in each repetition: a model may end before it was asked to."""
    proposed: int = 0
    """Guessed tokens over all repetitions, and how many of them the model accepted."""
    accepted: int = 0
    latencies: dict[str, Any] = field(default_factory=dict)
    """"ttft", "itl", "tpot", "e2e": n, mean and percentiles in seconds."""

    @property
    def speeds(self) -> tuple[float, ...]:
        """Tokens a second of each repetition."""
        counts = self.generated or (self.tokens * self.batch,) * len(self.seconds)
        return tuple(count / seconds for count, seconds in zip(counts, self.seconds, strict=True))

    @property
    def mean(self) -> float:
        """Mean of the repetitions' tokens a second."""
        return statistics.fmean(self.speeds)

    @property
    def deviation(self) -> float | None:
        """Their standard deviation (n - 1); None for one repetition."""
        return statistics.stdev(self.speeds) if len(self.speeds) > 1 else None


ASKED = {"name", "label", "revision", "quant", "peft", "chat_template"}


@dataclass(frozen=True)
class Bench:
    """A bench's outcome."""

    model: dict[str, Any]
    load_seconds: float
    tests: tuple[Measured, ...]
    memory: dict[str, Any]
    energy: dict[str, Any]
    utilisation: dict[str, Any]
    prediction: dict[str, Any] | None = None
    workload: str = ""
    asked: dict[str, Any] = field(default_factory=dict)
    """How the model was named and loaded: what tells its rows apart on a board."""
    environment: dict[str, Any] = field(default_factory=dict)
    """Processor, GPUs and start time."""


def bench(spec: ModelSpec, engine: EngineSpec, plan: Plan, note: Callable[[str], None] = lambda _: None) -> Bench:
    """Load the model and measure. Raises UserError for a model whose tokens cannot be fed from here."""
    from dataclasses import asdict

    with Sampler() as sampler:
        started = now()
        backend = opening.open_backend(spec, engine)
        loaded = now() - started
        sampler.loaded()
        if not isinstance(backend, TokenBackend):
            backend.close()
            raise UserError(f"bench: {spec.name} is no model that runs here; for a server use --server URL")
        try:
            tests = []
            for name, run in _tests(backend, plan):
                note(name)
                tests.append(run())
            found = sampler.counters()
            info = asdict(backend.info)
            memory = {**found["memory"], **_sizes(backend)}
        finally:
            backend.close()
    worked = sum(test.tokens * test.batch * len(test.seconds) for test in tests)
    if (kwh := energy.per_kwh(worked, found["energy"])) is not None:
        found["energy"]["tokens_per_kwh"] = kwh
    return Bench(
        info,
        loaded,
        tuple(tests),
        memory,
        found["energy"],
        found["utilisation"],
        _prediction(spec, info, plan),
        plan.workload,
        {"called": model_label(spec), **spec.model_dump(mode="json", include=ASKED)},
        surroundings(),
    )


def surroundings() -> dict[str, Any]:
    """Where and when something is measured: processor, GPUs, start time; nothing of folders or users."""
    found = environment.collect(())
    return {name: found[name] for name in ("start_time", "cpu", "gpus")}


def _sizes(backend: Any) -> dict[str, int]:
    found = {}
    if isinstance(backend, HasWeights):
        found["weights_bytes"] = int(backend.weight_bytes)
    if isinstance(backend, Metered) and backend.meter.predicted_bytes:
        found["predicted_beside_weights_bytes"] = backend.meter.predicted_bytes
    return found


def _prediction(spec: ModelSpec, info: dict[str, Any], plan: Plan) -> dict[str, Any] | None:
    """The estimate for the largest test, where the model has a configuration to estimate from."""
    if info["backend"] != "hf":
        return None

    context = max(depth + length for _, length, depth, _ in _asked(plan))
    return estimate(spec, context, max(plan.batches)).plain()


def _asked(plan: Plan) -> list[tuple[str, int, int, int]]:
    """Kind, tokens, depth and batch of every test, in the table's order."""
    if plan.exact:
        return [(*one, batch) for batch in plan.batches for one in plan.exact]
    sizes = [("pp", length) for length in plan.prompts] + [("tg", length) for length in plan.generations]
    return [(*one, depth, batch) for depth, batch, one in product(plan.depths, plan.batches, sizes)]


def _tests(backend: TokenBackend, plan: Plan) -> list[tuple[str, Callable[[], Measured]]]:
    """Names and measurements in the table's order. Raises UserError where the model's window is too short."""
    found: list[tuple[str, Callable[[], Measured]]] = []
    measures = {"pp": _prefill, "tg": _decode}
    for kind, length, depth, batch in _asked(plan):
        measure = measures[kind]
        name = f"{kind}{length}" + (f" @ d{depth}" if depth else "")
        if depth + length + 1 > backend.info.max_length:
            raise UserError(f"bench: {name} is longer than the model's window of {backend.info.max_length} tokens")
        found.append((f"{name}, batch {batch}", partial(measure, backend, plan, name, length, batch, depth)))
    return found


def _prefill(backend: TokenBackend, plan: Plan, name: str, length: int, batch: int, depth: int) -> Measured:
    """Reading ``length`` tokens; with a depth, the time of reading the depth alone is taken off."""
    seconds = []
    for turn in range(plan.warmup + plan.repetitions):
        rows = _rows(backend, batch, depth + length, plan.seed + turn)
        passed = _scored(backend, rows)
        if depth:
            passed -= _scored(backend, _rows(backend, batch, depth, plan.seed + turn))
        if turn >= plan.warmup:
            seconds.append(max(passed, 1e-9))
    return Measured(name, "pp", length, batch, depth, tuple(seconds))


def _scored(backend: TokenBackend, rows: Sequence[Any]) -> float:
    """Seconds of reading prompts, by asking for the log-probability of one token behind each."""
    started = now()
    backend.score([LoglikelihoodRow(row, len(row) - 1) for row in rows], _raise)
    return now() - started


def _decode(backend: TokenBackend, plan: Plan, name: str, length: int, batch: int, depth: int) -> Measured:
    """Writing ``length`` tokens; with a meter, the time of reading the prompt is not in it."""
    seconds: list[float] = []
    counts: list[int] = []
    ttft: list[float] = []
    itl: list[float] = []
    tpot: list[float] = []
    e2e: list[float] = []
    proposed = accepted = 0
    sampling = _unstopped(backend, length)
    for turn in range(plan.warmup + plan.repetitions):
        prompts = _rows(backend, batch, max(1, depth), plan.seed + turn)
        wanted = [GenerateRow(row[:-1], (), length, sampling, f"{turn}/{i}") for i, row in enumerate(prompts)]
        meter = Meter()
        if isinstance(backend, Metered):
            meter.predicted_bytes = backend.meter.predicted_bytes
            backend.meter = meter
        started = now()
        answers: list[Any] = []
        backend.generate(wanted, partial(_keep, answers))
        passed = now() - started
        if failed := next((answer for answer in answers if isinstance(answer, Exception)), None):
            raise failed
        if turn < plan.warmup:
            continue
        steps = sum(meter.step_seconds)
        made = sum(answer.output_tokens for answer in answers)
        seconds.append(steps or passed)
        counts.append(sum(meter.step_tokens) if steps else made)
        ttft += meter.ttft_seconds
        itl += [s for s, n in zip(meter.step_seconds, meter.step_tokens, strict=True) for _ in range(n)]
        tpot += [steps / len(meter.step_seconds)] * batch if steps else []
        e2e += [passed] * batch
        proposed, accepted = proposed + meter.proposed, accepted + meter.accepted
    found = {"ttft": ttft, "itl": itl, "tpot": tpot, "e2e": e2e}
    latencies = {key: value for key, values in found.items() if (value := latency.summary(values)) is not None}
    return Measured(name, "tg", length, batch, depth, tuple(seconds), tuple(counts), proposed, accepted, latencies)


def _unstopped(backend: Any, length: int) -> Sampling:
    """Settings under which end-of-sequence does not end a row, as in llama-bench; where the backend knows how."""
    can = capabilities(backend)
    if not can.ignores_end or not isinstance(backend, IgnoresEnd):
        return Sampling()
    backend.ignore_end = True
    return Sampling() if can.shares_prefixes else Sampling(extra=(("min_new_tokens", length),))


def _rows(backend: TokenBackend, batch: int, length: int, seed: int) -> list[Any]:
    """``batch`` rows of ``length`` + 1 tokens drawn from a text's own vocabulary, different in their first token."""
    import numpy as np

    words = backend.encode(["The quick brown fox jumps over the lazy dog; 0123456789 times, and again and again."])[0]
    draw = np.random.default_rng(seed)
    return [draw.choice(np.array(words, dtype=np.int32), length + 1) for _ in range(batch)]


def _keep(answers: list[Any], _: int, answer: Any) -> None:
    answers.append(answer)


def _raise(_: int, answer: Any) -> None:
    if isinstance(answer, Exception):
        raise answer
