"""Streams that are refused, ignored, cut, broken or odd; tokens that nobody tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny
from naughty_server import Reply, Script, chat, echo, failure, serving, text

from evalkit.backends import opening
from evalkit.backends.openai.backend import ServerBackend
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Message, Request, Response, Score
from evalkit.spec.models import EngineSpec, ModelSpec

pytest.importorskip("httpx2", reason="the extra openai is not installed")

DONE = "[DONE]"


def events(*parts: Any, kind: str = "text/event-stream", raw: bytes = b"") -> Reply:
    """A stream of JSON events, then ``raw``."""
    lines = [f"data: {part if isinstance(part, str) else json.dumps(part)}\n\n" for part in parts]
    return 200, {"Content-Type": kind}, "".join(lines).encode() + raw


def piece(said: str, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"text": said, "index": 0, "finish_reason": finish}]}


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"delta": fields, "index": 0, "finish_reason": finish}]}


USAGE = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}


def ask(url: str, requests: Sequence[Request], **args: Any) -> tuple[list[Response], ServerBackend]:
    given = {"num_concurrent": 1, "retry_wait": 0, "max_retries": 2, **args}
    backend = opening.open_backend(ModelSpec(name=url, args=given), EngineSpec())
    assert isinstance(backend, ServerBackend)
    found = dict(backend.respond(requests))
    backend.close()
    return [found[index] for index in range(len(requests))], backend


def say(number: int = 0, **more: Any) -> Generate:
    return Generate(f"prompt {number}", **more)


def test_pieces_become_the_text_that_a_whole_reply_would_be() -> None:
    stream = events(piece("one ST"), piece("OP5 two"), piece("", "length"), USAGE, DONE)
    with serving(Script([stream])) as url:
        (response,), _ = ask(url, [say(until=("a", "b", "c", "d", "STOP5"))])
    assert (response.text, response.finish, response.prompt_tokens, response.output_tokens) == ("one ", "stop", 3, 2)


def test_a_conversation_streams_deltas_and_thoughts_are_no_text() -> None:
    parts = [delta(role="assistant", content=None), delta(reasoning_content="hm"), delta(content="he"), delta("stop")]
    turns = (Message("user", "hi"),)
    with serving(Script([events(*parts, USAGE, DONE)])) as url:
        (response,), backend = ask(url, [Generate("rendered", messages=turns)])
    assert (response.text, response.finish) == ("he", "stop")
    assert len(backend.meter.itl_seconds) == 1


@pytest.mark.parametrize(
    "refusal",
    [
        failure(400, "Your organization must be verified to stream this model."),
        failure(422, "body.stream_options: extra inputs are not permitted"),
        failure(501, "not implemented"),
    ],
)
def test_a_refused_stream_becomes_whole_replies_from_then_on(refusal: Reply) -> None:
    script = Script([refusal, text("first"), text("second")])
    with serving(script) as url:
        responses, backend = ask(url, [say(0), say(1)])
    assert [response.text for response in responses] == ["first", "second"]
    assert [sent.get("stream", False) for sent in script.seen] == [True, False, False]
    assert (backend.meter.given, backend.meter.generated) == (6, 4)
    assert "ttft" not in backend.meter.counters()["latency"]
    assert backend.meter.counters()["latency"]["e2e"]["n"] == 2


def test_streaming_can_be_switched_off() -> None:
    script = Script([text("whole")])
    with serving(script) as url:
        ask(url, [say()], stream=False)
    assert "stream" not in script.seen[0]


@pytest.mark.parametrize(
    "cut",
    [
        events(piece("a half")),
        events(piece("a half"), raw=b'data: {"choices": [{"te'),
        (200, {"Content-Type": "text/event-stream", "Content-Length": "1000"}, b'data: {"choices": []}\n\n'),
    ],
)
def test_half_a_stream_is_asked_again_and_none_of_it_counts(cut: Reply) -> None:
    def broken(handler: Any) -> None:
        handler.answer(*cut)
        handler.close_connection = True

    script = Script([broken, events(piece("whole", "stop"), USAGE, DONE)])
    with serving(script) as url:
        (response,), backend = ask(url, [say()])
    assert response.text == "whole"
    assert len(script.seen) == 2
    assert len(backend.meter.ttft_seconds) == len(backend.meter.e2e_seconds) == 1


def test_half_a_stream_again_and_again_is_an_error_of_that_item() -> None:
    script = Script([events(piece("a")), events(piece("a")), events(piece("b", "stop"), DONE)])
    with serving(script) as url:
        (bad, good), _ = ask(url, [say(0), say(1)], max_retries=1)
    assert (bad.status, bad.error) == ("error", "the stream ended in the middle")
    assert good.text == "b"


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (
            events(piece("a"), {"error": {"message": "out of\nmemory", "code": 400}}),
            "broke the stream off: out of memo",
        ),
        (events(piece("a"), "{broken", DONE), "an event of the stream is not JSON: '{broken'"),
        (events("[1]", DONE), "no JSON object"),
        (events(delta("content_filter"), DONE), "withheld the text (content_filter)"),
    ],
)
def test_an_error_within_a_stream_is_one_line(stream: Reply, words: str) -> None:
    with serving(Script([stream, events(piece("good", "stop"), DONE)])) as url:
        (bad, good), _ = ask(url, [say(0), say(1)])
    assert bad.status != "ok"
    assert words in (bad.error or "")
    assert "\n" not in (bad.error or "")
    assert good.text == "good"


@pytest.mark.parametrize(
    "stream",
    [
        events(piece("x", "stop"), USAGE),
        events(piece("x", "stop"), USAGE, raw=b"data: [DONE]"),
        events(piece("x"), DONE),
        events(piece("x", "stop"), USAGE, DONE, kind="text/plain"),
        events(piece("x", "stop"), {"choices": [{"index": 1, "text": "other"}]}, DONE, raw=b": comment\n\n"),
        (
            200,
            {"Content-Type": "text/event-stream"},
            b'event: m\r\ndata:{"choices":[{"text":"x"}]}\r\n\r\ndata: [DONE]\r\n',
        ),
    ],
)
def test_streams_that_differ_in_form_are_understood(stream: Reply) -> None:
    with serving(Script([stream])) as url:
        (response,), _ = ask(url, [say()])
    assert (response.status, response.text) == ("ok", "x")


def test_a_stream_without_text_is_an_empty_answer() -> None:
    with serving(Script([events(delta(role="assistant", content=None), delta("stop"), USAGE, DONE)])) as url:
        (response,), backend = ask(url, [Generate("r", messages=(Message("user", "hi"),))])
    assert (response.status, response.text) == ("ok", "")
    assert len(backend.meter.ttft_seconds) == 0


def test_several_connections_count_every_request_once() -> None:
    with serving(Script([events(piece("a"), piece("b", "stop"), USAGE, DONE)])) as url:
        responses, backend = ask(url, [say(n) for n in range(40)], num_concurrent=8)
    meter = backend.meter
    assert meter.given == sum(one.prompt_tokens for one in responses) == 120
    assert meter.generated == sum(one.output_tokens for one in responses) == 80
    assert len(meter.e2e_seconds) == len(meter.ttft_seconds) == len(meter.itl_seconds) == 40


def test_scored_requests_count_as_tokens_to_read_and_the_probe_does_not_count() -> None:
    with serving(Script([echo])) as url:
        responses, backend = ask(url, [Score("a b", " cde f"), Score("a b", " longword")])
    meter = backend.meter
    assert meter.given == sum(one.prompt_tokens + one.output_tokens for one in responses) == 7
    assert meter.generated == 0
    assert len(meter.score_seconds) == 2
    assert set(meter.counters()["latency"]) == {"score"}


def test_tokens_that_the_server_does_not_tell_are_unknown_or_counted_by_a_tokenizer(tmp_path: Path) -> None:
    with serving(Script([chat("abc")])) as url:
        turns = (Message("user", "hi"),)
        (response,), backend = ask(url, [Generate("abcde", messages=turns)])
        assert backend.meter.counters()["tokens"]["uncounted_requests"] == 1
        assert (response.prompt_tokens, response.output_tokens) == (0, 0)
        tiny.model("llama").save_pretrained(tmp_path)
        tiny.tokenizer().save_pretrained(tmp_path)
        (response,), backend = ask(url, [Generate("abcde", messages=turns)], tokenizer=str(tmp_path))
    tokens = backend.meter.counters()["tokens"]
    expected = [len(tiny.tokenizer()(said, add_special_tokens=False)["input_ids"]) for said in ("abcde", "abc")]
    assert [tokens["given"], tokens["generated"]] == expected == [response.prompt_tokens, response.output_tokens]
    assert "uncounted_requests" not in tokens


def test_a_tokenizer_that_is_nowhere_is_told_before_the_first_request() -> None:
    script = Script([text("x")])
    with serving(script) as url, pytest.raises(UserError, match="no such folder"):
        ask(url, [say()], tokenizer="./nowhere")
    assert script.seen == []


def test_stream_settings_cannot_be_taken_over() -> None:
    from evalkit.contract.types import Sampling

    asked = say(sampling=Sampling(extra=(("stream_options", {}),)))
    with serving(Script([text("x")])) as url, pytest.raises(UserError, match="stream_options: cannot be set"):
        ask(url, [asked])
