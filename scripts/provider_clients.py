"""Hold the tests' server of provider protocols (tests/provider_server.py) against the providers' own client libraries.

    pip install openai anthropic google-genai ollama boto3
    python scripts/provider_clients.py

Each library asks whole and, where it can, as a stream, lists the models, and must read the same text and tokens. Run it
in an environment of its own: the libraries bring packages that evalkit does without.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from provider_server import KEY, MODELS, Provider, Reply, serving  # type: ignore[import-not-found]

TEXT, PROMPT = "The capital is Paris", "one two three four"
TURN: list[Any] = [{"role": "user", "content": PROMPT}]


def ask_openai(url: str) -> None:
    """Chat completions, responses and the list."""
    import openai

    client = openai.OpenAI(api_key=KEY, base_url=f"{url}/openai/v1", max_retries=0)
    asked: dict[str, Any] = {"model": "small-1", "messages": TURN, "max_completion_tokens": 20}
    whole = client.chat.completions.create(**asked)
    same("openai chat", whole.choices[0].message.content, whole.usage.prompt_tokens, whole.usage.completion_tokens)
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    same("openai chat, streamed", said, chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens)
    found = client.responses.create(model="small-1", input=TURN, store=False)
    same("openai responses", found.output_text, found.usage.input_tokens, found.usage.output_tokens)
    with client.responses.stream(model="small-1", input=TURN, store=False) as events:
        found = events.get_final_response()
    same("openai responses, streamed", found.output_text, found.usage.input_tokens, found.usage.output_tokens)
    listed("openai", [one.id for one in client.models.list()])
    try:
        openai.OpenAI(api_key="wrong", base_url=f"{url}/openai/v1", max_retries=0).models.list()
    except openai.AuthenticationError:
        return
    raise SystemExit("a wrong key was taken")


def ask_anthropic(url: str) -> None:
    """Messages and the list."""
    import anthropic

    client = anthropic.Anthropic(api_key=KEY, base_url=f"{url}/anthropic", max_retries=0)
    whole = client.messages.create(model="small-1", max_tokens=20, messages=TURN)
    with client.messages.stream(model="small-1", max_tokens=20, messages=TURN) as events:
        streamed = events.get_final_message()
    for how, one in (("", whole), (", streamed", streamed)):
        thought, said = one.content
        assert (thought.thinking, one.stop_reason) == ("hm let me", "end_turn"), one
        read = one.usage.input_tokens + one.usage.cache_read_input_tokens
        same(f"anthropic{how}", said.text, read, one.usage.output_tokens)
    listed("anthropic", [one.id for one in client.models.list()])


def ask_google(url: str) -> None:
    """generateContent and the list."""
    from google import genai

    client = genai.Client(api_key=KEY, http_options={"base_url": f"{url}/gemini"})
    whole = client.models.generate_content(model="small-1", contents=PROMPT)
    used = whole.usage_metadata
    same("gemini", whole.text, used.prompt_token_count, used.candidates_token_count + used.thoughts_token_count)
    pieces = list(client.models.generate_content_stream(model="small-1", contents=PROMPT))
    used = pieces[-1].usage_metadata
    said = "".join(piece.text or "" for piece in pieces)
    same("gemini, streamed", said, used.prompt_token_count, used.candidates_token_count + used.thoughts_token_count)
    listed("gemini", [str(one.name).removeprefix("models/") for one in client.models.list()])


def ask_ollama(url: str) -> None:
    """Chat, the list and a model's facts."""
    import ollama

    client = ollama.Client(host=f"{url}/ollama")
    whole = client.chat(model="small-1", messages=TURN, options={"num_ctx": 100})
    same("ollama", whole.message.content, whole.prompt_eval_count, whole.eval_count)
    pieces = list(client.chat(model="small-1", messages=TURN, stream=True))
    said = "".join(piece.message.content or "" for piece in pieces)
    same("ollama, streamed", said, pieces[-1].prompt_eval_count, pieces[-1].eval_count)
    listed("ollama", [str(one.model).removesuffix(":latest") for one in client.list().models])
    assert client.show("small-1").modelinfo == {"tiny.context_length": 2048}


def ask_amazon(url: str) -> None:
    """Converse; boto3 sends no bare key to an address without TLS, so it signs."""
    import boto3

    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": "any"}
    client = boto3.client("bedrock-runtime", region_name="us-east-1", endpoint_url=f"{url}/bedrock", **keys)
    turn = [{"role": "user", "content": [{"text": PROMPT}]}]
    found = client.converse(modelId="us.small-1:0", messages=turn, inferenceConfig={"maxTokens": 20})
    used = found["usage"]
    same("bedrock", found["output"]["message"]["content"][0]["text"], used["inputTokens"], used["outputTokens"])


def same(what: str, said: object, read: object, written: object) -> None:
    """Say that a library read what was sent, or end."""
    if (said, read, written) != (TEXT, 4, 7):  # 4 words said, 3 thought
        raise SystemExit(f"{what}: {said!r}, {read} read, {written} written")
    print(f"{what}: as sent")


def listed(what: str, names: list[str]) -> None:
    """Say that a library lists the models, or end."""
    if tuple(names) != MODELS:
        raise SystemExit(f"{what}: lists {names}")
    print(f"{what}: lists {len(names)} models")


if __name__ == "__main__":
    with serving(Provider(answer=lambda prompt: Reply(TEXT, thought="hm let me", cached=2))) as address:
        for library in (ask_openai, ask_anthropic, ask_google, ask_ollama, ask_amazon):
            library(address)
