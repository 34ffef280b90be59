"""Models of providers by name, against a server that speaks each provider's protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from provider_server import KEY, Fault, Provider, Reply, error, serving

from evalkit.backends import opening
from evalkit.contract.errors import LimitReached, UserError
from evalkit.contract.types import UNFINISHED, Generate, Image, Message, Response, Sampling
from evalkit.spec.models import EngineSpec, ModelSpec

pytest.importorskip("aiohttp", reason="needs the extra hosted")
pytest.importorskip("genai_prices", reason="needs the extra hosted")

PRICE = {"in": 1.0, "out": 10.0, "cached": 0.5}
PROTOCOLS = {
    "openai/small-1": "/openai/v1",
    "openai/thinks-1-pro": "/openai/v1",
    "anthropic/small-1": "/anthropic/v1",
    "gemini/small-1": "/gemini/v1beta",
    "ollama/small-1": "/ollama",
    "bedrock/small-1": "/bedrock",
}
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "AWS_BEARER_TOKEN_BEDROCK", "AZURE_OPENAI_API_KEY")
TURNS = (Message("system", "be brief"), Message("user", "capital of France ?"))
each = pytest.mark.parametrize("model", PROTOCOLS)


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        monkeypatch.setenv(name, KEY)
    for name in ("OLLAMA_HOST", "GOOGLE_API_KEY", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)


def spec(url: str, model: str, **more: Any) -> ModelSpec:
    args = {"base_url": url + PROTOCOLS[model], "num_concurrent": 1, "retry_wait": 0, "max_retries": 2}
    if model.endswith("-pro"):
        args["api"] = "responses"
    return ModelSpec(name=model, args=args | more.pop("args", {}), price=PRICE, **more)


def ask(model: ModelSpec, requests: Sequence[Generate], overlength: Any = "error") -> tuple[list[Response], Any]:
    backend = opening.open_backend(model, EngineSpec(overlength=overlength))
    try:
        found = dict(backend.respond(requests))  # type: ignore[union-attr]
    finally:
        backend.close()
    return [found[index] for index in range(len(requests))], backend


@each
@pytest.mark.parametrize("stream", [True, False])
def test_each_protocol_brings_text_end_tokens_and_cost(model: str, stream: bool) -> None:
    provider = Provider(answer=lambda prompt: Reply("Paris is it STOP no", cached=2))
    with serving(provider) as url:
        (one,), backend = ask(
            spec(url, model, args={"stream": stream}), [Generate("", ("STOP", "\n"), 20, messages=TURNS)]
        )
    assert (one.text, one.finish, one.prompt_tokens) == ("Paris is it ", "stop", 6)
    cached = 0 if model.startswith(("ollama", "bedrock")) else 2
    assert one.usage is not None
    assert one.usage.cached_tokens == cached
    price = ((6 - cached) * 1 + cached * 0.5 + one.output_tokens * 10) / 1e6
    assert one.usage.cost == pytest.approx(price, rel=1e-12)
    assert one.output_tokens >= 3
    assert backend.info.details["price"]["source"] == "--price"
    assert backend.info.name == model


@each
def test_pictures_stand_where_the_prompt_says_in_every_protocol(model: str) -> None:
    one, other = Image(b"\x89PNG one", "image/png"), Image(b"\xff\xd8 two", "image/jpeg")
    prompts: list[str] = []
    provider = Provider(answer=lambda prompt: prompts.append(prompt) or Reply("seen"))  # type: ignore[func-returns-value]
    turns = (Message("system", "be brief"), Message("user", "first <image>, then <image>!", (one, other)))
    with serving(provider) as url:
        (answer,), _ = ask(spec(url, model), [Generate("", (), 20, messages=turns)])
    assert answer.text == "seen"
    assert [data for _, data in provider.pictures] == [one.data, other.data]
    if not model.startswith("ollama"):  # its pictures stand beside the text
        assert [kind for kind, _ in provider.pictures] == ["image/png", "image/jpeg"]
        assert prompts[-1].endswith("first [picture 1], then [picture 2]!")
    bad = (Message("user", "<image> and <image>", (one,)),)
    with serving(provider) as url:
        (answer,), _ = ask(spec(url, model), [Generate("", (), 20, messages=bad)])
    assert (answer.status, answer.error) == ("error", "the text has 2 marks <image> for 1 images")


@each
def test_a_plain_prompt_is_one_turn_and_a_short_limit_cuts(model: str) -> None:
    provider = Provider(answer=lambda prompt: Reply("one two three four"))
    with serving(provider) as url:
        (one,), _ = ask(spec(url, model), [Generate("Q: x\nA:", max_tokens=2)])
    assert (one.text, one.finish, one.output_tokens) == ("one two", "length", 2)
    (body,) = provider.bodies
    turns = body.get("messages") or body.get("input") or body.get("contents")
    assert len(turns) == 1
    assert "Q: x\\nA:" in repr(turns)


@pytest.mark.parametrize("model", [name for name in PROTOCOLS if not name.startswith("bedrock")])
def test_thoughts_are_paid_and_are_no_text(model: str) -> None:
    openai = model.startswith("openai")
    reply = Reply("Paris", hidden=5) if openai else Reply("Paris", thought="let me think")
    with serving(Provider(answer=lambda prompt: reply)) as url:
        (one, cut), _ = ask(
            spec(url, model), [Generate("a", max_tokens=9), Generate("b", max_tokens=5 if openai else 3)]
        )
    assert (one.text, one.output_tokens) == ("Paris", 6 if openai else 4)
    assert one.thought == (None if openai else "let me think")
    if not model.startswith("ollama"):  # which does not count them apart
        assert one.usage is not None
        assert one.usage.reasoning_tokens == (5 if openai else 3)
    assert (cut.text, cut.finish) == ("", UNFINISHED)


@pytest.mark.parametrize("model", [name for name in PROTOCOLS if not name.startswith("ollama")])
def test_withheld_answers_have_no_score_and_are_paid(model: str) -> None:
    with serving(Provider(answer=lambda prompt: Reply("bad words", "filtered"))) as url:
        (one,), _ = ask(spec(url, model), [Generate("a")])
    assert one.status == "unscored"
    assert "withheld" in (one.error or "")
    assert one.usage is not None
    assert one.usage.cost


FILTERED: Fault = error("openai", 400, "content_filter", "The response was filtered")
REFUSED = {
    "gemini/small-1": Reply(finish="blocked"),
    "openai/small-1": FILTERED,
}


@pytest.mark.parametrize("model", REFUSED)
def test_refused_prompts_have_no_score(model: str) -> None:
    found = REFUSED[model]
    provider = Provider(answer=lambda prompt: found) if isinstance(found, Reply) else Provider(faults=[found])
    with serving(provider) as url:
        (one,), _ = ask(spec(url, model), [Generate("a")])
    assert one.status == "unscored"
    assert "filter refuses the prompt" in (one.error or "")


TOO_LONG = {
    "openai/small-1": error("openai", 400, "context_length_exceeded", "maximum context length is 10 tokens"),
    "anthropic/small-1": error("anthropic", 400, "invalid_request_error", "prompt is too long: 12 tokens > 10 maximum"),
    "gemini/small-1": error(
        "gemini",
        400,
        "INVALID_ARGUMENT",
        "The input token count (12) exceeds the maximum number of tokens allowed (10).",
    ),
    "bedrock/small-1": error("bedrock", 400, "ValidationException", "Input is too long for requested model."),
}


@pytest.mark.parametrize("model", TOO_LONG)
@pytest.mark.parametrize(("overlength", "status"), [("error", "error"), ("skip", "unscored")])
def test_a_prompt_beyond_the_window_says_so(model: str, overlength: str, status: str) -> None:
    provider = Provider(faults=[TOO_LONG[model]])
    with serving(provider) as url:
        (one, two), _ = ask(spec(url, model), [Generate("a"), Generate("b")], overlength)
    assert one.status == status
    assert "does not fit the model's window" in (one.error or "")
    assert two.text == "Paris"


def test_ollama_is_given_a_window_and_refuses_what_does_not_fit_it() -> None:
    provider = Provider()
    with serving(provider) as url:
        model = spec(url, "ollama/small-1", max_length=8)
        (one, two), backend = ask(model, [Generate("a " * 20), Generate("b")])
        _, other = ask(spec(url, "ollama/small-1"), [])
    assert one.status == "error"
    assert "context length" in (one.error or "")
    assert two.text == "Paris"
    assert provider.bodies[0]["options"]["num_ctx"] == backend.info.max_length == 8
    assert other.info.max_length == 2048  # the model's own


AGAIN = {
    "overloaded": ("anthropic/small-1", error("anthropic", 529, "overloaded_error", "Overloaded")),
    "overloaded within a stream": (
        "anthropic/small-1",
        (200, {}, [("error", {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})]),
    ),
    "a limit, told in milliseconds": (
        "openai/small-1",
        error("openai", 429, "rate_limit_exceeded", "slow", retry_after_ms="1", Retry_After="60"),
    ),
    "a limit, told in the body": (
        "gemini/small-1",
        (429, {}, {"error": {"code": 429, "message": "quota", "details": [{"retryDelay": "0.001s"}]}}),
    ),
}


@pytest.mark.parametrize("kind", AGAIN)
def test_what_passes_is_asked_again(kind: str) -> None:
    model, fault = AGAIN[kind]
    provider = Provider(faults=[fault])
    with serving(provider) as url:
        (one,), backend = ask(spec(url, model, args={"num_concurrent": 8}), [Generate("a")])
    assert one.text == "Paris"
    assert len(provider.seen) == 2
    assert backend.info.details["num_concurrent"] == 4  # fewer at a time from then on
    if "limit" in kind:
        assert backend.info.details["rate_limited"]["refusals"] == 1


OVER = {
    "api=responses": error("openai", 404, "invalid_request_error", "This model is only supported in v1/responses"),
    "credit": error("openai", 429, "insufficient_quota", "You exceeded your current quota"),
    "refuses the key": error("openai", 401, "invalid_api_key", f"Incorrect API key provided: {KEY}"),
}


@pytest.mark.parametrize("kind", OVER)
def test_what_no_request_can_mend_ends_the_run_without_a_key_in_its_line(kind: str) -> None:
    with serving(Provider(faults=[OVER[kind]])) as url, pytest.raises(UserError, match=kind) as caught:
        ask(spec(url, "openai/small-1"), [Generate("a"), Generate("b")])
    assert KEY not in str(caught.value)


REFUSES: Mapping[str, tuple[str, Mapping[str, str], Callable[[dict[str, Any]], bool]]] = {
    "temperature": (
        "anthropic/small-1",
        {"temperature": "`temperature` is deprecated for this model."},
        lambda body: "temperature" not in body,
    ),
    "max_completion_tokens": (
        "openai/small-1",
        {"max_completion_tokens": "Unsupported parameter: 'max_completion_tokens'"},
        lambda body: body.get("max_tokens") == 256,
    ),
    "stop": (
        "gemini/small-1",
        {"stopSequences": "stopSequences is not supported by this model"},
        lambda body: "stopSequences" not in body["generationConfig"],
    ),
}


@pytest.mark.parametrize("name", REFUSES)
def test_a_parameter_that_is_refused_is_changed_once_and_recorded(name: str) -> None:
    model, refuses, holds = REFUSES[name]
    provider = Provider(refuses=refuses)
    with serving(provider) as url:
        responses, backend = ask(spec(url, model), [Generate("a", ("x",)), Generate("b", ("x",))])
    assert [one.text for one in responses] == ["Paris", "Paris"]
    assert [holds(body) for body in provider.bodies] == [False, True, True]
    assert list(backend.info.details["adapted"]) == [name]


def test_a_temperature_that_was_asked_for_is_not_dropped() -> None:
    provider = Provider(refuses={"temperature": "`temperature` is deprecated for this model."})
    with serving(provider) as url, pytest.raises(UserError, match="does not take temperature"):
        ask(spec(url, "anthropic/small-1"), [Generate("a", sampling=Sampling(temperature=0.7))])


# -- money ------------------------------------------------------------------------------------------------------------


def _until_the_limit(model: ModelSpec, requests: Sequence[Generate], before: float = 0.0) -> tuple[float, int, str]:
    """USD of the answers, how many there were, and what ended them."""
    backend: Any = opening.open_backend(model, EngineSpec())
    backend.paid_before(before)
    paid, count, why = 0.0, 0, ""
    try:
        for _, response in backend.respond(requests):
            paid, count = paid + response.usage.cost, count + 1
    except LimitReached as reached:
        why = str(reached)
    finally:
        backend.close()
    return paid, count, why


@pytest.mark.parametrize("at_once", [1, 7])
def test_the_limit_is_never_passed_whatever_comes_back(at_once: int) -> None:
    words = {f"{n}": "w " * (n % 10) + "w" for n in range(100)}
    provider = Provider(answer=lambda prompt: Reply(words[prompt.split()[-1]]))
    requests = [Generate(f"a question of some length {n}", max_tokens=10) for n in range(100)]
    with serving(provider) as url:
        model = spec(url, "openai/small-1", max_cost=0.003, args={"num_concurrent": at_once})
        paid, count, why = _until_the_limit(model, requests)
        assert "--max-cost 0.003" in why
        assert "resume" in why
        assert 0 < count < 100
        assert 0.0025 < paid <= 0.003  # the most that one more may cost is about 0.0002
        assert _until_the_limit(model, requests, before=0.003)[:2] == (0, 0)
        assert _until_the_limit(model.model_copy(update={"max_cost": 1.0}), requests)[1:] == (100, "")


def test_list_prices_come_with_the_price_list_and_their_tiers() -> None:
    from evalkit.backends.pricing import listed

    mini, sonnet = listed("openai", "gpt-4o-mini"), listed("anthropic", "claude-sonnet-4-5")
    assert mini is not None
    assert mini.price is not None
    assert mini.window == 128_000
    assert mini.price.cost(1_000_000, 1000, 400_000) == pytest.approx(0.6 * 0.15 + 0.4 * 0.075 + 0.0006)
    assert sonnet is not None
    assert sonnet.price is not None
    assert sonnet.price.cost(300_000, 0) >= 0.3 * sonnet.price.prompt
    assert listed("openai", "no-such-model") is None
    assert "genai-prices" in mini.price.source


def test_openrouters_own_word_on_the_cost_goes_first() -> None:
    from evalkit.backends.openai.wire import OpenAIWire

    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 10, "cost": 0.25}
    usage["completion_tokens_details"] = {"reasoning_tokens": 2}  # type: ignore[assignment]
    counted = OpenAIWire().counted({"usage": usage})
    assert (counted.made, counted.cost) == (5, 0.25)  # thoughts stand beside the completion: the total says so


# -- names and mistakes -----------------------------------------------------------------------------------------------

NAMES = {
    "openai/gpt-4o-mini": "hosted",
    "openrouter/anthropic/claude-sonnet-4.5": "hosted",
    "groq/openai/gpt-oss-20b": "hosted",
    "google/gemini-2.5-flash": "hosted",
    "ollama/llama3.2": "hosted",
    "openai/gpt-oss-20b": "hf",
    "openai/whisper-tiny": "hf",
    "google/gemma-3-1b-it": "hf",
    "cerebras/Cerebras-GPT-111M": "hf",
    "mistralai/Mistral-7B-v0.1": "hf",
    "deepseek-ai/deepseek-llm-7b-chat": "hf",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_hub_stay_the_hubs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENROUTER_API_KEY", "GROQ_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    assert opening.resolve(ModelSpec(name=name)).backend == NAMES[name]


MISTAKES: Mapping[str, tuple[ModelSpec, str]] = {
    "a provider misspelt": (ModelSpec(name="antropic/claude-sonnet-4-5"), "did you mean anthropic/claude-sonnet-4-5"),
    "no provider": (ModelSpec(name="gpt-4o-mini"), "did you mean openai/gpt-4o-mini"),
    "an unknown provider": (ModelSpec(name="nobody/x", backend="hosted"), "PROVIDER/MODEL"),
    "no key": (ModelSpec(name="groq/x"), "set the environment variable GROQ_API_KEY"),
    "a variable without a key": (ModelSpec(name="openai/x", args={"api_key_env": "NOT_THERE"}), "NOT_THERE"),
    "a key among the arguments": (ModelSpec(name="openai/x", args={"api_key": KEY}), "keys do not belong"),
    "an argument": (ModelSpec(name="openai/x", args={"concurrent": 3}), "num_concurrent"),
    "no endpoint": (ModelSpec(name="azure/mine"), "AZURE_OPENAI_ENDPOINT"),
    "half a price": (ModelSpec(name="openai/x", price={"in": 1}), "out is missing"),
    "no price": (ModelSpec(name="openai/no-such", max_cost=1), "--price in=...,out=..."),
    "a setting of local models": (ModelSpec(name="openai/x", dtype="float32"), "--dtype"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_mistakes_are_one_line_before_anything_is_asked(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROQ_API_KEY", raising=False)
    model, words = MISTAKES[kind]
    with pytest.raises(UserError) as caught:
        opening.resolve(model)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("model", [name for name in PROTOCOLS if not name.startswith("bedrock")])
def test_a_model_that_the_provider_lacks_is_told_with_near_names(model: str) -> None:
    with serving(Provider()) as url:
        right = opening.resolve(spec(url, model))
        opening.find(right)
        with pytest.raises(UserError, match="did you mean small-1") as caught:
            opening.find(right.model_copy(update={"name": model.partition("/")[0] + "/smal-1"}))
    assert "\n" not in str(caught.value)


def test_azure_is_asked_at_ones_own_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = Provider()
    with serving(provider) as url:
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", f"{url}/")
        ((one,), backend) = ask(ModelSpec(name="azure/my-deployment", price=PRICE), [Generate("a")])
    assert one.text == "Paris"
    assert provider.seen[0][1]["model"] == "my-deployment"
    assert backend.info.details["url"] == f"{url}/openai/v1"


def test_what_providers_call_otherwise_is_sent_so() -> None:
    from evalkit.backends.openai.wire import OpenAIWire

    wire = OpenAIWire(chat_only=True, seed="random_seed", counts_unasked=True)
    asked = Generate("a", sampling=Sampling(temperature=0.5, seed=3), repeat=2)
    body = wire.body("m", wire.lengths[0], asked, {})
    assert body["random_seed"] == 5
    assert "seed" not in body
    assert wire.streams == {"stream": True}


@pytest.mark.parametrize("model", ["openai/small-1", "ollama/small-1"])
def test_nobody_there_is_told_at_once(model: str) -> None:
    there = opening.resolve(spec("http://127.0.0.1:9", model))
    with pytest.raises(UserError, match="failed") as caught:
        opening.find(there)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1.0), ("6m0s", 360.0), ("20ms", 0.02), ("7.66", 7.66), ("nan", None), ("soon", None)]
)
def test_limits_in_headers_are_read(text: str, seconds: float | None) -> None:
    from evalkit.backends.openai.pace import duration

    assert duration(text) == seconds


def test_a_limit_that_is_used_up_holds_the_next_request() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "30ms"}
    with serving(Provider(headers=headers)) as url:
        (one, _), backend = ask(spec(url, "openai/small-1"), [Generate("a"), Generate("b")])
    assert one.text == "Paris"
    assert backend.info.details["rate_limited"]["refusals"] == 0
    assert backend.info.details["rate_limited"]["held_seconds"] > 0
