"""Generation settings under --gen_kwargs."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.contract.errors import UserError
from evalkit.contract.types import Sampling
from evalkit.task.definition import Generation
from evalkit.task.generation import settings


def chosen(**asked: Any) -> Any:
    return settings(Generation(until=("\n",), max_tokens=32), asked, "\n\n", 1234)


def test_defaults_are_greedy() -> None:
    assert chosen().sampling == Sampling()
    assert (chosen().until, chosen().max_tokens) == (("\n",), 32)
    assert settings(Generation(), {}, "\n\n", 1).until == ("\n\n",)


def test_overrides() -> None:
    got = chosen(max_gen_toks=5, temperature="0.7", top_p=0.9, top_k=40, until="END", repetition_penalty=1.1, a=1)
    assert (got.until, got.max_tokens) == (("END",), 5)
    assert got.sampling == Sampling(0.7, 0.9, 40, 1234, (("a", 1), ("repetition_penalty", 1.1)))
    assert chosen(max_tokens=6).max_tokens == chosen(max_new_tokens=6).max_tokens == 6


def test_do_sample() -> None:
    assert chosen(do_sample=False, temperature=0.7).sampling.temperature == 0
    assert chosen(do_sample=True).sampling.temperature == 1
    assert chosen(do_sample="true", temperature=0.5).sampling.temperature == 0.5
    with pytest.raises(UserError, match="do_sample is true at temperature 0"):
        chosen(do_sample=True, temperature=0)


@pytest.mark.parametrize("asked", [{"max_gen_toks": 0}, {"temperature": -1}, {"temperature": "warm"}, {"top_p": 2}])
def test_nonsense(asked: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="gen_kwargs"):
        chosen(**asked)


def test_lm_eval_spelling() -> None:
    assert chosen(temperature=0.5, x=1).as_lm_eval() == {
        "until": ["\n"],
        "max_gen_toks": 32,
        "do_sample": True,
        "temperature": 0.5,
        "x": 1,
    }
