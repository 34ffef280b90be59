"""The prefix tree gives what the model gives row by row: random requests through small random-weights models."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import tiny_models as tiny
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalkit.backends.hf import memory
from evalkit.backends.hf.decoding import Decoder
from evalkit.backends.hf.kv_pool import Pool
from evalkit.backends.hf.own_forward import OwnForward
from evalkit.backends.hf.prefix_forward import TreeRunner
from evalkit.contract.types import Sampling

BATCHES = (1, 2, "auto")
few_letters = st.integers(0, 2)
prompts = st.lists(few_letters, min_size=1, max_size=24)
quick = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def score_rows(draw: st.DrawFn) -> list[Any]:
    """Rows over three letters, long ones made by adding to earlier ones: many shared prefixes, some equal rows."""
    rows: list[list[int]] = []
    for _ in range(draw(st.integers(1, 10))):
        base = draw(st.sampled_from(rows)) if rows and draw(st.booleans()) else []
        cut = draw(st.integers(0, len(base)))
        rows.append([*base[:cut], *draw(st.lists(few_letters, min_size=2, max_size=16))])
    return [tiny.score_row(row, draw(st.integers(1, len(row) - 1))) for row in rows]


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny.model("llama")


@pytest.fixture(scope="module")
def llama64() -> Any:
    """The same weights in float64."""
    return tiny.model("llama").double()


@pytest.fixture(scope="module", params=BATCHES, ids=str)
def backend(request: pytest.FixtureRequest) -> Any:
    made = tiny.backend(tiny.model("llama"), batch_size=request.param)
    assert made.tree
    return made


@quick
@given(rows=score_rows())
def test_scores_equal_those_of_each_row_alone(backend: Any, llama64: Any, rows: list[Any]) -> None:
    for row, answer in zip(rows, tiny.answers(backend.score, rows), strict=True):
        assert answer.loglikelihood == pytest.approx(tiny.exact(llama64, row), abs=1e-4)


@quick
@given(rows=score_rows(), at_once=st.sampled_from([1, 3, "auto"]))
def test_the_plain_path_equals_each_row_alone(llama: Any, llama64: Any, rows: list[Any], at_once: Any) -> None:
    plain = tiny.backend(llama, batch_size=at_once, share_prefixes=False)
    assert plain.info.details["path"] == "plain (switched off)"
    for row, answer in zip(rows, tiny.answers(plain.score, rows), strict=True):
        assert answer.loglikelihood == pytest.approx(tiny.exact(llama64, row), abs=1e-4)


def test_is_greedy_means_that_every_token_is_the_likeliest(backend: Any, llama64: Any) -> None:
    prompt = [3, 1, 4, 1, 5]
    best = tiny.own_generation(llama64, prompt, 4)
    assert len(best) == 4
    other = [*best[:3], (best[3] + 1) % 60]
    rows = [tiny.score_row(prompt + best, 5), tiny.score_row(prompt + other, 5), tiny.score_row(prompt + other, 8)]
    assert [answer.is_greedy for answer in tiny.answers(backend.score, rows)] == [True, False, False]


@quick
@given(asked=st.lists(prompts, min_size=1, max_size=7), length=st.integers(1, 12))
def test_greedy_generations_are_transformers_own(
    backend: Any, llama64: Any, asked: list[list[int]], length: int
) -> None:
    rows = [tiny.generate_row(prompt, length) for prompt in asked]
    for prompt, answer in zip(asked, tiny.answers(backend.generate, rows), strict=True):
        expected = tiny.own_generation(llama64, prompt, length)
        assert answer.text == tiny.tokenizer().decode(expected)
        assert answer.output_tokens == len(expected)
        assert answer.finish == ("length" if len(expected) == length else "stop")


@quick
@given(asked=st.lists(prompts, min_size=1, max_size=5), stop=st.text(tiny.CHARACTERS[:8], min_size=1, max_size=2))
def test_generation_ends_before_the_first_stop_string(backend: Any, asked: list[list[int]], stop: str) -> None:
    whole = tiny.answers(backend.generate, [tiny.generate_row(prompt, 16) for prompt in asked])
    cut = tiny.answers(backend.generate, [tiny.generate_row(prompt, 16, (stop, "##")) for prompt in asked])
    for full, short in zip(whole, cut, strict=True):
        assert short.text == full.text.split(stop)[0]
        if stop in full.text:
            assert short.finish == "stop"
            assert short.output_tokens <= full.text.index(stop) + len(stop)


@pytest.mark.parametrize("sampling", [Sampling(0.8), Sampling(1.5, top_p=0.9), Sampling(1.0, top_k=5, seed=7)])
def test_samples_do_not_depend_on_their_batch(sampling: Sampling, llama: Any) -> None:
    rows = [
        tiny.generate_row([place % 3, 1, 2, *range(place)], 6, sampling=sampling, key=f"question {place} {repeat}")
        for place in range(4)
        for repeat in range(2)
    ]
    together = tiny.answers(tiny.backend(llama, batch_size=3).generate, rows)
    alone = [tiny.answers(tiny.backend(llama, batch_size=1).generate, [row])[0] for row in reversed(rows)]
    assert together == alone[::-1]
    assert len({answer.text for answer in together}) > len(rows) // 2


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_many_samples_of_a_question_take_no_more_slots_than_there_are(
    slots: int, llama: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        tiny.generate_row([place, 1, 2, 3], 6, sampling=Sampling(1.0), key=f"question {place} {repeat}")
        for place in range(3)
        for repeat in range(11)
    ]
    alone = [tiny.answers(tiny.backend(llama, batch_size=1).generate, [row])[0] for row in rows]
    held: list[int] = []
    reserve = Pool.reserve

    def seen(pool: Pool, *arguments: Any) -> None:
        reserve(pool, *arguments)
        held.append(pool.slots)

    monkeypatch.setattr(Pool, "reserve", seen)
    backend = tiny.backend(llama, batch_size=slots)
    assert tiny.answers(backend.generate, rows) == alone
    assert max(held) <= slots
    # Each question is read once, and of its further samples the last token alone.
    assert backend.meter.computed <= 3 * 4 + len(rows)


def test_rows_that_would_take_the_room_of_others_are_written_apart(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = tiny.backend(llama)
    rows = [tiny.generate_row([place % 7, 1, 2], 8 if place % 4 else 90) for place in range(40)]
    alone = [tiny.answers(tiny.backend(llama, batch_size=1).generate, [row])[0] for row in rows]
    together: list[int] = []
    run = Decoder.run

    def seen(decoder: Decoder, part: Any, done: Any) -> None:
        together.append(len(part))
        run(decoder, part, done)

    monkeypatch.setattr(Decoder, "run", seen)
    assert tiny.answers(backend.generate, rows) == alone
    assert together == [40]
    room = 4 * 20 * 11 * backend._sizes.key_value  # of a quarter of it, twenty short rows
    monkeypatch.setattr(memory, "available", lambda *_: room)
    together.clear()
    assert tiny.answers(backend.generate, rows) == alone
    assert together == [30, 10]


def test_another_seed_draws_other_samples(llama: Any) -> None:
    rows = [tiny.generate_row([1, 2, 3], 12, sampling=Sampling(1.0, seed=seed), key="q") for seed in (1, 2)]
    first, second = tiny.answers(tiny.backend(llama).generate, rows)
    assert first.text != second.text


def test_sequences_under_way_ride_in_the_passes_that_read_prompts(
    monkeypatch: pytest.MonkeyPatch, llama: Any, llama64: Any
) -> None:
    asked = [[n, *range(30), n + 1] for n in range(8)]  # nothing shared, and two prompts fill a pass
    backend = tiny.backend(llama)
    monkeypatch.setattr(memory, "CPU_BUDGET", 64)
    passes: list[int] = []
    body = backend.model.base_model
    body.register_forward_pre_hook(
        lambda _, args, given: passes.append(given["input_ids"].shape[1]), with_kwargs=True
    )  # fmt: skip
    got = tiny.answers(backend.generate, [tiny.generate_row(prompt, 6) for prompt in asked])
    for prompt, answer in zip(asked, got, strict=True):
        assert answer.text == tiny.tokenizer().decode(tiny.own_generation(llama64, prompt, 6))
    assert passes[:4] == [64, 64 + 2, 64 + 4, 64 + 6]
    tokens, steps = sum(backend.meter.prefill_tokens), sum(backend.meter.step_tokens)
    assert (tokens, tokens + steps) == (8 * 32, sum(passes))


def mixed_rows() -> list[Any]:
    shared = [token % 5 for token in range(40)]
    return [tiny.score_row([*shared[: 10 + 3 * n], n, n + 1, n], 9 + 3 * n) for n in range(10)]


def test_running_out_of_memory_changes_no_score(monkeypatch: pytest.MonkeyPatch, llama: Any) -> None:
    rows, backend = mixed_rows(), tiny.backend(llama)
    expected = tiny.answers(backend.score, rows)
    refused = _refuse_above(monkeypatch, 20)
    got = tiny.answers(backend.score, rows)
    assert refused
    for answer, before in zip(got, expected, strict=True):
        assert answer.loglikelihood == pytest.approx(before.loglikelihood, abs=1e-4)
        assert answer.is_greedy == before.is_greedy


def test_running_out_of_memory_changes_no_generation(monkeypatch: pytest.MonkeyPatch, llama: Any) -> None:
    rows = [tiny.generate_row([1, 2, *range(n)], 10) for n in range(1, 30, 4)]
    backend = tiny.backend(llama)
    expected = tiny.answers(backend.generate, rows)
    refused = _refuse_above(monkeypatch, 20)
    assert tiny.answers(backend.generate, rows) == expected
    assert refused


def test_the_plain_path_halves_its_batches(monkeypatch: pytest.MonkeyPatch, llama: Any) -> None:
    rows, backend = mixed_rows(), tiny.backend(llama, batch_size=8, share_prefixes=False)
    expected = tiny.answers(backend.score, rows)
    sizes = []
    own = OwnForward.read

    def at_most_two(work: OwnForward, some: Any, state: Any, keep: bool = False) -> Any:
        sizes.append(len(some))
        if len(some) > 2:
            raise torch.OutOfMemoryError("out of memory (provoked)")
        return own(work, some, state, keep)

    monkeypatch.setattr(OwnForward, "read", at_most_two)
    got = tiny.answers(backend.score, rows)
    assert sizes == [8, 4, 2, 2, 2, 2, 2]
    assert [answer.loglikelihood for answer in got] == pytest.approx([one.loglikelihood for one in expected], abs=1e-4)


def test_another_error_is_not_taken_for_memory(monkeypatch: pytest.MonkeyPatch, llama: Any) -> None:
    backend = tiny.backend(llama)
    monkeypatch.setattr(TreeRunner, "hidden", lambda *_: (_ for _ in ()).throw(RuntimeError("a broken kernel")))
    with pytest.raises(RuntimeError, match="a broken kernel"):
        tiny.answers(backend.score, mixed_rows())


def _refuse_above(monkeypatch: pytest.MonkeyPatch, tokens: int) -> list[int]:
    """From now on passes of more than ``tokens`` tokens run out of memory; the sizes that were refused."""
    refused: list[int] = []
    own = TreeRunner.hidden

    def hidden(runner: TreeRunner, work: Any, *rest: Any, **more: Any) -> Any:
        if len(work.tokens) > tokens:
            refused.append(len(work.tokens))
            raise torch.OutOfMemoryError("out of memory (provoked)")
        return own(runner, work, *rest, **more)

    monkeypatch.setattr(TreeRunner, "hidden", hidden)
    return refused


@pytest.mark.parametrize(
    "kind",
    [
        "llama",
        "qwen2",
        "qwen3",
        "gpt2",
        "gpt_neox",
        "gemma",
        "olmo2",
        "phi3",
        "mistral",
        "mistral_sliding",
        "gemma2",
        "bloom",
    ],
)
def test_architectures_share_prefixes(kind: str) -> None:
    _check_architecture(kind, "tree")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("mamba", "layers with linear_attention"),
    ],
)
def test_other_architectures_take_the_plain_path_and_say_so(
    kind: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "evalkit.hf"):
        _check_architecture(kind, "plain")
    assert f"{kind}: not on the prefix tree (" in caplog.text
    assert why in caplog.text


def test_a_window_that_the_tree_does_not_see_bounds_the_rows_on_it() -> None:
    """The model's masks slide, its layers do not say so: rows beyond the window take the plain path."""
    made = tiny.model("qwen2_sliding")
    for layer in made.model.layers:
        layer.self_attn.sliding_window = None
    backend = tiny.backend(made, "qwen2_sliding")
    assert backend.info.details["path"] == "tree (plain beyond 40 tokens: its sliding window of 40 tokens)"
    rows = [*mixed_rows(), tiny.score_row([*range(60)], 44)]
    for row, answer in zip(rows, tiny.answers(backend.score, rows), strict=True):
        assert answer.loglikelihood == pytest.approx(tiny.exact(made, row), abs=1e-3)


def test_a_window_that_is_not_the_configurations_bounds_the_rows_on_the_tree() -> None:
    """Tried out with a smaller one, the model does not change: where its window lies is not known."""
    made = tiny.model("llama")
    made.config.sliding_window = 40
    assert tiny.backend(made).info.details["path"].startswith("tree (plain beyond 40 tokens")


def _check_architecture(kind: str, path: str) -> None:
    """The path is as expected, and its numbers are the model's own, row by row."""
    made = tiny.model(kind)
    reference = copy.deepcopy(made).double()
    backend = tiny.backend(made, kind)
    assert backend.info.details["path"].split()[0] == path, backend.info.details["path"]
    rows = mixed_rows()
    for row, answer in zip(rows, tiny.answers(backend.score, rows), strict=True):
        assert answer.loglikelihood == pytest.approx(tiny.exact(reference, row), abs=2e-3)
    asked = [[1, 2, 3, 4], [1, 2, 3], [4, 4, *range(20)]]
    got = tiny.answers(backend.generate, [tiny.generate_row(prompt, 6) for prompt in asked])
    expected = [tiny.tokenizer().decode(tiny.own_generation(made, prompt, 6)) for prompt in asked]
    assert [answer.text for answer in got] == expected
