"""The counters of a run: what its backend's meter says, with the clock, the memory and the energy of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from evalkit.contract.backend import TokenBackend, no_op
from evalkit.contract.optional import HasWeights
from evalkit.contract.store import Progress, ShowsCost, StopsWork
from evalkit.contract.types import Request, Response, Rolling, Score, Usage
from evalkit.perf import energy
from evalkit.perf.meter import Composed, Exchange, Meter, Metered

__all__ = [
    "Composed",
    "CountingProgress",
    "Exchange",
    "Meter",
    "Metered",
    "run_counters",
    "tokenizer_counters",
]

SERVER = "server"
"""The device of a model that runs behind a server: this machine's energy is not its energy."""

TOKENIZER_SAMPLE_BYTES = 1 << 17
"""Bytes of prompts that are encoded once more for tokens a word and a byte."""


class CountingProgress:
    """A `Progress` that also counts what was answered now, rather than taken from an response store."""

    def __init__(self, inner: Progress) -> None:
        self._inner = inner
        self.requests = 0
        self.tokens = 0

    def begin(self, total: int, reused: int, tokens: int | None) -> None:
        self._inner.begin(total, reused, tokens)

    def advance(self, requests: int, tokens: int = 0) -> None:
        self.requests += requests
        self.tokens += tokens
        self._inner.advance(requests, tokens)

    def paid(self, usd: float) -> None:
        """See `ShowsCost`."""
        if isinstance(self._inner, ShowsCost):
            self._inner.paid(usd)

    def by_passes(self) -> Callable[[], None]:
        """See `Progress`."""
        return self._inner.by_passes() if isinstance(self._inner, StopsWork) else no_op

    def end(self) -> None:
        self._inner.end()


def run_counters(
    backend: Any,
    asked: Mapping[str, Sequence[Request]],
    responses: Sequence[Response],
    answered: CountingProgress,
    seconds: Mapping[str, float],
    sampled: Mapping[str, Any],
) -> dict[str, Any]:
    """RunResult.counters. ``asked``: each task's requests, in the order of ``responses``; ``sampled``: what
    `evalkit.perf.memory.Sampler` saw; ``seconds``: of the run's parts ("load", "answer", ...).
    """
    meter = backend.meter if isinstance(backend, Metered) else Meter()
    own = meter.counters()
    by_task, cost = _by_task(asked, responses, seconds.get("answer", 0.0))
    found: dict[str, Any] = {
        "tasks": by_task,
        "cost": cost,
        "seconds": dict(seconds),
        "requests": len(responses),
        "requests_answered": answered.requests,
        "prompt_tokens": sum(one["prompt_tokens"] for one in by_task.values()),
        "output_tokens": sum(one["output_tokens"] for one in by_task.values()),
        "tokens": own["tokens"] if meter.given or meter.generated or meter.uncounted else {},
        "throughput": {**own["throughput"], **_overall(meter, answered, seconds.get("answer", 0.0))},
        "latency": own["latency"],
        "memory": dict(sampled.get("memory", {})),
        "utilisation": dict(sampled.get("utilisation", {})),
        "energy": dict(sampled.get("energy", {})),
    }
    if meter.predicted_bytes:
        found["memory"]["predicted_beside_weights_bytes"] = meter.predicted_bytes
    if isinstance(backend, HasWeights) and backend.weight_bytes:
        found["memory"]["weights_bytes"] = backend.weight_bytes
    if isinstance(backend, Composed):
        for name, values in backend.parts().items():
            found[name] = {**found.get(name, {}), **values}
    worked = meter.given + meter.generated or answered.tokens
    if SERVER not in backend.info.device and (kwh := energy.per_kwh(worked, found["energy"])) is not None:
        found["energy"]["tokens_per_kwh"] = kwh
    if isinstance(backend, TokenBackend):
        found["tokenizer"] = tokenizer_counters(backend, tuple(asked.values()))
    return {name: value for name, value in found.items() if value not in ({}, None)}


def _overall(meter: Meter, answered: CountingProgress, seconds: float) -> dict[str, float]:
    """Of all answering, encoding and waiting included; a shared token counts for every row that has it."""
    worked = meter.given + meter.generated or answered.tokens
    if not seconds or not answered.requests:
        return {}
    return {"tokens_per_s": worked / seconds, "requests_per_s": answered.requests / seconds}


def _by_task(
    asked: Mapping[str, Sequence[Request]], responses: Sequence[Response], seconds: float
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Each task's requests and tokens, its part of the answering time in proportion to its tokens (passes mix tasks, so
    that no clock could tell them apart) and, of a paid model, its cost; and the cost of all tasks.
    """
    ahead = iter(responses)
    rows = {}
    bills: dict[str, Bill] = {}
    paid: set[int] = set()
    for task, requests in asked.items():
        count = read = written = 0
        bills[task] = Bill()
        for place, one in enumerate(islice(ahead, len(requests))):
            count, read, written = count + 1, read + one.prompt_tokens, written + one.output_tokens
            # What equal requests share is one answer, and was paid once: by the first task that asked.
            if one.usage is not None and (asked_for := hash(repr(requests[place]))) not in paid:
                paid.add(asked_for)
                bills[task].add(one.usage)
        rows[task] = count, read, written
    whole = sum(read + written for _, read, written in rows.values())
    by_task = {
        task: {
            "requests": count,
            "prompt_tokens": read,
            "output_tokens": written,
            **({"apportioned_seconds": seconds * (read + written) / whole} if whole else {}),
            **bills[task].plain("cost_usd"),
        }
        for task, (count, read, written) in rows.items()
    }
    together = Bill()
    for bill in bills.values():
        together.add_all(bill)
    return by_task, together.plain("usd")


class Bill:
    """What answers cost, added up."""

    def __init__(self) -> None:
        self._usd = 0.0
        self._answers = self._unpriced = self._cached = self._reasoning = 0

    def add(self, usage: Usage) -> None:
        """One answer more."""
        self._answers += 1
        self._unpriced += usage.cost is None
        self._usd += usage.cost or 0.0
        self._cached += usage.cached_tokens
        self._reasoning += usage.reasoning_tokens

    def add_all(self, other: Bill) -> None:
        """All answers of another bill."""
        self._answers += other._answers
        self._unpriced += other._unpriced
        self._usd += other._usd
        self._cached += other._cached
        self._reasoning += other._reasoning

    def plain(self, name: str) -> dict[str, Any]:
        """As the record keeps it, the money under ``name``; empty where nothing was paid by the token."""
        if not self._answers:
            return {}
        priced = {name: self._usd} if self._unpriced < self._answers else {}
        unpriced = {"unpriced": self._unpriced} if self._unpriced else {}
        return {**priced, **unpriced, "cached_tokens": self._cached, "reasoning_tokens": self._reasoning}


def tokenizer_counters(backend: Any, asked: Sequence[Sequence[Request]]) -> dict[str, Any] | None:
    """Tokens a word (split at white space) and a UTF-8 byte over evenly spaced prompts, special tokens left out.
    ``asked``: each task's requests.
    """
    texts: list[str] = []
    size = 0
    for request in _spread(asked):
        text = _text(request)
        texts.append(text)
        size += len(text)
        if size > TOKENIZER_SAMPLE_BYTES:
            break
    words = sum(len(text.split()) for text in texts)
    size = sum(len(text.encode("utf-8", "replace")) for text in texts)
    if not words or not size:
        return None
    tokens = sum(map(len, backend.encode(texts, False)))
    return {"tokens_per_word": tokens / words, "tokens_per_byte": tokens / size, "prompts": len(texts)}


def _spread(asked: Sequence[Sequence[Request]]) -> Iterator[Request]:
    """Every k-th of all requests, some 256."""
    stride = max(1, sum(map(len, asked)) // 256)
    begin = 0
    for requests in asked:
        for place in range(-begin % stride, len(requests), stride):
            yield requests[place]
        begin += len(requests)


def _text(request: Request) -> str:
    if isinstance(request, Score):
        return request.context + request.continuation
    return request.text if isinstance(request, Rolling) else request.context
