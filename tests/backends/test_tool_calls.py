"""Native tool calls: the request's tools reach a server as OpenAI's field and a template as its variable, and the calls
that come back are read, recorded and scored.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny
from naughty_server import Reply, Script, serving
from test_server_oddities import ask, events, whole
from typer.testing import CliRunner

import evalkit
from evalkit.backends.chat_template import ChatTemplate
from evalkit.cli.app import app
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Message
from evalkit.metrics import calls
from evalkit.metrics.calls import Call
from evalkit.store.identity import text_key

HOME = "gorilla-llm/Berkeley-Function-Calling-Leaderboard"
WEATHER = {
    "name": "weather.get",
    "description": "The weather of a town.",
    "parameters": {
        "type": "dict",
        "properties": {
            "town": {"type": "string", "description": "Its name."},
            "days": {"type": "integer", "description": "How many.", "default": 1},
        },
        "required": ["town"],
    },
}
TOOL = json.dumps({"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}})
TOWNS = ("Oslo", "Lima", "Rome", "Kyiv")
QWEN = (
    "{% if tools %}<tools>{% for one in tools %}{{ one | tojson }}{% endfor %}</tools>{% endif %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


@pytest.fixture
def data(tmp_path) -> Path:
    """A mirror with four questions of our own in the leaderboard's layout."""
    home = tmp_path / "data" / HOME
    (home / "possible_answer").mkdir(parents=True)
    questions, answers = [], []
    for number, town in enumerate(TOWNS):
        asked = [[{"role": "user", "content": f"What is the weather in {town} for two days?"}]]
        questions.append({"id": f"simple_python_{number}", "question": asked, "function": [WEATHER]})
        wanted = [{"weather.get": {"town": [town], "days": [2]}}]
        answers.append({"id": f"simple_python_{number}", "ground_truth": wanted})
    for folder, some in ((home, questions), (home / "possible_answer", answers)):
        (folder / "BFCL_v4_simple_python.json").write_text("".join(json.dumps(one) + "\n" for one in some), "utf-8")
    return tmp_path / "data"


def called(streamed: bool, town: str, arguments: str) -> Reply:
    """A server's words for one call, whole or in pieces."""
    function = {"name": "weather_get", "arguments": arguments}
    if not streamed:
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": function}],
        }
        return whole(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])
    half = len(arguments) // 2
    parts = [
        {
            "tool_calls": [
                {"index": 0, "id": "1", "type": "function", "function": {"name": "weather_get", "arguments": ""}}
            ]
        },
        {"tool_calls": [{"index": 0, "function": {"arguments": arguments[:half]}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": arguments[half:]}}]},
    ]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    return events(*({"choices": [{"index": 0, "delta": one}]} for one in parts), end, "[DONE]")


def caller(streamed: bool) -> Callable[[dict[str, Any]], Reply]:
    """Calls for two days in the town of the question; in Kyiv it asks for another number, in Rome with broken JSON."""

    def reply(body: dict[str, Any]) -> Reply:
        town = next(one for one in TOWNS if one in body["messages"][-1]["content"])
        arguments = json.dumps({"town": town, "days": 3 if town == "Kyiv" else 2})
        return called(streamed, town, arguments[:-1] if town == "Rome" else arguments)

    return reply


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_server_is_sent_the_tools_and_its_calls_are_scored(data, tmp_path, streamed):
    script = Script([caller(streamed)])
    with serving(script) as url:
        arguments = [
            "run",
            "--model",
            url,
            "--model_args",
            "num_concurrent=1",
            "--tasks",
            "bfcl:simple_python:calls=native",
        ]
        where = ["--data-dir", str(data), "--output", str(tmp_path / "run")]
        done = CliRunner().invoke(app, [*arguments, *where, "--apply_chat_template"])
    assert done.exit_code == 0, done.output
    for body in script.seen:
        (tool,) = body["tools"]
        assert tool["type"] == "function"
        assert tool["function"]["name"] == "weather_get", "servers take no dots in a name"
        assert tool["function"]["parameters"] == {
            "type": "object",
            "properties": {
                "town": {"type": "string", "description": "Its name."},
                "days": {"type": "integer", "description": "How many.", "default": 1},
            },
            "required": ["town"],
        }
        assert [one["role"] for one in body["messages"]] == ["user"]
        assert "stop" not in body
    samples = evalkit.load_run(tmp_path / "run").samples("bfcl:simple_python:calls=native")
    found = {
        sample["document"]["turns"][0]["content"].split()[5]: (
            sample["responses"][0]["text"],
            sample["call_accuracy,none"],
        )
        for sample in samples.to_dict("records")
    }
    assert {town: value for town, (_, value) in found.items()} == {"Oslo": 1.0, "Lima": 1.0, "Rome": 0.0, "Kyiv": 0.0}
    assert '"name": "weather_get"' in found["Oslo"][0], "the record has the call"


def test_without_a_template_native_calls_are_refused(data, tmp_path):
    arguments = ["run", "--model", "mock", "--tasks", "bfcl:simple_python:calls=native", "--data-dir", str(data)]
    done = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "run")])
    assert done.exit_code == 2
    assert "add --apply_chat_template" in " ".join(done.output.split())


def test_calls_as_text_are_scored_with_and_without_a_template(data, tmp_path):
    said = "\n[weather.get(town='Oslo', days=2)]"
    rules = [
        {"match": "in Oslo", "text": said},
        {"match": "in Lima", "text": f"{said.replace('Oslo', 'Lima')}\n\nThis is it."},
        {"text": "I do not know."},
    ]
    # Without a template a model goes on and on, and its first paragraph counts; in a conversation the whole reply does.
    for number, (more, right) in enumerate((([], 0.5), (["--apply_chat_template"], 0.25))):
        (tmp_path / "script.json").write_text(json.dumps(rules), "utf-8")
        given = ["--model_args", f"script={tmp_path / 'script.json'},chat=true", "--data-dir", str(data)]
        where = ["--output", str(tmp_path / str(number)), "--json"]
        done = CliRunner().invoke(
            app, ["run", "--model", "mock", "--tasks", "bfcl:simple_python", *given, *where, *more]
        )
        assert done.exit_code == 0, done.output
        results = json.loads(next((tmp_path / str(number)).glob("results*.json")).read_text("utf-8"))
        assert results["results"]["bfcl:simple_python"]["call_accuracy,none"] == right


def test_a_template_gets_the_tools():
    template = ChatTemplate("tiny", QWEN, {}, {})
    text = template((Message("user", "Hi", tools=(TOOL,)),), True)
    tokenizer = tiny.tokenizer()
    own = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hi"}],
        tools=[json.loads(TOOL)],
        chat_template=QWEN,
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == own
    assert template((Message("user", "Hi"),), True) == "<user>Hi<assistant>", "and none where there are none"
    plain = ChatTemplate("tiny", "{% for m in messages %}{{ m.content }}{% endfor %}", {}, {})
    with pytest.raises(UserError, match="has no place for tools"):
        plain((Message("user", "Hi", tools=(TOOL,)),), True)


def test_tools_are_part_of_a_request_s_identity():
    def key(*tools: str) -> str:
        return text_key("f", Generate("c", messages=(Message("user", "Hi", tools=tools),)))

    assert len({key(), key(TOOL), key(TOOL, TOOL)}) == 3
    assert key() == text_key("f", Generate("c", messages=(Message("user", "Hi"),)))


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (
            {
                "content": "Let me see.",
                "tool_calls": [{"function": {"name": "f", "arguments": '{"a": "</tool_call>"}'}}],
            },
            [Call("f", {"a": "</tool_call>"})],
        ),
        (
            {
                "content": "",
                "tool_calls": [{"function": {"name": "f"}}, {"function": {"name": "g", "arguments": {"b": 1}}}],
            },
            [Call("f"), Call("g", {"b": 1})],
        ),
        ({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, [Call("f")]),
        ({"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{broken"}}]}, None),
        ({"content": "No call.", "tool_calls": None}, None),
        ({"content": "No call.", "tool_calls": ["x", {"function": 3}]}, None),
    ],
)
def test_odd_calls(message, found):
    request = Generate("Hi", messages=(Message("user", "Hi", tools=(TOOL,)),))
    script = Script([whole(choices=[{"index": 0, "message": message, "finish_reason": "tool_calls"}])])
    with serving(script) as url:
        (response,), _ = ask(url, [request])
    assert response.status == "ok", response.error
    if found is None:
        with pytest.raises(ValueError):
            calls.of_json(response.text)
    else:
        assert calls.of_json(response.text) == found
        assert not message["content"] or response.text.startswith(message["content"])


def test_another_provider_s_protocol_refuses_tools():
    from evalkit.backends.hosted.ollama import OllamaWire

    request = Generate("Hi", messages=(Message("user", "Hi", tools=(TOOL,)),))
    with pytest.raises(UserError, match="calls=prompted"):
        OllamaWire(None).body("m", "max_tokens", request, {})
