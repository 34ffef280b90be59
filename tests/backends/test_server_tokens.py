"""Scoring in token ids, against a server of our own whose tokens are words and whose values tell where they stand.

tests/backends/vllm_cpu has the real server.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny_models as tiny
from naughty_server import Script, echo, serving

from evalkit.backends import opening
from evalkit.contract.types import Message, Request, Response, Rolling, Score
from evalkit.spec.models import EngineSpec, ModelSpec

pytest.importorskip("tenacity", reason="the extra openai is not installed")

VLLM = {"data": [{"id": "tiny", "owned_by": "vllm", "max_model_len": 64}]}
WORDS: list[str] = ["<s>"]
"""The server's vocabulary; a word's place is its id."""


LONG = " ".join(f"c{number}" for number in range(30))
"""A context that is worth more than the blocks read again for each position behind it."""


def ids(text: str) -> list[int]:
    """Words with the spaces before them are tokens."""
    found = []
    for word in text.replace(" ", "\0 ").split("\0"):
        if word:
            if word not in WORDS:
                WORDS.append(word)
            found.append(WORDS.index(word))
    return found


def worth(prompt: list[int], token: int) -> float:
    """What a token is worth behind a prompt: another number for each."""
    return -(1 + sum(prompt) % 7 + token % 5) / 8


def vllm(body: dict[str, Any], *, names: bool = True, choices: Callable[[list[Any]], list[Any]] = list) -> Any:
    if "messages" in body:
        text = "".join(f"[{one['role']}] {one['content']} " for one in body["messages"]) + "[assistant]"
        return ok({"tokens": ids(text)})
    if "tokens" in body:
        return ok({"prompt": "".join(WORDS[token] for token in body["tokens"])})
    if "add_special_tokens" in body:
        return ok({"tokens": ([0] if body["add_special_tokens"] else []) + ids(body["prompt"])})
    found = []
    for index, prompt in enumerate(body["prompt"]):
        if "prompt_logprobs" in body:
            report = [None] + [
                {str(token): {"logprob": worth(prompt[:at], token)}, "999": {"logprob": -9.0}}
                for at, token in enumerate(prompt)
                if at
            ]
            found.append({"index": index, "text": "", "prompt_logprobs": report})
        else:
            asked = body["logprob_token_ids"] if names else []
            top = {f"token_id:{token}": worth(prompt, token) for token in asked} | {"token_id:999": -0.5}
            found.append({"index": index, "text": "", "logprobs": {"top_logprobs": [top]}})
    return ok({"choices": choices(found), "usage": {"prompt_tokens": sum(map(len, body["prompt"]))}})


def ok(reply: Any) -> Any:
    return 200, {}, json.dumps(reply).encode()


def ask(requests: list[Request], reply: Any = vllm, **args: Any) -> tuple[list[Response], Script, Any]:
    script = Script([lambda body: reply(body)], models=VLLM)
    with serving(script) as url:
        backend: Any = opening.open_backend(ModelSpec(name=url, args={"max_retries": 0, **args}), EngineSpec())
        found = dict(backend.respond(requests))
        backend.close()
    return [found[index] for index in range(len(requests))], script, backend


def expected(context: list[int], continuation: list[int]) -> float:
    whole = context + continuation
    return sum(worth(whole[:at], whole[at]) for at in range(len(context), len(whole)))


def test_continuations_of_a_context_are_one_request_of_all_positions() -> None:
    pairs = [(LONG, end) for end in (" four", " five", " four six seven")]
    found, script, backend = ask([Score(*pair) for pair in pairs])
    assert backend.info.details["scoring"] == "tokens"
    for (context, end), answer in zip(pairs, found, strict=True):
        assert answer.loglikelihood == pytest.approx(expected([0, *ids(context)], ids(end)))
        assert (answer.prompt_tokens, answer.output_tokens) == (1 + len(ids(LONG)), len(ids(end)))
    base = [0, *ids(LONG)]
    (one,) = [one for one in script.seen if one["path"] == "/v1/completions" and one["prompt"][0][: len(base)] == base]
    assert one["prompt"] == [base, [*base, *ids(" four")], [*base, *ids(" four six")]]
    assert one["logprob_token_ids"] == sorted(ids(" four five six seven"))


def test_long_continuations_of_short_contexts_are_asked_whole() -> None:
    end = " " + " ".join(f"w{number}" for number in range(20))
    (answer,), script, _ = ask([Score("one", end)])
    assert answer.loglikelihood == pytest.approx(expected([0, *ids("one")], ids(end)))
    assert "prompt_logprobs" in script.seen[-1]


def test_whole_texts_and_empty_contexts_begin_with_the_servers_own_token() -> None:
    text = " ".join(f"w{number}" for number in range(70))
    (whole, bare), _, _ = ask([Rolling(text), Score("", "one two")])
    assert whole.status == "ok"
    assert whole.output_tokens == 70
    assert bare.loglikelihood == pytest.approx(expected([0], ids("one two")))


def test_conversations_are_written_by_the_servers_template() -> None:
    (answer,), _, _ = ask([Score("", " yes", messages=(Message("user", "Is it so?"),))])
    assert answer.loglikelihood == pytest.approx(expected(ids("[user] Is it so? [assistant]"), ids(" yes")))


def test_what_does_not_fit_the_window_loses_tokens_on_the_left() -> None:
    context = " ".join(f"c{number}" for number in range(80))
    (answer,), _, _ = ask([Score(context, " yes")])
    kept = [0, *ids(context), *ids(" yes")][-63:]  # of 64, one is for the token that must be made
    assert answer.loglikelihood == pytest.approx(expected(kept[:-1], kept[-1:]))
    assert answer.truncated == 82 - 63


def test_a_server_that_passes_over_named_tokens_is_asked_otherwise() -> None:
    def older(body: dict[str, Any]) -> Any:
        return echo(body) if body.get("echo") else vllm(body, names=False)

    (answer,), _, backend = ask([Score("one two", " three")], older)
    assert answer.status == "ok"
    assert backend.info.details["scoring"] == "echo"


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (lambda found: found[:-1], "not one choice for each"),
        (lambda found: [{**one, "logprobs": None} for one in found], "no log-probabilities"),
        (lambda found: [{**one, "logprobs": {"top_logprobs": [{"token_id:1": 3.0}]}} for one in found], "above zero"),
        (lambda found: [{**one, "index": 0} for one in found], "not one choice for each"),
    ],
)
def test_an_odd_reply_is_an_error_of_its_requests(choices: Any, words: str) -> None:
    def odd(body: dict[str, Any]) -> Any:
        ours = "logprob_token_ids" in body and body["prompt"][0] == [0, *ids(LONG)]
        return vllm(body, choices=choices if ours else list)

    found, _, _ = ask([Score(LONG, " three four"), Score(LONG, " five")], odd)
    assert all(one.status == "error" and words in str(one.error) for one in found)


def test_a_tokenizer_that_is_not_the_servers_is_not_used(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    tiny.model("llama").save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    (answer,), _, _ = ask([Score("one two", " three")], tokenizer=str(tmp_path))
    assert answer.status == "ok"
    assert "it is not the server's" in caplog.text
