"""The first Ctrl-C: the pass at work is finished and all its answers are kept, however long keeping them takes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import numpy as np
import pytest
import tiny_models as tiny

from evalkit.contract.types import Generate, Request, Response, Score
from evalkit.engine import answer
from evalkit.perf.counters import CountingProgress
from evalkit.runner.interruption import QUIET_SECONDS, Interrupted, Stop, Stoppable
from evalkit.runner.progress import Silent
from evalkit.spec.models import EngineSpec


class Book:
    """A journal on a slow disk: between two answers of a pass more time goes by than tells batches apart. The first
    answer it takes is the moment of the first Ctrl-C.
    """

    def __init__(self, stop: Stop, lag: float) -> None:
        self._stop = stop
        self._lag = lag
        self.kept: dict[str, Response] = {}

    def get(self, keys: Iterable[str]) -> Mapping[str, Response]:
        return {key: self.kept[key] for key in keys if key in self.kept}

    def put(self, key: str, response: Response) -> None:
        self.kept[key] = response
        self._stop.set()
        time.sleep(self._lag)


class Passes:
    """A Progress that counts what was answered in each pass."""

    def __init__(self) -> None:
        self.answered = [0]

    def begin(self, total: int, reused: int, tokens: int | None) -> None: ...

    def advance(self, requests: int, tokens: int = 0) -> None:
        self.answered[-1] += requests

    def end(self) -> None: ...

    def by_passes(self):
        return lambda: self.answered.append(0)


def choices(groups: int, members: int) -> list[Request]:
    draw = np.random.default_rng(5)

    def text(length: int) -> str:
        return "".join(draw.choice(list(tiny.CHARACTERS), length))

    contexts = [text(20) for _ in range(groups)]
    return [Score(context, text(4)) for context in contexts for _ in range(members)]


@pytest.mark.parametrize("share_prefixes", [True, False])
def test_the_first_ctrl_c_keeps_every_answer_of_the_pass(share_prefixes):
    asked = choices(groups=6, members=4)
    engine = EngineSpec(batch_size=4, share_prefixes=share_prefixes)
    backend = tiny.backend(tiny.model("llama"), batch_size=4, share_prefixes=share_prefixes)
    passes = Passes()
    whole = answer(backend, asked, None, engine, passes)
    first = next(count for count in passes.answered if count)
    assert 1 < first < len(asked)

    stop = Stop()
    book = Book(stop, 2 * QUIET_SECONDS)
    with pytest.raises(Interrupted):
        answer(backend, asked, book, engine, CountingProgress(Stoppable(Silent(), stop)))
    assert len(book.kept) == first
    resumed = answer(backend, asked, book, engine)
    for got, want in zip(resumed, whole, strict=True):
        assert got.loglikelihood == pytest.approx(want.loglikelihood, abs=1e-4)


def test_ctrl_c_between_the_steps_of_a_generation():
    lengths = dict(zip("cdefgh", (2, 2, 9, 9, 9, 9), strict=True))
    asked: list[Request] = [Generate(f"ab{letter}", max_tokens=length) for letter, length in lengths.items()]
    stop = Stop()
    book = Book(stop, 0.0)
    backend = tiny.backend(tiny.model("llama"))
    backend.ignore_end = True
    with pytest.raises(Interrupted):
        answer(backend, asked, book, EngineSpec(), CountingProgress(Stoppable(Silent(), stop)))
    assert len(book.kept) == 2
    assert [one.finish for one in answer(backend, asked, book, EngineSpec())] == ["length"] * 6


def test_a_run_that_was_asked_to_stop_before_it_began_computes_nothing():
    stop = Stop()
    stop.set()
    backend = tiny.backend(tiny.model("llama"))
    with pytest.raises(Interrupted):
        answer(backend, choices(1, 2), None, EngineSpec(), Stoppable(Silent(), stop))
    assert backend.meter.computed == 0
