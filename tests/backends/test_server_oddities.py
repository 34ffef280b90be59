"""Servers that err within a 200, refuse parameters by name, echo tokens that are no text, or say what cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from naughty_server import Reply, Script, drip, echo, failure, processing, serving, spelled, text, trickle

from evalkit.backends import opening
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Message, ModelInfo, Request, Response, Sampling, Score
from evalkit.spec.models import EngineSpec, ModelSpec

pytest.importorskip("httpx2", reason="the extra openai is not installed")

KEY = "k3y-of-the-house-77"


def ask(url: str, requests: Sequence[Request], **args: Any) -> tuple[list[Response], ModelInfo]:
    given = {"num_concurrent": 1, "retry_wait": 0, "max_retries": 2, **args}
    backend: Any = opening.open_backend(ModelSpec(name=url, args=given), EngineSpec())
    try:
        found = dict(backend.respond(requests))
    finally:
        backend.close()
    return [found[index] for index in range(len(requests))], backend.info


def say(number: int = 0, **more: Any) -> Generate:
    return Generate(f"prompt {number}", **more)


def whole(**reply: Any) -> Reply:
    return 200, {}, json.dumps(reply).encode()


def events(*parts: Any) -> Reply:
    lines = [f"data: {part if isinstance(part, str) else json.dumps(part)}\n\n" for part in parts]
    return 200, {"Content-Type": "text/event-stream"}, "".join(lines).encode()


# -- errors within a 200 -----------------------------


@pytest.mark.parametrize(
    "error",
    [
        {"error": {"message": "Provider returned error", "code": 429}, "choices": None},
        {"error": {"message": "busy", "code": "503"}},
        {"error": {"message": "slow down", "type": "rate_limit_exceeded"}},
        {"error": {"message": "later", "type": "overloaded_error"}},
        {"object": "error", "message": "engine restarts", "code": 500},
        {"choices": [{"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "upstream"}}]},
        {"error": {"error": {"message": "wrapped", "code": 529}}},
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_in_a_200_is_retried_like_the_status_it_tells(error: dict[str, Any], streamed: bool) -> None:
    script = Script([events(error) if streamed else whole(**error), text("fine")])
    with serving(script) as url:
        (response,), _ = ask(url, [say()])
    assert response.text == "fine"
    assert len(script.seen) == 2


@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_in_a_200_that_no_retry_mends_keeps_its_words(streamed: bool) -> None:
    error = {"error": {"message": "prompt too long", "code": 400}}
    script = Script([events(error) if streamed else whole(**error), text("good")])
    with serving(script) as url:
        (bad, good), _ = ask(url, [say(0), say(1)])
    assert bad.status == "error"
    assert "prompt too long" in (bad.error or "")
    assert good.text == "good"


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refused_key_in_a_200_ends_the_run_in_one_line(streamed: bool) -> None:
    error = {"error": {"message": "no such key", "code": "invalid_api_key", "type": "authentication_error"}}
    script = Script([events(error) if streamed else whole(**error)])
    with serving(script) as url, pytest.raises(UserError, match="refuses the key"):
        ask(url, [say()])
    assert len(script.seen) == 1


# -- parameters that are refused -----------------------------


def refusing(*names: str, status: int = 400, word: str = "Unsupported parameter: '{}' is not supported") -> Any:
    """A server that takes none of ``names``, and a temperature other than 1 neither if that is among them."""

    def reply(body: dict[str, Any]) -> Reply:
        for name in names:
            if name in body and (name != "temperature" or body[name] != 1):
                told = {"message": word.format(name), "param": name, "code": "unsupported_parameter"}
                return status, {}, json.dumps({"error": told}).encode()
        return text("done")

    return reply


def test_refused_parameters_are_adapted_once_told_and_recorded(caplog: pytest.LogCaptureFixture) -> None:
    script = Script([refusing("max_tokens", "temperature", "stop")])
    with serving(script) as url:
        (first, second), info = ask(url, [say(0, until=("ne",), max_tokens=7), say(1, until=("x",))])
    assert (first.text, second.text) == ("do", "done")
    assert len(script.seen) == 5  # three refusals, two answers
    assert script.seen[-1]["max_completion_tokens"]
    assert not {"max_tokens", "temperature", "stop"} & script.seen[-1].keys()
    assert set(info.details["adapted"]) == {"max_tokens", "temperature", "stop"}
    assert len(caplog.messages) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        (422, {"detail": [{"type": "extra_forbidden", "loc": ["body", "stop"], "msg": "Extra inputs not permitted"}]}),
        (400, {"error": {"message": "property 'stop' is unsupported"}}),
        (400, {"message": "Unrecognized request argument supplied: stop"}),
        (200, {"error": {"message": "Unknown parameter: 'stop'.", "param": "stop", "code": "unknown_parameter"}}),
    ],
)
def test_parameters_are_refused_in_many_words(refusal: tuple[int, dict[str, Any]]) -> None:
    status, told = refusal

    def reply(body: dict[str, Any]) -> Reply:
        return (status, {}, json.dumps(told).encode()) if "stop" in body else text("a.b")

    with serving(Script([reply])) as url:
        (response,), info = ask(url, [say(until=(".",))])
    assert response.text == "a"
    assert list(info.details["adapted"]) == ["stop"]


@pytest.mark.parametrize(
    ("refused", "settings", "args", "words"),
    [
        (("temperature",), {"temperature": 0.7}, {}, "temperature=0.7"),
        (("top_p",), {"temperature": 1.0, "top_p": 0.5}, {}, "top_p=0.5"),
        (("min_p",), {"extra": (("min_p", 0.1),)}, {}, "--gen_kwargs"),
        (("max_tokens",), {}, {"max_tokens_field": "max_tokens"}, "max_tokens_field=max_completion_tokens"),
        (("max_tokens", "max_completion_tokens"), {}, {}, "max_tokens_field="),
    ],
)
def test_what_would_change_the_question_is_refused_with_the_setting_to_change(
    refused: tuple[str, ...], settings: dict[str, Any], args: dict[str, Any], words: str
) -> None:
    script = Script([refusing(*refused)])
    with serving(script) as url, pytest.raises(UserError) as caught:
        ask(url, [say(sampling=Sampling(**settings))], **args)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_that_is_too_large_is_no_refused_parameter() -> None:
    told = {"error": {"message": "max_tokens is too large: 99999", "param": "max_tokens", "code": "invalid_value"}}
    script = Script([(400, {}, json.dumps(told).encode()), text("good")])
    with serving(script) as url:
        (bad, good), info = ask(url, [say(0), say(1)])
    assert "too large" in (bad.error or "")
    assert good.text == "good"
    assert "adapted" not in info.details


# -- echoed tokens of any spelling -----------------------------


def byte_tokens(word: str) -> list[str]:
    return ["�"] * len(word.encode()) if any(ord(char) > 127 for char in word) else [word]


@pytest.mark.parametrize(
    ("spell", "first"),
    [
        (byte_tokens, ()),
        (byte_tokens, ("<s>",)),
        (lambda word: [word.strip() or word], ("<s>",)),  # sentencepiece: a token by itself loses its space
        (lambda word: [word.replace(" ", "▁")], ("<s>", "<extra>")),
        (lambda word: [word.replace(" ", "Ġ")], ()),
        (lambda word: [f"bytes:{word.encode()!r}"], ()),
        (lambda word: ["", word.upper()], ()),
    ],
)
def test_the_boundary_is_counted_where_tokens_do_not_spell_the_prompt(
    spell: Callable[[str], list[str]], first: Sequence[str]
) -> None:
    script = Script([spelled(spell, first)])
    with serving(script) as url:
        (one, two), _ = ask(url, [Score("naïve café ☃", " snow man"), Score("naïve café ☃", " ☃")])
    assert one.loglikelihood == -float(len(spell(" snow")) + len(spell(" man")))
    assert two.loglikelihood == -float(len(spell(" ☃")))
    assert one.prompt_tokens == len(first) + sum(len(spell(word)) for word in ("naïve", " café", " ☃"))
    alone = [sent["prompt"] for sent in script.seen].count("naïve café ☃")
    assert alone == 1  # counted once for all its choices


def test_an_empty_context_behind_a_bos_is_scored_whole() -> None:
    with serving(Script([spelled(lambda word: [word.strip()], ("<s>",))])) as url:
        (response,), _ = ask(url, [Score("", "two words")])
    assert response.loglikelihood == -2.0


# -- what cannot be -----------------------------


@pytest.mark.parametrize("value", [5.0, True, "x", float("nan"), float("-inf"), [1], 10**30])
def test_an_impossible_log_likelihood_is_an_error(value: Any) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        status, headers, content = echo(body)  # type: ignore[misc]
        answer = json.loads(content)
        if "worse" in body["prompt"]:
            answer["choices"][0]["logprobs"]["token_logprobs"][1] = value
        return status, headers, json.dumps(answer).encode()

    with serving(Script([reply])) as url:
        (bad, good), _ = ask(url, [Score("a", " worse"), Score("a", " good")])
    assert bad.status == "error"
    assert "log-probability" in (bad.error or "")
    assert good.loglikelihood == -5.0


@pytest.mark.parametrize("tops", [{"a": "x", "b": None}, {"a": True}, [], "x", {}])
def test_odd_top_log_probabilities_only_cost_the_greedy_mark(tops: Any) -> None:
    def reply(body: dict[str, Any]) -> Reply:
        status, headers, content = echo(body)  # type: ignore[misc]
        answer = json.loads(content)
        report = answer["choices"][0]["logprobs"]
        report["top_logprobs"] = [tops] * len(report["tokens"])
        return status, headers, json.dumps(answer).encode()

    with serving(Script([reply])) as url:
        (response,), _ = ask(url, [Score("a", " good")])
    assert (response.loglikelihood, response.is_greedy) == (-5.0, False)


@pytest.mark.parametrize("streamed", [False, True])
def test_the_choice_with_the_index_0_is_the_answer(streamed: bool) -> None:
    choices = [
        {"index": 1, "text": "other", "finish_reason": "stop"},
        {"index": 0, "text": "ours", "finish_reason": "stop"},
    ]
    reply = events({"choices": choices}, "[DONE]") if streamed else whole(choices=choices)
    with serving(Script([reply])) as url:
        (response,), _ = ask(url, [say()])
    assert response.text == "ours"


def test_only_other_choices_are_no_answer() -> None:
    with serving(Script([whole(choices=[{"index": 3, "text": "other"}, {"index": True, "text": "x"}])])) as url:
        (response,), _ = ask(url, [say()])
    assert response.status == "error"


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({"content": "yes"}, "stop", ("ok", "yes")),
        ({"content": ""}, "stop", ("ok", "")),
        ({"content": None}, "stop", ("ok", "")),
        ({"content": None, "reasoning_content": "hm"}, "length", ("ok", "")),
        ({"content": None, "refusal": "I will not."}, "stop", ("ok", "I will not.")),
        ({"content": [{"type": "text", "text": "y"}, {"type": "text", "text": "es"}]}, "stop", ("ok", "yes")),
        ({"content": ""}, "content_filter", ("unscored", None)),
        ({"content": "half"}, "content_filter", ("ok", "half")),
        ({"content": None, "tool_calls": [{}]}, "tool_calls", ("error", None)),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_streamed_and_whole_replies_have_the_same_verdict(
    message: dict[str, Any], finish: str, expected: tuple[str, str | None], streamed: bool
) -> None:
    reply = (
        events(
            {"choices": [{"index": 0, "delta": message}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
            "[DONE]",
        )
        if streamed
        else whole(choices=[{"index": 0, "message": message, "finish_reason": finish}])
    )
    with serving(Script([reply])) as url:
        (response,), _ = ask(url, [Generate("r", messages=(Message("user", "hi"),))])
    assert (response.status, response.text) == expected


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"prompt_tokens": 10**30, "completion_tokens": -1}, (0, 0)),
        ({"prompt_tokens": True, "completion_tokens": "7"}, (0, 0)),
        ({"prompt_tokens": 3, "completion_tokens": 2}, (3, 2)),
    ],
)
def test_counts_that_cannot_be_are_unknown(usage: Any, counts: tuple[int, int]) -> None:
    with serving(Script([whole(choices=[{"text": "x", "finish_reason": "stop"}], usage=usage)])) as url:
        (response,), _ = ask(url, [say()])
    assert (response.prompt_tokens, response.output_tokens) == counts


@pytest.mark.parametrize(
    "listed",
    [
        {"id": "tiny", "aliases": 5},
        {"id": "tiny", "aliases": {"a": 1}},
        {"id": "tiny", "meta": {"n_params": int("9" * 250), "n_ctx": int("9" * 250)}},
        {"id": "tiny", "meta": [], "max_model_len": True, "root": 7},
        {"id": "tiny", "max_model_len": -1},
    ],
)
def test_an_odd_list_of_models_is_read_for_what_it_is(listed: dict[str, Any]) -> None:
    with serving(Script([text("x")], models={"data": [listed, 7, {"id": None}]})) as url:
        _, info = ask(url, [say()], model="tiny")
    assert info.n_parameters is None
    assert info.max_length >= 1 << 30


@pytest.mark.parametrize("content", [b"[" * 100_000, b'{"data": ' + b"9" * 5000 + b"}", b"\xff\xfe\x00", b"\0"])
def test_a_list_of_models_that_cannot_be_read_is_one_line(content: bytes) -> None:
    with serving(Script([text("x")], models=content)) as url, pytest.raises(UserError) as caught:
        ask(url, [say()])
    assert "not JSON" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "after",
    ["Wed, 21 Oct 2015 07:28:00 +99999999999", "Wed, 99 Oct 99999 07:28:00 GMT", "nan", "-1", "1e999x", "soon", "0"],
)
def test_an_odd_retry_after_is_no_reason_to_stop(after: str) -> None:
    script = Script([failure(503, Retry_After=after), text("fine")])
    with serving(script) as url:
        (response,), _ = ask(url, [say()])
    assert response.text == "fine"


# -- time -----------------------------


@pytest.mark.parametrize("slow", [drip, processing, trickle])
def test_a_reply_that_comes_drop_by_drop_meets_the_time_limit(slow: Any) -> None:
    """Each drop is in time; the whole never ends. Without a limit on the whole this test would not end either."""
    with serving(Script([slow, text("next")])) as url:
        (late, good), _ = ask(url, [say(0), say(1)], timeout=0.6, max_retries=0)
    assert late.error == "no reply within 0.6 s"
    assert good.text == "next"


# -- secrets -----------------------------


def reason(handler: Any) -> None:
    handler.close_connection = True
    handler.wfile.write(f"HTTP/1.1 418 {KEY} is wrong\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.mark.parametrize(
    "reply",
    [
        reason,
        events(f"{{not json {KEY}", "[DONE]"),
        events("x" * 75 + KEY),  # where a message is cut, no half of the key may stay
        events({"error": {"message": f"bad {KEY}"}}),
        whole(choices=[{"text": f"it is {KEY}", "finish_reason": f"because {KEY}"}]),
        events({"choices": [{"text": "it is " + KEY[:9]}]}, {"choices": [{"text": KEY[9:], "finish_reason": KEY}]}),
        (200, {}, f"<html>{KEY}".encode()),
        (500, {}, ("x" * 60 + KEY).encode()),
        failure(400, f"Bearer {KEY} gsk_0123456789abcdefghij"),
    ],
)
def test_the_key_reaches_no_response(monkeypatch: pytest.MonkeyPatch, reply: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving(Script([reply])) as url:
        (response,), info = ask(url, [say()], max_retries=0)
    shown = repr(response) + repr(info)
    assert KEY not in shown
    assert KEY[:12] not in shown
    assert "gsk_" not in shown
    assert "***" in repr(response)


@pytest.mark.parametrize("key", ["EMPTY", "none", "x", "sk-no-key-required"])
def test_a_word_in_place_of_a_key_changes_no_answer(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with serving(Script([text(f"the set is {key}, as ever")])) as url:
        (response,), _ = ask(url, [say()])
    assert response.text == f"the set is {key}, as ever"
