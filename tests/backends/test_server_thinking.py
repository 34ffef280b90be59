"""Thoughts from a server: within the text or apart from it, streamed or whole, and cut by a stop that it was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from naughty_server import Reply, Script, serving
from test_server_oddities import ask

from evalkit.contract.types import UNFINISHED, Generate, Message
from evalkit.spec.models import EngineSpec, ModelSpec

pytest.importorskip("httpx2", reason="the extra openai is not installed")

THOUGHT = "<think>\nFrance is a country.\n\nIts seat of government is Paris.\n</think>\n\n"
LEFT_OUT = "not sent: the model thinks, and stop strings count behind its thought; they are cut here"


def thinker(thought: str, said: str, streamed: bool, finish: str = "stop", apart: str = "") -> Callable[[Any], Reply]:
    """A server that stops at the stop strings it is sent, wherever they are in what the model makes."""

    def reply(body: dict[str, Any]) -> Reply:
        made = thought + said
        ends = [at for stop in body.get("stop", ()) if (at := made.find(stop)) >= 0]
        made, ended = (made[: min(ends)], "stop") if ends else (made, finish)
        told = {apart: made[: len(thought)], "content": made[len(thought) :]} if apart else {"content": made}
        chat = "messages" in body
        if not streamed:
            choice = {"message": told} if chat else {"text": made}
            return 200, {}, json.dumps({"choices": [{"index": 0, **choice, "finish_reason": ended}]}).encode()
        parts = [{"delta": {name: part}} if chat else {"text": part} for name, part in told.items()]
        lines = [*parts, {"delta": {}, "finish_reason": ended} if chat else {"text": "", "finish_reason": ended}]
        data = "".join(f"data: {json.dumps({'choices': [{'index': 0, **line}]})}\n\n" for line in lines)
        return 200, {"Content-Type": "text/event-stream"}, f"{data}data: [DONE]\n\n".encode()

    return reply


def question(chat: bool, *until: str) -> Generate:
    messages = (Message("user", "The capital?"),) if chat else None
    return Generate("The capital?", until=until, messages=messages)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("stop", ["\n", "\n\n", "."])
def test_stops_are_cut_here_from_the_first_thought_on(streamed: bool, chat: bool, stop: str) -> None:
    script = Script([thinker(THOUGHT, "Paris\n\nIt. Is", streamed)])
    with serving(script) as url:
        found, info = ask(url, [question(chat, stop), question(chat, stop, "?")])
    assert [one.text for one in found] == ["Paris" if stop != "." else "Paris\n\nIt"] * 2
    assert [(one.thought, one.finish) for one in found] == [(THOUGHT, "stop")] * 2
    assert [body.get("stop") for body in script.seen] == [[stop], None, None], "asked anew once, then known"
    assert info.details["adapted"] == {"stop": LEFT_OUT}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("apart", ["reasoning_content", "reasoning"])
def test_a_thought_that_the_server_tells_apart_is_no_answer(streamed: bool, apart: str) -> None:
    script = Script([thinker("So it is.\n", "\n\nParis\nor", streamed, apart=apart)])
    with serving(script) as url:
        (found,), _ = ask(url, [question(True, "\n")])
    assert (found.text, found.thought, found.finish) == ("Paris", "So it is.\n", "stop")
    assert [body.get("stop") for body in script.seen] == [["\n"], None]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("apart", ["", "reasoning_content"])
def test_an_unfinished_thought_is_an_outcome_of_its_own(streamed: bool, apart: str) -> None:
    script = Script([thinker("<think>and so on", "", streamed, finish="length", apart=apart)])
    with serving(script) as url:
        (found,), info = ask(url, [question(True, "\n")])
    assert (found.status, found.text, found.finish, found.thought) == ("ok", "", UNFINISHED, "<think>and so on")
    assert len(script.seen) == 1, "it was not a stop string that ended it"
    assert "adapted" not in info.details


@pytest.mark.parametrize("streamed", [False, True])
def test_a_model_without_thoughts_is_sent_its_stops(streamed: bool) -> None:
    script = Script([thinker("", "Paris\nor", streamed)])
    with serving(script) as url:
        found, info = ask(url, [question(True, "\n")] * 2)
    assert [(one.text, one.thought) for one in found] == [("Paris", None)] * 2
    assert [body["stop"] for body in script.seen] == [["\n"], ["\n"]]
    assert "adapted" not in info.details


def opened(url: str, requests: list[Generate], **settings: Any) -> tuple[list[Any], Any]:
    from evalkit.backends import opening

    backend: Any = opening.open_backend(
        ModelSpec(name=url, args={"retry_wait": 0, "num_concurrent": 1}, chat_template=True, **settings), EngineSpec()
    )
    try:
        found = dict(backend.respond(requests))
    finally:
        backend.close()
    return [found[index] for index in range(len(requests))], backend.info


def test_marks_of_the_user_s_own_are_known_from_the_first_request_on() -> None:
    script = Script([thinker("hm\nhm ((end))", "Paris\nor", True)])
    with serving(script) as url:
        (found,), info = opened(url, [question(True, "\n")], think_end="((end))")
    assert (found.text, found.thought) == ("Paris", "hm\nhm ((end))")
    assert [body.get("stop") for body in script.seen] == [None]
    assert info.details["adapted"] == {"stop": LEFT_OUT}


def test_template_variables_are_sent_recorded_and_part_of_the_identity() -> None:
    script = Script([thinker("", "Paris", True)])
    with serving(script) as url:
        _, plain = opened(url, [question(True)])
        _, told = opened(url, [question(True), question(False)], enable_thinking=False, chat_template_args={"x": [1]})
    assert "chat_template_kwargs" not in script.seen[0]
    assert script.seen[1]["chat_template_kwargs"] == {"x": [1], "enable_thinking": False}
    assert "chat_template_kwargs" not in script.seen[2], "a plain prompt has no template"
    assert told.details["template_variables"] == {"x": [1], "enable_thinking": False}
    assert told.fingerprint != plain.fingerprint
