"""The identity of a request is what journals and caches of earlier versions are searched by: it never changes.

identity_keys.json was written by the version named in README.md and is not to be written again. Each entry names the
function and its arguments; values that JSON does not have stand in VALUES under a name.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evalkit.contract.types import Generate, Message, Rolling, Sampling, Score
from evalkit.store.identity import canonical, digest, generate_key, is_greedy, rolling_key, score_key, text_key

KEYS = json.loads(Path(__file__).with_name("identity_keys.json").read_text("utf-8"))

VALUES: dict[str, Any] = {
    "bytes": b"\x00\xff raw",
    "days": [date(2024, 2, 29), datetime(2024, 2, 29, 13, 5, 7, 250, tzinfo=UTC), time(23, 59, 1)],
    "numpy": {"array": np.array([[1, 2], [3, 4]], dtype=np.int64), "float": np.float64(0.1), "flag": np.bool_(True)},
    "sets": [{"b", "a", "ü"}, frozenset({3, 1, 2}), (1, (2, "x"))],
    "frozen": Sampling(temperature=0.5, top_p=0.25, top_k=7, seed=99, extra=(("min_p", 0.1), ("stop", ("a", "b")))),
    "message": Message("user", "Grüße"),
}


def message_list(entries: list[list[str]] | None) -> tuple[Message, ...] | None:
    return None if entries is None else tuple(Message(role, content) for role, content in entries)


def sampling(fields: dict[str, Any]) -> Sampling:
    return Sampling(**{**fields, "extra": tuple((name, value) for name, value in fields.get("extra", []))})


def request(kind: str, fields: dict[str, Any]) -> Score | Generate | Rolling:
    if kind == "rolling":
        return Rolling(**fields)
    fields = {**fields, "messages": message_list(fields.get("messages"))}
    if kind == "score":
        return Score(**fields)
    return Generate(**{**fields, "until": tuple(fields["until"]), "sampling": sampling(fields["sampling"])})


def computed(entry: dict[str, Any]) -> str:
    """The key of an entry of identity_keys.json."""
    match entry["function"], entry["arguments"]:
        case "score_key", values:
            return score_key(values["fingerprint"], values["tokens"], values["start"])
        case "generate_key", values:
            return generate_key(
                values["fingerprint"],
                values["prompt"],
                values["until"],
                values["max_tokens"],
                sampling(values["sampling"]),
                values["repeat"],
            )
        case "rolling_key", values:
            return rolling_key(values["fingerprint"], values["text"], values["window"], values["prefix"])
        case "text_key", values:
            return text_key(values["fingerprint"], request(values["request"], values["fields"]))
        case "digest", {"named": name}:
            return digest(VALUES[name])
        case "digest", {"value": value}:
            return digest(value)
    raise AssertionError(f"no such function: {entry['function']}")


@pytest.mark.parametrize("entry", KEYS, ids=[f"{n}-{entry['function']}" for n, entry in enumerate(KEYS)])
def test_keys_are_those_of_earlier_versions(entry: dict[str, Any]) -> None:
    assert computed(entry) == entry["key"]


def test_every_function_and_kind_of_request_is_held_fast() -> None:
    assert {entry["function"] for entry in KEYS} == {"score_key", "generate_key", "rolling_key", "text_key", "digest"}
    texts = [entry["arguments"] for entry in KEYS if entry["function"] == "text_key"]
    assert {one["request"] for one in texts} == {"score", "generate", "rolling"}
    assert {name for entry in KEYS for name in [entry["arguments"].get("named")] if name} == set(VALUES)


def test_token_ids_have_one_key_however_they_are_held() -> None:
    entry = next(entry for entry in KEYS if entry["function"] == "score_key" and len(entry["arguments"]["tokens"]) > 2)
    one = entry["arguments"]
    for kind in (np.int32, np.int64):
        assert score_key(one["fingerprint"], np.array(one["tokens"], dtype=kind), one["start"]) == entry["key"]
    assert score_key(one["fingerprint"], tuple(one["tokens"]), one["start"]) == entry["key"]


def test_what_of_sampling_counts_is_as_it_was() -> None:
    assert is_greedy(Sampling())
    assert is_greedy(Sampling(temperature=0.0, top_p=0.5, seed=3, extra=(("do_sample", False), ("temperature", 0.0))))
    assert not is_greedy(Sampling(temperature=0.1))
    assert not is_greedy(Sampling(extra=(("do_sample", True),)))
    assert not is_greedy(Sampling(extra=(("temperature", 0.3),)))
    assert canonical({"b": 1, "a": ["ü", None, 1.5]}) == '{"a":["ü",null,1.5],"b":1}'.encode()
