"""Long sequences held packed are the sequences that they were made from."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from evalkit.contract.types import (
    Asked,
    Classify,
    Document,
    Generate,
    Image,
    Message,
    Response,
    Rolling,
    SampleResult,
    Sampling,
    Score,
)
from evalkit.store import held
from evalkit.store.packed import BLOCK, Packed

COUNT = 2 * BLOCK + 7
RESPONSES = [
    Response(text="\ud800 é", loglikelihood=-0.1, is_greedy=True, prompt_tokens=3, values=(0.5, -1e-300)),
    Response(status="error", error="no"),
]
REQUESTS: list[tuple[Any, ...]] = [
    (Score("a", " b"), Score("a", " c", (Message("user", "a"),))),
    (Generate("x", ("\n", "."), 5, Sampling(extra=(("top_h", 1),))), Generate("x", repeat=1)),
    (Rolling("whole"),),
    (Classify("a", None, (("no", "0"), ("yes",))), Classify("a", "b")),
]


@pytest.mark.parametrize(
    "odd",
    ["text", 1, 0.1, float("inf"), None, True, {"a": [1, {"b": None}]}, (1, 2), datetime.date(2000, 1, 1), 10**400],
)
def test_what_is_read_is_what_was_written_types_and_all(odd: Any) -> None:
    values = [{"n": number, "odd": odd} for number in range(COUNT)]
    packed = Packed(values)
    assert repr(list(packed)) == repr(values)
    assert (len(packed), packed[BLOCK], packed[-1]) == (COUNT, values[BLOCK], values[-1])
    assert packed[5:COUNT:BLOCK] == values[5:COUNT:BLOCK]
    assert list(packed.after(COUNT - 3)) == values[-3:]
    with pytest.raises(IndexError):
        packed[COUNT]


def test_responses_and_windows_of_them() -> None:
    found = [RESPONSES[number % 2] for number in range(COUNT)]
    packed = held.responses(found)
    assert list(packed) == found
    window = held.Window(packed, BLOCK - 3, COUNT - 1)
    assert (list(window), window[2], window[1:4]) == (
        found[BLOCK - 3 : -1],
        found[BLOCK - 1],
        found[BLOCK - 2 : BLOCK + 1],
    )


@pytest.mark.parametrize(
    "odd", [Asked((Rolling("x"),), object()), (Score("a", "b", (Message("user", "", (Image(b"1", "image/png"),)),)),)]
)
def test_requests_of_every_kind(odd: Any) -> None:
    asked = [REQUESTS[number % 4] for number in range(COUNT)]
    asked[COUNT // 2] = odd
    packed = held.Requests(asked)
    assert list(packed) == asked
    assert getattr(packed[COUNT // 2], "note", None) is getattr(odd, "note", None)
    assert packed.images == (not isinstance(odd, Asked))
    assert packed.kinds == {Score, Generate, Rolling, Classify}
    every = [request for requests in asked for request in requests]
    flat = held.Flat([packed, REQUESTS, packed])
    whole = [*every, *(one for requests in REQUESTS for one in requests), *every]
    assert (list(flat), len(flat), flat[-1]) == (whole, len(whole), whole[-1])
    assert flat[BLOCK : len(every) + 40] == whole[BLOCK : len(every) + 40]
    assert flat[::997] == whole[::997]


def test_samples_are_joined_again_and_may_have_gaps() -> None:
    documents = [Document(number, {"n": number}, "h") for number in range(COUNT)]
    asked = held.Requests([REQUESTS[number % 2] for number in range(COUNT)])
    answers = [RESPONSES[number % 2] for number in range(2 * COUNT)]
    samples, expected = held.Samples(documents, asked, answers), []
    for place, (document, requests) in enumerate(zip(documents, asked, strict=True)):
        given = tuple(answers[2 * place : 2 * place + 2])
        own = {"metrics": {"acc,none": 1.0}, "statistics": {"bleu,none": (1.0, 2.0)}, "extra": {"of": (1,)}}
        sample = SampleResult(document, requests, given, "t", **own if place % 3 else {"status": "unscored"})
        if place % 5:
            samples.add(place, sample, requests, given)
            expected.append(sample)
    assert list(samples) == expected
    assert (samples[7], samples[-1], len(samples)) == (expected[7], expected[-1], len(expected))
    assert samples.metric_keys == ("acc,none",)
