"""Very many requests are planned and answered in blocks, with the same answers."""

from __future__ import annotations

import pytest

from evalkit.backends.opening import open_backend
from evalkit.contract.types import Generate, Request, Score
from evalkit.engine import answer
from evalkit.spec.models import EngineSpec, ModelSpec
from evalkit.store import ResponseCache

REQUESTS: list[Request] = [
    *(Score(f"Question {n % 30}:", f" {n % 7}") for n in range(40)),
    *(Generate(f"Question {n % 30}:", ("\n",), 8) for n in range(40)),
]


def backend():
    return open_backend(ModelSpec(name="mock", backend="mock"), EngineSpec())


@pytest.mark.parametrize("at_once", [1, 7, 79, 80])
def test_blocks_change_no_answer(tmp_path, monkeypatch, at_once):
    expected = answer(backend(), REQUESTS, None, EngineSpec())
    monkeypatch.setattr("evalkit.engine.AT_ONCE", at_once)
    assert list(answer(backend(), REQUESTS, None, EngineSpec())) == expected
    with ResponseCache(tmp_path / "cache") as book:
        assert list(answer(backend(), REQUESTS[:30], book, EngineSpec())) == expected[:30]
        model = backend()
        assert list(answer(model, REQUESTS, book, EngineSpec())) == expected
    # What an earlier block has answered is not asked again in a later one.
    assert model.rows_computed == len(set(REQUESTS)) - len(set(REQUESTS[:30]))
