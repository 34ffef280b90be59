"""How many exchanges are under way: the gate by itself, and the client against a server that counts."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from naughty_server import Script, failure, serving, text

from evalkit.backends import opening
from evalkit.backends.openai.concurrency import MOST, START, Concurrency
from evalkit.contract.types import Generate
from evalkit.spec.models import EngineSpec, ModelSpec


def answered(gate: Concurrency, rates: dict[int, float], rounds: int, now: float = 0.0) -> float:
    """Replies of a server that answers so many a second at each limit, all places taken; the time at the end."""

    async def one(now: float) -> None:
        entered = [gate.__aenter__() for _ in range(gate.limit)]
        for place in entered:
            await place
        gate.answered(now)
        for _ in entered:
            await gate.__aexit__(None, None, None)

    for _ in range(rounds):
        now += 1 / rates[gate.limit]
        asyncio.run(one(now))
    return now


def test_the_number_rises_while_answers_come_faster_and_goes_back_where_they_do_not() -> None:
    gate = Concurrency()
    assert gate.limit == START == 32
    answered(gate, {32: 100.0, 64: 190.0, 128: 191.0}, 1500)
    assert gate.limit == 64


def test_the_number_has_an_end() -> None:
    gate = Concurrency()
    answered(gate, {32: 100.0, 64: 200.0, 128: 400.0, 256: 800.0}, 3000)
    assert gate.limit == MOST


def test_refusals_at_once_count_once_and_halve_what_the_user_chose_too() -> None:
    gate = Concurrency(12)
    for now in (5.0, 5.1, 5.9):
        gate.refused(now)
    assert gate.limit == 6
    for now in (7.0, 9.0, 11.0, 13.0):
        gate.refused(now)
    assert gate.limit == 1
    answered(gate, {1: 1000.0}, 3000)
    assert gate.limit == 1  # what was refused is not tried anew


def respond(url: str, count: int, **args: Any) -> tuple[Any, list[Any]]:
    backend: Any = opening.open_backend(
        ModelSpec(name=url, args={"stream": False, "retry_wait": 0, **args}), EngineSpec()
    )
    try:
        return backend, [one for _, one in backend.respond([Generate(f"question {n}", (), 4) for n in range(count)])]
    finally:
        backend.close()


@pytest.mark.parametrize(("chosen", "most"), [({}, 32), ({"num_concurrent": 3}, 3)])
def test_as_many_as_allowed_are_under_way(chosen: dict[str, int], most: int) -> None:
    lock, full, under_way, peak = threading.Lock(), threading.Event(), [0], [0]

    def count(body: dict[str, Any]) -> Any:
        with lock:
            under_way[0] += 1
            peak[0] = max(peak[0], under_way[0])
            if under_way[0] >= most:
                full.set()
        full.wait(10)
        with lock:
            under_way[0] -= 1
        return text("yes")

    before = threading.active_count()
    with serving(Script([count])) as url:
        backend: Any = opening.open_backend(ModelSpec(name=url, args={"stream": False, **chosen}), EngineSpec())
        ours = {thread.name for thread in threading.enumerate() if thread.name.startswith("evalkit-server")}
        answers = list(backend.respond([Generate(f"question {n}", (), 4) for n in range(80)]))
        backend.close()
    assert len(answers) == 80
    assert peak[0] == most
    assert ours == {"evalkit-server"}  # one thread for all of them
    assert threading.active_count() <= before + 1


def test_a_server_that_is_full_gets_fewer_at_once() -> None:
    replies = [failure(429)] * 3 + [text("yes")]
    with serving(Script(replies)) as url:
        backend, answers = respond(url, 40)
    assert [one.status for one in answers] == ["ok"] * 40
    assert backend.info.details["num_concurrent"] < START


def test_taking_no_more_ends_what_is_under_way() -> None:
    with serving(Script([text("yes")])) as url:
        backend: Any = opening.open_backend(ModelSpec(name=url, args={"stream": False}), EngineSpec())
        answers = backend.respond([Generate(f"question {n}", (), 4) for n in range(500)])
        next(answers)
        answers.close()
        backend.close()
        seen = len(list(answers))
    assert seen == 0
