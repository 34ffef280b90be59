"""`evalkit bench --server URL`: latency and goodput of an OpenAI-compatible server under Poisson arrivals.

Requests arrive at ``rate`` a second (exponential gaps, seeded; infinite: all at once), at most ``concurrency`` at a
time; waiting for a free place counts as latency. Tokens are the pieces that the server streams, or what it says it
made. Goodput is the rate of requests that met every target (DistServe, arXiv 2401.09670).
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from evalkit.backends.openai.replies import counted
from evalkit.backends.openai.settings import settings
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.perf import formats, latency
from evalkit.perf.clocks import now
from evalkit.spec.models import ModelSpec
from evalkit.text.reading import parse_json

WORDS = ("river", "stone", "cloud", "maple", "copper", "lantern", "harbor", "velvet", "thunder", "orchard", "silver")


@dataclass(frozen=True)
class Load:
    """What is sent. Targets are in seconds; None: no target."""

    requests: int = 32
    rate: float = float("inf")
    concurrency: int = 8
    prompt_words: int = 128
    max_tokens: int = 128
    seed: int = 1234
    ttft_target: float | None = None
    tpot_target: float | None = None
    e2e_target: float | None = None
    timeout: float = 600.0
    key_variable: str = "OPENAI_API_KEY"


@dataclass(frozen=True)
class Reply:
    """One request: seconds from its arrival to each piece of text, and its end; ``error`` where it failed."""

    pieces: tuple[float, ...] = ()
    end: float = 0.0
    tokens: int = 0
    error: str | None = None

    @property
    def ttft(self) -> float:
        """Seconds to the first piece."""
        return self.pieces[0]

    @property
    def tpot(self) -> float | None:
        """Mean seconds of a token behind the first; None for one token."""
        return (self.pieces[-1] - self.pieces[0]) / (self.tokens - 1) if self.tokens > 1 else None

    def meets(self, load: Load) -> bool:
        """Whether every target that was set was met."""
        measured = ((self.ttft, load.ttft_target), (self.tpot, load.tpot_target), (self.end, load.e2e_target))
        return all(target is None or value is None or value <= target for value, target in measured)


@dataclass(frozen=True)
class ServerBench:
    """The outcome; latencies by name with raw values in ``replies``."""

    url: str
    model: str
    load: Load
    seconds: float
    replies: tuple[Reply, ...]
    latencies: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, float] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    start_time: str = ""
    """ISO 8601, UTC."""

    def as_json(self) -> str:
        """Everything, raw values included."""
        return json.dumps({"format": formats.SERVER_BENCH, **asdict(self)}, indent=2)


def bench_server(url: str, model: str | None, load: Load) -> ServerBench:
    """Send the load and measure. Raises UserError where the server does not answer at all."""
    try:
        import httpx2  # noqa: F401
    except ImportError:
        raise MissingExtra("bench --server", "httpx2", "openai") from None

    base = settings(ModelSpec(name=url)).base_url
    started = datetime.now(UTC).isoformat(timespec="seconds")
    name, seconds, replies = asyncio.run(_send(base, model, load))
    return replace(summarize(base, name, load, seconds, replies), start_time=started)


def summarize(url: str, model: str, load: Load, seconds: float, replies: Sequence[Reply]) -> ServerBench:
    """Percentiles and rates of the replies. Raises UserError where none came."""
    good = [reply for reply in replies if reply.error is None and reply.pieces]
    errors: dict[str, int] = {}
    for reply in replies:
        if reply.error is not None or not reply.pieces:
            reason = reply.error or "an empty reply"
            errors[reason] = errors.get(reason, 0) + 1
    if not good:
        raise UserError(f"bench: {url} answered none of {len(replies)} requests: {next(iter(errors), 'no reason')}")
    gaps = [b - a for reply in good for a, b in zip(reply.pieces, reply.pieces[1:], strict=False)]
    columns = {
        "ttft": [reply.ttft for reply in good],
        "tpot": [reply.tpot for reply in good if reply.tpot is not None],
        "itl": gaps,
        "e2e": [reply.end for reply in good],
    }
    met = sum(reply.meets(load) for reply in good)
    rates = {
        "requests_per_s": len(good) / seconds,
        "output_tokens_per_s": sum(reply.tokens for reply in good) / seconds,
        "goodput_requests_per_s": met / seconds,
        "share_within_targets": met / len(replies),
    }
    found = {key: value for key, values in columns.items() if (value := latency.summary(values)) is not None}
    return ServerBench(url, model, load, seconds, tuple(replies), found, rates, errors)


async def _send(base: str, model: str | None, load: Load) -> tuple[str, float, list[Reply]]:
    import random

    import httpx2

    key = os.environ.get(load.key_variable)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    draw = random.Random(load.seed)
    places = asyncio.Semaphore(load.concurrency)
    async with httpx2.AsyncClient(timeout=load.timeout, headers=headers) as client:
        name = model or await _only_model(client, base)
        started = now()
        sent = []
        for number in range(load.requests):
            prompt = f"{number} " + " ".join(draw.choices(WORDS, k=load.prompt_words))
            sent.append(asyncio.create_task(_one(client, base, name, prompt, load, places)))
            if load.rate != float("inf"):
                await asyncio.sleep(draw.expovariate(load.rate))
        replies = await asyncio.gather(*sent)
        return name, now() - started, list(replies)


async def _only_model(client: Any, base: str) -> str:
    """The first model that the server lists. Raises UserError where it does not answer."""
    try:
        reply = await client.get(f"{base}/models")
        return str(reply.raise_for_status().json()["data"][0]["id"])
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"bench --server {base}: does not list its models ({reason}): check the URL") from None


async def _one(client: Any, base: str, model: str, prompt: str, load: Load, places: asyncio.Semaphore) -> Reply:
    arrived = now()
    body = {
        "model": model, "prompt": prompt, "max_tokens": load.max_tokens, "temperature": 0, "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip
    pieces: list[float] = []
    said: int | None = None
    async with places:
        try:
            whole = asyncio.timeout(load.timeout)  # the client's own limit begins anew with every byte
            async with whole, client.stream("POST", f"{base}/completions", json=body) as reply:
                if reply.status_code != 200:
                    return Reply(error=f"HTTP {reply.status_code}")
                async for line in reply.aiter_lines():
                    text, usage = _event(line)
                    said = usage if usage is not None else said
                    if text:
                        pieces.append(now() - arrived)
        except Exception as error:
            return Reply(error=type(error).__name__)
    return Reply(tuple(pieces), now() - arrived, said if said is not None else len(pieces))


def _event(line: str) -> tuple[str, int | None]:
    """Text and number of output tokens in one line of the stream; what cannot be read is neither."""
    if not line.startswith("data:") or line.strip() == "data: [DONE]":
        return "", None
    try:
        event = parse_json(line[5:])
        choices = event.get("choices") or [{}]
        usage = (event.get("usage") or {}).get("completion_tokens")
        return str(choices[0].get("text") or ""), counted(usage)
    except (ValueError, AttributeError, TypeError, IndexError):
        return "", None
