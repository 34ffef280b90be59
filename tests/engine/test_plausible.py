"""A backend's answers are held to what they can be, whoever wrote it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, ModelInfo, Request, Response, Score
from evalkit.engine import answer
from evalkit.engine.plausible import Places, impossible
from evalkit.spec.models import EngineSpec


class Plugin:
    """A backend that answers with what it is given."""

    def __init__(self, *answers: tuple[Any, Response]) -> None:
        self.info = ModelInfo(name="plugin", backend="plugin", fingerprint="0" * 64, max_length=100)
        self._answers = answers

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        yield from self._answers

    def close(self) -> None: ...


ASKED = [Score("a", " b"), Score("a", " c"), Generate("x")]


@pytest.mark.parametrize("index", [-1, 3, 10**30, True, "0", None, 1.0])
def test_a_place_that_was_not_asked_for_ends_the_run(index: Any) -> None:
    backend: Any = Plugin((0, Response(loglikelihood=-1.0)), (index, Response(loglikelihood=-2.0)))
    with pytest.raises(UserError, match="of 3"):
        answer(backend, ASKED, None, EngineSpec())


def test_a_place_is_answered_once() -> None:
    backend: Any = Plugin((1, Response(loglikelihood=-1.0)), (1, Response(loglikelihood=-2.0)))
    with pytest.raises(UserError, match="row 1 twice"):
        answer(backend, ASKED, None, EngineSpec())


@pytest.mark.parametrize("value", [5.0, True, float("nan"), float("inf"), float("-inf"), "x", 0.01])
def test_an_impossible_log_likelihood_is_an_error(value: Any) -> None:
    rest = ((1, Response(loglikelihood=-2.0)), (2, Response(text="t")))
    backend: Any = Plugin((0, Response(loglikelihood=value)), *rest)
    bad, good, text = answer(backend, ASKED, None, EngineSpec())
    assert (bad.status, bad.loglikelihood) == ("error", None)
    assert "log-likelihood" in (bad.error or "")
    assert good.loglikelihood == -2.0
    assert text.text == "t"


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-6, -1e300, -3])
def test_what_can_be_a_log_likelihood_is_one(value: float) -> None:
    assert impossible(value) is None


def test_places_take_whatever_counts_as_an_index() -> None:
    import numpy as np

    places = Places(2)
    assert [places.take(np.int64(1)), places.take(0)] == [1, 0]
