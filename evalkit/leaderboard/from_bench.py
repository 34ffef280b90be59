"""What `evalkit bench --format json` wrote, of a model here or of a server, as an entry whose counters a board shows.

Counters of a model: bench.TEST.tokens_per_s, bench.TEST.ttft.p50_s and the like, with TEST as in "tg64_d256_b1"
(writing 64 tokens behind 256, one sequence at a time), bench.load_s, bench.memory..., bench.energy... Those of a
server: server.ttft, server.tpot, server.itl and server.e2e with their percentiles, server.tokens_per_s (of one request:
1 over the median time of a token), server.output_tokens_per_s (of all), and the rest of its rates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evalkit.contract.errors import UserError
from evalkit.leaderboard.entry import Entry, Model, hardware, model_of
from evalkit.perf import formats
from evalkit.spec.strict import mistake
from evalkit.text.numbers import flatten


class _Read(BaseModel):
    """What is read of a file; the rest of it is left alone."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Test(_Read):
    kind: Literal["pp", "tg"]
    tokens: int = Field(ge=1)
    batch: int = Field(ge=1)
    depth: int = Field(ge=0)
    mean: float = Field(gt=0)
    latencies: dict[str, dict[str, Any]] = {}


class _Bench(_Read):
    model: dict[str, Any]
    load_seconds: float
    tests: list[_Test]
    memory: dict[str, Any]
    energy: dict[str, Any]
    asked: dict[str, Any]
    environment: dict[str, Any]


class _ServerBench(_Read):
    url: str
    model: str = Field(min_length=1, max_length=400)
    latencies: dict[str, dict[str, Any]]
    rates: dict[str, float]
    start_time: str


def is_bench(text: str) -> bool:
    """Whether a JSON file says that it is a bench's."""
    return f'"format": "{formats.BENCH}"' in text[:400] or f'"format": "{formats.SERVER_BENCH}"' in text[:400]


def bench_entry(text: str, where: str) -> Entry:
    """The entry of a bench's file. UserError naming the first thing that is wrong, and for a file of an older version,
    which does not say how its model was loaded.
    """
    try:
        server = f'"{formats.SERVER_BENCH}"' in text[:400]
        return _of_server(_ServerBench.model_validate_json(text)) if server else _of(_Bench.model_validate_json(text))
    except ValidationError as error:
        found = mistake(error)
        raise UserError(
            f"{where}: no bench that a board can show ({found.where or 'file'}: {found.message}): measure again with "
            "evalkit bench --format json --output FILE"
        ) from None


def _of(done: _Bench) -> Entry:
    counters = {"bench.load_s": done.load_seconds, **_counters("bench.memory", done.memory)}
    counters |= _counters("bench.energy", done.energy)
    for test in done.tests:
        name = f"bench.{test.kind}{test.tokens}{f'_d{test.depth}' if test.depth else ''}_b{test.batch}"
        counters |= {f"{name}.tokens_per_s": test.mean, **_counters(name, test.latencies)}
    return Entry(
        date=_date(done.environment),
        model=model_of(done.asked, done.model, called=str(done.asked.get("called") or "")),
        hardware=hardware(done.environment, str(done.model.get("device") or ""))[:400],
        results={},
        counters=counters,
    )


def _of_server(done: _ServerBench) -> Entry:
    counters = {f"server.{name}": value for name, value in done.rates.items()} | _counters("server", done.latencies)
    if middle := counters.get("server.tpot.p50_s"):
        counters["server.tokens_per_s"] = 1 / middle
    address = urlsplit(done.url)
    provider = f"{address.hostname or 'unknown'}{f':{address.port}' if address.port else ''}"
    return Entry(
        date=done.start_time[:19],
        model=Model(name=done.model, backend=provider[:400]),
        results={},
        counters=counters,
    )


def _date(environment: Mapping[str, Any]) -> str:
    return str(environment.get("start_time") or "")[:19]


def _counters(prefix: str, found: Mapping[str, Any]) -> dict[str, float]:
    return dict(_numbers(prefix, found))


def _numbers(prefix: str, found: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for path, value in flatten(found):
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300:
            yield ".".join((prefix, *map(str, path))), float(value)
