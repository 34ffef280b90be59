"""A model that answers by hashes: the same questions get the same answers from lm-eval and from evalkit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from evalkit.contract.types import Generate, Message, Request, Response, Rolling, Score

ANSWERS = ("A", "B.", " C", "(D)", "(A)", "yes", "no", "False", "True", "The best answer is B. So", "answer is (C) .")


def _hash(*parts: object) -> int:
    text = json.dumps(parts, ensure_ascii=False)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def loglikelihood(context: str, continuation: str) -> tuple[float, bool]:
    """Between 0 and -32 nats, greedy for one in four."""
    number = _hash("score", context, continuation)
    return -(number % 32768) / 1024, number % 4 == 0


def rolling(text: str) -> float:
    return -(_hash("rolling", text) % 65536) / 64


def generation(context: str, until: Sequence[str], max_tokens: int, temperature: float) -> str:
    """One of a few answers, or some words of the prompt; another one for other settings."""
    number = _hash("generate", context, list(until), max_tokens, temperature)
    words = context.split()
    return ANSWERS[number % len(ANSWERS)] if number % 3 else " ".join(words[-12:-4])


def template(turns: Sequence[tuple[str, str]], add_generation_prompt: bool) -> str:
    text = "".join(f"<|{role}|>{content}<|end|>" for role, content in turns)
    return text + "<|assistant|>" if add_generation_prompt else text.removesuffix("<|end|>")


def chat(messages: Sequence[Message], add_generation_prompt: bool) -> str:
    """The template as evalkit calls it."""
    return template([(message.role, message.content) for message in messages], add_generation_prompt)


def respond(request: Request) -> Response:
    """The answer as evalkit's engine gives it."""
    if isinstance(request, Score):
        value, greedy = loglikelihood(request.context, request.continuation)
        return Response(loglikelihood=value, is_greedy=greedy)
    if isinstance(request, Rolling):
        return Response(loglikelihood=rolling(request.text))
    assert isinstance(request, Generate)
    return Response(text=generation(request.context, request.until, request.max_tokens, request.sampling.temperature))


def make_lm() -> Any:
    """The model as lm-eval calls it."""
    from lm_eval.api.model import LM
    from lm_eval.models.utils import normalize_gen_kwargs

    class FakeLM(LM):
        tokenizer_name = "fake"

        def loglikelihood(self, requests: list) -> list:
            return [loglikelihood(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests: list) -> list:
            return [rolling(request.args[0]) for request in requests]

        def generate_until(self, requests: list) -> list:
            answers = []
            for request in requests:
                settings = normalize_gen_kwargs(request.args[1])
                temperature = float(settings.get("temperature", 0.0)) if settings["do_sample"] else 0.0
                until = [stop for stop in settings["until"] if stop]
                answers.append(generation(request.args[0], until, settings["max_gen_toks"], temperature))
            return answers

        def apply_chat_template(self, chat_history: list, add_generation_prompt: bool = True) -> str:
            return template([(turn["role"], turn["content"]) for turn in chat_history], add_generation_prompt)

    return FakeLM()
