"""What a backend reports while it works, and the counters of a run made of it.

A `Meter` takes one short call a forward pass or decode step (about a microsecond), so it is always on. Backends hold
one as their attribute ``meter``; the runner reads it after answering.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from evalkit.engine.interface import Progress
from evalkit.perf import energy, latency
from evalkit.types import Generate, Request, Response, Rolling, Score

TOKENIZER_SAMPLE_BYTES = 1 << 17
"""Bytes of prompts that are encoded once more for tokens a word and a byte."""


class Meter:
    """Tokens and durations of one model's work. Durations are in seconds, read after the device has synchronised."""

    def __init__(self) -> None:
        self.given = 0
        """Tokens handed over to be read, shared or not."""
        self.computed = 0
        """Tokens that the model read: a prefix shared by rows counts once."""
        self.generated = 0
        """Tokens chosen, end-of-sequence included."""
        self.proposed = 0
        """Tokens that a draft or the prompt proposed."""
        self.accepted = 0
        self.predicted_bytes = 0
        """The largest memory that was planned for, weights left out."""
        self.prefill_seconds = array("d")
        self.prefill_tokens = array("q")
        self.step_seconds = array("d")
        self.step_tokens = array("q")
        self.ttft_seconds = array("d")

    def read(self, given: int) -> None:
        """Rows of ``given`` tokens together are about to be read."""
        self.given += given

    def prefill(self, tokens: int, seconds: float) -> None:
        """One forward pass over ``tokens`` tokens of prompts or scored texts."""
        self.computed += tokens
        self.prefill_tokens.append(tokens)
        self.prefill_seconds.append(seconds)

    def first(self, seconds: float, sequences: int = 1) -> None:
        """The first token of ``sequences`` sequences, ``seconds`` after their prompts' turn began."""
        self.generated += sequences
        self.ttft_seconds.extend([seconds] * sequences)

    def step(self, tokens: int, seconds: float) -> None:
        """One decode step that chose ``tokens`` tokens: one for each live sequence."""
        self.generated += tokens
        self.step_tokens.append(tokens)
        self.step_seconds.append(seconds)

    def speculated(self, proposed: int, accepted: int) -> None:
        """``accepted`` of ``proposed`` tokens were what the model itself chose."""
        self.proposed += proposed
        self.accepted += accepted

    def predict(self, size: int) -> None:
        """A pass was planned to take ``size`` bytes beside the weights."""
        self.predicted_bytes = max(self.predicted_bytes, size)

    def add(self, other: Meter) -> None:
        """Count ``other``'s work too, as of another copy of the model."""
        for name in ("given", "computed", "generated", "proposed", "accepted"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.predict(other.predicted_bytes)
        for name in ("prefill_seconds", "prefill_tokens", "step_seconds", "step_tokens", "ttft_seconds"):
            getattr(self, name).extend(getattr(other, name))

    def raw(self) -> dict[str, list[Any]]:
        """Every duration as it was read, in columns: kind ("prefill", "decode", "ttft"), seconds, tokens."""
        parts = [
            ("prefill", self.prefill_seconds, self.prefill_tokens),
            ("decode", self.step_seconds, self.step_tokens),
            ("ttft", self.ttft_seconds, [1] * len(self.ttft_seconds)),
        ]
        return {
            "kind": [kind for kind, seconds, _ in parts for _ in seconds],
            "seconds": [value for _, seconds, _ in parts for value in seconds],
            "tokens": [value for _, _, tokens in parts for value in tokens],
        }

    def counters(self) -> dict[str, Any]:
        """ "tokens", "throughput" and "latency"; what was not measured is absent, never zero."""
        tokens: dict[str, Any] = {
            "given": self.given,
            "computed": self.computed,
            "shared": self.given - self.computed,
            "generated": self.generated,
        }
        if self.proposed:
            tokens |= {
                "draft_proposed": self.proposed,
                "draft_accepted": self.accepted,
                "draft_acceptance": self.accepted / self.proposed,
            }
        throughput: dict[str, float] = {}
        if prefill := sum(self.prefill_seconds):
            throughput["prefill_tokens_per_s"] = sum(self.prefill_tokens) / prefill
        if decode := sum(self.step_seconds):
            throughput["decode_tokens_per_s"] = sum(self.step_tokens) / decode
        found = {
            "ttft": latency.summary(self.ttft_seconds),
            "per_token": latency.summary(self.step_seconds, self.step_tokens),
        }
        return {
            "tokens": tokens,
            "throughput": throughput,
            "latency": {name: value for name, value in found.items() if value is not None},
        }


@runtime_checkable
class Metered(Protocol):
    """A backend that reports to a meter."""

    meter: Meter


class CountingProgress:
    """A `Progress` that also counts what was answered now, rather than taken from an answer book."""

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
    read, written = sum(r.prompt_tokens for r in responses), sum(r.output_tokens for r in responses)
    found: dict[str, Any] = {
        "tasks": _by_task(asked, responses, seconds.get("answer", 0.0)),
        "seconds": dict(seconds),
        "requests": len(responses),
        "requests_answered": answered.requests,
        "prompt_tokens": read,
        "output_tokens": written,
        "tokens": own["tokens"] if meter.given or meter.generated else {},
        "throughput": {**own["throughput"], **_overall(meter, answered, seconds.get("answer", 0.0))},
        "latency": own["latency"],
        "memory": dict(sampled.get("memory", {})),
        "utilisation": dict(sampled.get("utilisation", {})),
        "energy": dict(sampled.get("energy", {})),
    }
    if meter.predicted_bytes:
        found["memory"]["predicted_beside_weights_bytes"] = meter.predicted_bytes
        if size := getattr(backend, "weight_bytes", None):
            found["memory"]["weights_bytes"] = size
    worked = meter.given + meter.generated or answered.tokens
    if (kwh := energy.per_kwh(worked, found["energy"])) is not None:
        found["energy"]["tokens_per_kwh"] = kwh
    if callable(getattr(backend, "encode", None)):
        found["tokenizer"] = tokenizer_counters(backend, [r for requests in asked.values() for r in requests])
    return {name: value for name, value in found.items() if value not in ({}, None)}


def _overall(meter: Meter, answered: CountingProgress, seconds: float) -> dict[str, float]:
    """Of all answering, encoding and waiting included; a shared token counts for every row that has it."""
    worked = meter.given + meter.generated or answered.tokens
    if not seconds or not answered.requests:
        return {}
    return {"tokens_per_s": worked / seconds, "requests_per_s": answered.requests / seconds}


def _by_task(
    asked: Mapping[str, Sequence[Request]], responses: Sequence[Response], seconds: float
) -> dict[str, dict[str, Any]]:
    """Each task's requests and tokens, and its part of the answering time in proportion to its tokens: passes mix
    tasks, so that no clock could tell them apart.
    """
    ahead = iter(responses)
    rows = {}
    for task, requests in asked.items():
        own = [response for _, response in zip(requests, ahead, strict=False)]
        rows[task] = (len(own), sum(r.prompt_tokens for r in own), sum(r.output_tokens for r in own))
    whole = sum(read + written for _, read, written in rows.values())
    return {
        task: {
            "requests": count,
            "prompt_tokens": read,
            "output_tokens": written,
            **({"apportioned_seconds": seconds * (read + written) / whole} if whole else {}),
        }
        for task, (count, read, written) in rows.items()
    }


def tokenizer_counters(backend: Any, requests: Sequence[Request]) -> dict[str, Any] | None:
    """Tokens a word (split at white space) and a UTF-8 byte over evenly spaced prompts, special tokens left out."""
    texts: list[str] = []
    size = 0
    stride = max(1, len(requests) // 256)
    for request in requests[::stride]:
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


def _text(request: Request) -> str:
    if isinstance(request, Score):
        return request.context + request.continuation
    if isinstance(request, Generate):
        return request.context
    assert isinstance(request, Rolling)
    return request.text
