"""The server backend against a server that misbehaves on purpose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from naughty_server import Script, chat, echo, failure, half, hang, serving, text

from evalkit.backends import opening
from evalkit.contract.backend import TextBackend
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Message, Request, Response, Rolling, Sampling, Score
from evalkit.spec.models import EngineSpec, ModelSpec

pytest.importorskip("httpx2", reason="the extra openai is not installed")


def ask(url: str, requests: Sequence[Request], **args: Any) -> list[Response]:
    """Responses in order, from a backend with one connection and no patience."""
    given = {"num_concurrent": 1, "retry_wait": 0, "max_retries": 2, **args}
    backend = opening.open_backend(ModelSpec(name=url, args=given), EngineSpec())
    assert isinstance(backend, TextBackend)
    try:
        found = dict(backend.respond(requests))
    finally:
        backend.close()
    return [found[index] for index in range(len(requests))]


def until_it_fails(backend: TextBackend, requests: Sequence[Request]) -> tuple[list[Response], str]:
    """What came before the UserError that ends it, and its message."""
    found = []
    try:
        for _, response in backend.respond(requests):
            found.append(response)
    except UserError as error:
        return found, str(error)
    raise AssertionError("nothing failed")


def say(number: int = 0, **more: Any) -> Generate:
    return Generate(f"prompt {number}", **more)


def test_a_completion_is_cut_at_every_stop_string_and_sends_four() -> None:
    script = Script([text("one STOP5 two")])
    with serving(script) as url:
        (response,) = ask(url, [say(until=("a", "b", "c", "d", "STOP5"), max_tokens=7)])
    assert (response.text, response.finish, response.prompt_tokens, response.output_tokens) == ("one ", "stop", 3, 2)
    sent = script.seen[0]
    assert sent["path"] == "/v1/completions"
    assert (sent["stop"], sent["max_tokens"], sent["temperature"]) == (["a", "b", "c", "d"], 7, 0)
    assert sent["model"] == "tiny"


def test_conversations_go_to_chat_completions() -> None:
    script = Script([chat("hello")])
    turns = (Message("system", "be kind"), Message("user", "hi"))
    with serving(script) as url:
        (response,) = ask(url, [Generate("rendered", messages=turns)])
    assert response.text == "hello"
    assert script.seen[0]["path"] == "/v1/chat/completions"
    assert script.seen[0]["messages"] == [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
    ]


def test_samples_of_one_prompt_have_seeds_of_their_own() -> None:
    script = Script([text("x")])
    sampling = Sampling(temperature=0.7, top_p=0.9, top_k=5, seed=10, extra=(("min_p", 0.1),))
    with serving(script) as url:
        ask(url, [say(sampling=sampling, repeat=r) for r in (0, 1)])
    assert sorted(sent["seed"] for sent in script.seen) == [10, 11]
    assert script.seen[0]["temperature"] == 0.7
    assert (script.seen[0]["top_p"], script.seen[0]["top_k"], script.seen[0]["min_p"]) == (0.9, 5, 0.1)


def test_scores_by_echo_count_the_tokens_behind_the_context() -> None:
    with serving(Script([echo])) as url:
        short, long, spaces = ask(url, [Score("a b", " cde f"), Score("a b", " longword"), Score("a b ", "cde f")])
    assert (short.loglikelihood, short.is_greedy, short.prompt_tokens, short.output_tokens) == (-6.0, True, 2, 2)
    assert (long.loglikelihood, long.is_greedy) == (-9.0, False)
    assert spaces.loglikelihood == -6.0


def test_an_empty_context_without_a_first_log_probability_is_an_error() -> None:
    with serving(Script([echo])) as url:
        bare, whole = ask(url, [Score("", "first words"), Rolling("a text")])
    assert bare.status == "error"
    assert "first token" in (bare.error or "")
    assert whole.status == "error"
    assert "local model" in (whole.error or "")


def test_a_server_without_prompt_log_probabilities_names_the_generative_mode() -> None:
    with serving(Script([text("x")])) as url, pytest.raises(UserError, match="mc=generate") as caught:
        ask(url, [Score("a", " b")])
    assert "\n" not in str(caught.value)


def test_429_waits_as_long_as_retry_after_says_then_succeeds() -> None:
    script = Script([failure(429, "slow down", Retry_After="0"), failure(503, Retry_After="0"), text("ok")])
    with serving(script) as url:
        (response,) = ask(url, [say()], retry_wait=60)  # only Retry-After keeps this from taking a minute
    assert response.text == "ok"
    assert len(script.seen) == 3


def test_500s_then_ok() -> None:
    script = Script([failure(500), failure(502), text("fine")])
    with serving(script) as url:
        (response,) = ask(url, [say()])
    assert response.text == "fine"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((200, {}, b"<html>oops"), "not JSON: '<html>oops'"),
        ((200, {}, b""), "not JSON"),
        ((200, {}, b"[1, 2]"), "no choices"),
        ((200, {}, b'{"choices": []}'), "no choices"),
        ((200, {}, json.dumps({"choices": [{"text": None}]}).encode()), "no text"),
        (failure(400, "too long"), "HTTP 400: too long"),
    ],
)
def test_a_bad_reply_is_an_error_and_the_next_request_goes_on(reply: Any, words: str) -> None:
    with serving(Script([reply, text("good")])) as url:
        bad, good = ask(url, [say(0), say(1)])
    assert bad.status == "error"
    assert words in (bad.error or "")
    assert good.text == "good"


def test_an_empty_text_is_an_answer() -> None:
    with serving(Script([text("")])) as url:
        (response,) = ask(url, [say()])
    assert (response.status, response.text) == ("ok", "")


def test_half_a_reply_is_asked_again() -> None:
    script = Script([half, text("whole")])
    with serving(script) as url:
        (response,) = ask(url, [say()])
    assert response.text == "whole"
    assert len(script.seen) == 2


def test_a_server_that_hangs_is_a_time_out() -> None:
    with serving(Script([hang, text("late")])) as url:
        first, second = ask(url, [say(0), say(1)], timeout=0.3, max_retries=0)
    assert first.status == "error"
    assert first.error == "no reply within 0.3 s"
    assert second.text == "late"


def test_a_server_that_goes_away_ends_the_run_and_keeps_what_was_answered() -> None:
    script = Script([text("kept"), half])
    with serving(script) as url:
        backend = opening.open_backend(
            ModelSpec(name=url, args={"num_concurrent": 1, "retry_wait": 0, "max_retries": 0}), EngineSpec()
        )
        assert isinstance(backend, TextBackend)
        found, error = until_it_fails(backend, [say(number) for number in range(50)])
        backend.close()
    assert "stopped answering" in error
    assert "--resume" in error
    assert found[0].text == "kept"
    assert len(script.seen) < 10


@pytest.mark.parametrize(
    ("models_reply", "args", "words"),
    [
        ({"data": [{"id": "tiny"}]}, {"model": "tiny2"}, "no model tiny2: did you mean tiny?"),
        ({"data": [{"id": "a"}, {"id": "b"}]}, {}, "lists a, b: say which"),
        (b"hello", {}, "not JSON"),
        ({"data": 7}, {}, "no list of models"),
    ],
)
def test_a_wrong_model_or_server_is_told_before_the_first_request(models_reply: Any, args: Any, words: str) -> None:
    with serving(Script([text("x")], models=models_reply)) as url, pytest.raises(UserError) as caught:
        ask(url, [say()], **args)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_listens_there() -> None:
    with pytest.raises(UserError, match="is a server with the OpenAI API running there"):
        ask("http://127.0.0.1:9/v1", [say()], max_retries=0)


def test_a_missing_endpoint_is_told_once() -> None:
    with serving(Script([failure(404, "Not Found")])) as url, pytest.raises(UserError, match="has no /v1/completions"):
        ask(url, [say()])


def test_keys_come_from_the_environment_and_show_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    script = Script([failure(400, "the key sk-secret is odd"), failure(401, "bad key sk-secret")])
    with serving(script) as url:
        backend = opening.open_backend(
            ModelSpec(name=url, args={"api_key_env": "MY_KEY", "num_concurrent": 1}), EngineSpec()
        )
        assert isinstance(backend, TextBackend)
        answers, error = until_it_fails(backend, [say(0), say(1)])
        backend.close()
    assert "MY_KEY" in error
    assert script.headers[0]["Authorization"] == "Bearer sk-secret"
    assert answers[0].error == "HTTP 400: the key *** is odd"
    assert "sk-secret" not in error + repr(backend.info)


@pytest.mark.parametrize(
    ("name", "args", "words"),
    [
        ("http://h/v1", {"api_key": "sk-1"}, "set the environment variable OPENAI_API_KEY"),
        ("http://user:pw@h/v1", {}, "no user, password or query"),
        ("http://h/v1?key=1", {}, "no user, password or query"),
        ("http://h:port/v1", {}, "not a URL"),
        ("http://h/v1", {"num_concurent": 3}, "does not know num_concurent"),
        ("http://h/v1", {"num_concurrent": 0}, "num_concurrent"),
        ("http://h/v1", {"mc": "maybe"}, "one of score, generate"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_recorded(name: str, args: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        opening.resolve(ModelSpec(name=name, args=args))
    assert words in str(caught.value)
    assert "sk-1" not in str(caught.value)
    assert "pw" not in str(caught.value).replace("password", "")


def test_endpoints_of_lm_eval_configurations_are_understood() -> None:
    from evalkit.backends.openai.settings import settings

    spec = ModelSpec(name="m", backend="openai", args={"base_url": "http://h:1/v1/chat/completions"})
    assert (settings(spec).base_url, settings(spec).model) == ("http://h:1/v1", "m")
    assert settings(ModelSpec(name="http://h:1")).base_url == "http://h:1/v1"


def test_scores_have_no_price_and_no_limit() -> None:
    paid = {"args": {"num_concurrent": 1}, "price": {"in": 1, "out": 2}}
    with serving(Script([echo])) as url:
        backend = opening.open_backend(ModelSpec(name=url, **paid), EngineSpec())
        ((_, one),) = backend.respond([Score("a b", " cde f")])  # type: ignore[union-attr]
        backend.close()
        assert one.usage is not None
        assert one.usage.cost is None
        backend = opening.open_backend(ModelSpec(name=url, max_cost=1, **paid), EngineSpec())
        with pytest.raises(UserError, match="mc=generate"):
            list(backend.respond([Score("a b", " cde f")]))  # type: ignore[union-attr]
        backend.close()
