"""Request identity: stable, exact, and different whenever anything that can change an answer differs."""

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Message, Rolling, Sampling, Score
from evalkit.store.identity import canonical, digest, generate_key, is_greedy, rolling_key, score_key, text_key

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_canonical_bytes():
    assert canonical({"b": 1, "a": ["ü", None, 1.5]}) == '{"a":["ü",null,1.5],"b":1}'.encode()
    assert digest("x") == hashlib.sha256(b'"x"').hexdigest()
    assert canonical("\ud800") == b'"\\ud800"'
    assert canonical("\ud800") != canonical("\\ud800")
    assert canonical({"n": np.float64(0.5), "t": (1, 2)}) == b'{"n":0.5,"t":[1,2]}'


@pytest.mark.parametrize("bad", [float("nan"), [float("inf")], {"a": float("-inf")}])
def test_canonical_refuses_what_json_has_not(bad):
    with pytest.raises(UserError, match="NaN or infinity"):
        canonical(bad)


@given(json_values)
@settings(max_examples=60, deadline=None)
def test_canonical_ignores_key_order(value):
    def reversed_keys(v):
        if isinstance(v, dict):
            return {k: reversed_keys(v[k]) for k in reversed(list(v))}
        return [reversed_keys(i) for i in v] if isinstance(v, list) else v

    assert canonical(value) == canonical(reversed_keys(value))


def test_score_key_documented_bytes():
    head = b'evalkit/score/1\n{"fingerprint":"m","n":3,"start":2}\n'
    assert score_key("m", [1, 2, 3], 2) == hashlib.sha256(head + struct.pack("<3i", 1, 2, 3)).hexdigest()
    assert score_key("m", np.array([1, 2, 3], dtype=np.int32), 2) == score_key("m", (1, 2, 3), 2)
    assert score_key("m", np.array([1, 2, 3], dtype=np.int64), 2) == score_key("m", (1, 2, 3), 2)


@given(
    st.tuples(st.text(max_size=4), st.lists(st.integers(0, 300), min_size=2, max_size=6), st.integers(1, 5)),
    st.tuples(st.text(max_size=4), st.lists(st.integers(0, 300), min_size=2, max_size=6), st.integers(1, 5)),
)
@settings(max_examples=100, deadline=None)
def test_score_keys_meet_only_for_equal_questions(one, other):
    assert (score_key(*one) == score_key(*other)) == (one == other)


SAMPLED = Sampling(temperature=0.7, top_p=0.9, top_k=5, seed=7, extra=(("penalty", 1.1),))
BASE = {
    "fingerprint": "model",
    "tokens_or_text": (5, 6, 7),
    "until": ("\n", "Q:"),
    "max_tokens": 16,
    "sampling": SAMPLED,
    "repeat": 0,
}


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("fingerprint", "model-with-adapter"),
        ("tokens_or_text", (5, 6, 8)),
        ("tokens_or_text", (5, 6)),
        ("tokens_or_text", "\x05\x00\x00\x00\x06\x00\x00\x00\x07\x00\x00\x00"),
        ("until", ("\n",)),
        ("until", ("\nQ:",)),
        ("max_tokens", 17),
        ("repeat", 1),
        ("sampling", replace(SAMPLED, temperature=0.8)),
        ("sampling", replace(SAMPLED, top_p=0.95)),
        ("sampling", replace(SAMPLED, top_k=6)),
        ("sampling", replace(SAMPLED, seed=8)),
        ("sampling", replace(SAMPLED, extra=(("penalty", 1.2),))),
        ("sampling", Sampling()),
    ],
)
def test_each_part_of_a_generation_counts(part, value):
    assert generate_key(**BASE) != generate_key(**{**BASE, part: value})


def test_greedy_does_not_depend_on_chance_settings():
    greedy = {**BASE, "sampling": Sampling(seed=1)}
    assert generate_key(**greedy) == generate_key(**{**greedy, "sampling": Sampling(seed=2, top_k=3), "repeat": 4})
    assert generate_key(**greedy) != generate_key(**{**greedy, "sampling": Sampling(extra=(("num_beams", 2),))})
    assert not is_greedy(Sampling(extra=(("do_sample", True),)))


def test_rolling_and_kinds():
    assert len({rolling_key("m", (1, 2), 8, 0), rolling_key("m", (1, 2), 9, 0), rolling_key("m", (1, 2), 8, 1)}) == 3
    assert rolling_key("m", (1, 2)) != score_key("m", (1, 2), 1)


def test_text_keys_of_all_requests_differ():
    turn = (Message("user", "hi"),)
    requests = [
        Score("a", "b"),
        Score("ab", ""),
        Score("a", "c"),
        Score("a", "b", messages=turn),
        Score("a", "b", messages=(Message("system", "hi"),)),
        Generate("a"),
        Generate("a", until=("b",)),
        Generate("a", max_tokens=7),
        Generate("a", sampling=SAMPLED),
        Generate("a", sampling=SAMPLED, repeat=1),
        Generate("a", messages=turn),
        Rolling("a"),
    ]
    keys = {text_key(model, request) for model in ("m", "n") for request in requests}
    assert len(keys) == 2 * len(requests)
    assert text_key("m", Generate("a", repeat=1)) == text_key("m", Generate("a"))
