"""The attention paths of devices that this machine need not have: the formula, the packed path of GPUs with the
operators' part played by the formula, and the operators themselves by the shapes that PyTorch knows of them.
"""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

import tiny_models as tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.backends.hf import (
    attention,
    kernels,
    kv_pool,
    layout,
    memory,
    own_attention,
    packed_attention,
    prefix_forward,
    tally,
)
from evalkit.backends.hf.attention import KeyValueStack, TreeState, attend_tree
from evalkit.backends.hf.packed_attention import levels
from evalkit.engine.plan import Cross, Cursor, PrefixPlan


def tensors(rows: int, columns: int, heads: int, kv_heads: int, width: int, dtype: torch.dtype) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(rows * 1000 + columns)
    shapes = ((2, heads, rows, width), (2, kv_heads, columns, width), (2, kv_heads, columns, width))
    return [torch.randn(shape, generator=draw, dtype=torch.float64).to(dtype) for shape in shapes]


@pytest.mark.parametrize(
    ("dtype", "apart"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)]
)
@pytest.mark.parametrize(("rows", "columns", "causal"), [(7, 7, True), (1, 1, True), (5, 33, False), (130, 3, False)])
@pytest.mark.parametrize("kv_heads", [6, 2, 1])
@pytest.mark.parametrize("scale", [None, 0.3])
def test_the_formula_equals_the_fused_kernel(
    dtype: torch.dtype, apart: float, rows: int, columns: int, causal: bool, kv_heads: int, scale: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(kernels, "FORMULA_SCORES", 2 * 6 * columns * 4)  # four rows at a time
    given_to = tensors(rows, columns, 6, kv_heads, 10, dtype)
    output, total = kernels.formula(*given_to, causal, scale)
    fused, fused_total = kernels.flash(*given_to, causal, scale)
    assert output.dtype == dtype
    assert output.shape == fused.shape
    assert total.shape == (2, 6, rows)
    torch.testing.assert_close(output, fused, atol=apart, rtol=apart)
    torch.testing.assert_close(total, fused_total.to(total.dtype), atol=apart, rtol=apart)


def test_the_log_sum_exp_is_natural_and_scaled() -> None:
    query, key = torch.tensor([[[[2.0]]]]), torch.tensor([[[[1.0], [3.0]]]])
    for attend in (kernels.formula, kernels.flash):
        _, total = attend(query, key, key, False, 0.5)
        assert float(total) == pytest.approx(np.log(np.exp(1.0) + np.exp(3.0)), rel=1e-6)


@pytest.mark.parametrize("width", [64, 36, 20])
def test_the_operators_of_cuda_give_what_is_made_of_them(width: int) -> None:
    """Their registered shapes: log-sum-exps of 50 rows are padded to 64 by one of them, widths of 36 by neither."""

    def made(*shape: int, dtype: torch.dtype = torch.bfloat16) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    output, total = kernels.cuda_flash(made(2, 8, 50, width), *[made(2, 2, 70, width)] * 2, False, None)
    assert (output.shape, total.shape, total.dtype) == ((2, 8, 50, width), (2, 8, 50), torch.float32)
    single = [made(2, heads, n, width, dtype=torch.float32) for heads, n in ((8, 50), (2, 70), (2, 70))]
    output, total = kernels.cuda_efficient(*single, False, None)
    assert (output.shape, total.shape, total.dtype) == ((2, 8, 50, width), (2, 8, 50), torch.float32)
    rows, columns = (kernels.Runs(lengths, max(lengths), made(3, dtype=torch.int32)) for lengths in ((20, 30), (4, 6)))
    keys = [made(10, 2, width)] * 2
    output, total = kernels.cuda_packed(made(50, 8, width), *keys, rows, columns, False, None)
    assert (output.shape, total.shape, total.dtype) == ((50, 8, width), (8, 50), torch.float32)


def reference_operator(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, begins: torch.Tensor, key_begins: torch.Tensor,
    longest: int, longest_key: int, dropout: float, causal: bool, debug: bool, *, scale: float,
    window_size_left: int | None = None,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    """`_flash_attention_forward` as its sources describe it, with their checks."""
    assert query.shape[-1] % 8 == 0
    assert all(tensor.stride(-1) == 1 for tensor in (query, key, value))
    assert begins.dtype == key_begins.dtype == torch.int32
    assert (dropout, debug) == (0.0, False)
    lengths, key_lengths = begins.diff().tolist(), key_begins.diff().tolist()
    assert begins[0] == key_begins[0] == 0
    assert (sum(lengths), sum(key_lengths)) == (len(query), len(key))
    assert 0 < min(lengths) <= max(lengths) <= longest
    assert 0 < min(key_lengths) <= max(key_lengths) <= longest_key
    parts = []
    for one in zip(query.split(lengths), key.split(key_lengths), value.split(key_lengths), strict=True):
        mask = None
        if causal:  # at the lower right corner
            window = None if window_size_left is None else window_size_left + 1
            mask = kernels.lower_right(len(one[0]), len(one[1]), window).to(query.dtype)
        parts.append(kernels.formula(*(tensor.transpose(0, 1)[None] for tensor in one), False, scale, mask=mask))
    outputs = torch.cat([output[0].transpose(0, 1) for output, _ in parts])
    return outputs, torch.cat([total[0] for _, total in parts], dim=-1), None, None, None  # type: ignore[return-value]


@pytest.fixture
def gpu_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that a GPU does otherwise, on the CPU."""
    tiny.model("llama")  # transformers itself looks at torch's operators when it is imported
    monkeypatch.setattr(torch.ops.aten, "_flash_attention_forward", reference_operator)
    for module in (attention, kernels):
        monkeypatch.setattr(module, "packs", lambda query: True)
    monkeypatch.setattr(prefix_forward, "head_rows", lambda device: 3)
    monkeypatch.setattr(tally, "passes_ahead", lambda device: 1)


def branching(seed: int, rows: int = 12) -> list[list[int]]:
    """Rows that share prefixes of several lengths with earlier ones, over several levels; some are equal."""
    draw = np.random.default_rng(seed)
    made: list[list[int]] = [draw.integers(5, 60, 30).tolist()]
    for _ in range(rows - 1):
        base = made[int(draw.integers(len(made)))]
        made.append(
            base[: int(draw.integers(1, len(base) + 1))] + draw.integers(5, 60, int(draw.integers(1, 20))).tolist()
        )
    return [row[:100] for row in made]


@pytest.mark.parametrize(("width", "window"), [(8, None), (20, None), (8, 4), (20, 25)])
@pytest.mark.parametrize("budget", [7, 40, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_packed_attention_equals_that_by_segment(
    seed: int, budget: int, width: int, window: int | None, monkeypatch: pytest.MonkeyPatch, gpu_path: None
) -> None:
    monkeypatch.setattr(packed_attention, "GATHERED", 90)
    rule = kernels.Rule(window=window, sinks=torch.arange(6.0, dtype=torch.float64))
    plan = PrefixPlan([np.array(row, dtype=np.int32) for row in branching(seed)])
    draw = torch.Generator().manual_seed(seed)
    stacks = KeyValueStack(), KeyValueStack()
    cursor = plan.start()
    most = 0
    while not plan.done(cursor):
        work, cursor = plan.cut(cursor, budget)
        size = len(work.tokens)
        made = [torch.randn((1, heads, size, width), generator=draw, dtype=torch.float64) for heads in (6, 2, 2)]
        outputs = []
        for packs, stack in zip((True, False), stacks, strict=True):
            monkeypatch.setattr(attention, "packs", lambda query, packs=packs: packs)
            state = TreeState(work, stack, torch.device("cpu"))
            outputs.append(attend_tree(state, 0, *made, rule))
            state.commit()
        assert outputs[0].shape == (1, size, 6, width)
        torch.testing.assert_close(*outputs, atol=1e-12, rtol=1e-12)
        most = max(most, len(levels(work.crosses)))
    assert most > 1 or budget < 1000


def by_itself(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: kernels.Rule) -> torch.Tensor:
    """Attention [n, heads, d] of one row [heads, n, d] by the definition, in float64."""
    groups, size = query.shape[0] // key.shape[0], query.shape[1]
    scores = query @ key.repeat_interleave(groups, 0).transpose(-1, -2) * query.shape[-1] ** -0.5
    if rule.cap is not None:
        scores = torch.tanh(scores / rule.cap) * rule.cap
    back = torch.arange(size)[:, None] - torch.arange(size)
    scores = scores.masked_fill((back < 0) | (back >= (rule.window or size)), -torch.inf)
    weights = scores.exp()
    total = weights.sum(-1, keepdim=True)
    if rule.sinks is not None:
        total = total + rule.sinks.exp()[:, None, None]
    return (weights / total @ value.repeat_interleave(groups, 0)).transpose(0, 1)


@pytest.mark.parametrize(("window", "cap"), [(3, None), (9, 1.5), (40, None), (None, 1.5), (None, None)])
@pytest.mark.parametrize("sunk", [False, True])
@pytest.mark.parametrize(("budget", "block"), [(7, 256), (33, 256), (1000, 256), (1000, 4)])
def test_every_rule_of_scores_is_that_of_each_row_alone(
    window: int | None, cap: float | None, sunk: bool, budget: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows shorter and longer than segments, held paths cut away in whole and in part, long and short segments."""
    monkeypatch.setattr(layout, "BLOCK", block)
    monkeypatch.setattr(layout, "SMALL_SEGMENT", 12)
    draw = torch.Generator().manual_seed(1)
    rule = kernels.Rule(None, window, cap, torch.randn(6, generator=draw, dtype=torch.float64) if sunk else None)
    rows = branching(4, 14)
    table = {t: torch.randn((10, 8), generator=draw, dtype=torch.float64) for t in range(100)}
    turn = torch.randn((100, 10, 8), generator=draw, dtype=torch.float64)
    plan, stack = PrefixPlan([np.array(row, dtype=np.int32) for row in rows]), KeyValueStack()
    known: dict[tuple[int, ...], torch.Tensor] = {}
    for row in rows:
        made = torch.stack([table[token] + turn[at] for at, token in enumerate(row)], dim=1)
        for at, output in enumerate(by_itself(made[:6], made[6:8], made[8:], rule)):
            known[tuple(row[: at + 1])] = output
    path: list[int] = []
    cursor = plan.start()
    while not plan.done(cursor):
        work, cursor = plan.cut(cursor, budget)
        state = TreeState(work, stack, torch.device("cpu"))
        columns = [table[int(token)] + turn[at] for token, at in zip(work.tokens, work.positions, strict=True)]
        made = torch.stack(columns, dim=1)[None]
        output = attend_tree(state, 0, made[:, :6], made[:, 6:8], made[:, 8:], rule)
        state.commit()
        for place, (token, at) in enumerate(zip(work.tokens.tolist(), work.positions.tolist(), strict=True)):
            path = [*path[:at], token]
            torch.testing.assert_close(output[0, place], known[tuple(path)], atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 1e-4), (torch.bfloat16, 3e-2), (torch.float16, 4e-3)])
def test_a_bias_by_position_keeps_its_digits(dtype: torch.dtype, apart: float) -> None:
    """Biases of a thousand beside scores of one, where bfloat16 itself would round them to 4."""
    draw = torch.Generator().manual_seed(2)
    query, key, value = (torch.randn((1, heads, 30, 6), generator=draw).to(dtype) for heads in (4, 2, 2))
    bias = torch.tensor([0.5, 0.37, 0.1, 0.01])[:, None] * torch.arange(2000, 2030)
    work, _ = PrefixPlan([np.arange(30, dtype=np.int32)]).cut(Cursor(), 30)
    state = TreeState(work, KeyValueStack(), torch.device("cpu"))
    with attention.activate(state):
        output = own_attention.biased(0, query, key, value, bias, 0.7)
    whole = key.double().repeat_interleave(2, 1)
    scores = query.double() @ whole.transpose(-1, -2) * 0.7 + bias.double()[:, None]
    scores = scores.masked_fill(torch.ones(30, 30).triu(1).bool(), -torch.inf)
    expected = (scores.softmax(-1) @ value.double().repeat_interleave(2, 1)).transpose(1, 2).flatten(2)
    assert float((output.double() - expected).abs().max()) < apart


@pytest.mark.parametrize("kind", ["llama", "mistral_sliding"])
@pytest.mark.parametrize("budget", [16, 40, 700])
@pytest.mark.parametrize("seed", range(2))
def test_scores_of_the_packed_path_are_those_of_each_row_alone(
    seed: int, budget: int, kind: str, monkeypatch: pytest.MonkeyPatch, gpu_path: None
) -> None:
    monkeypatch.setattr(memory, "token_budget", lambda *_: budget)
    made = tiny.model(kind)
    shared = tiny.backend(made)
    assert shared.tree
    rows = [tiny.score_row([*prompt, 1, 2, 3], max(1, len(prompt) // 2)) for prompt in branching(seed)]
    reference = copy.deepcopy(made).double()
    for row, answer in zip(rows, tiny.answers(shared.score, rows), strict=True):
        assert answer.loglikelihood == pytest.approx(tiny.exact(reference, row), abs=1e-4)
    assert shared.meter.computed == shared.plan(rows).tokens_computed


def test_generations_of_the_packed_path_are_the_models_own(gpu_path: None) -> None:
    made = tiny.model("llama")
    asked = branching(5, 6)
    answers = tiny.answers(tiny.backend(made).generate, [tiny.generate_row(prompt, 6) for prompt in asked])
    for prompt, answer in zip(asked, answers, strict=True):
        assert answer.text == tiny.tokenizer().decode(tiny.own_generation(made, prompt, 6))


stretches = st.tuples(st.integers(0, 30), st.integers(1, 12)).map(lambda pair: (pair[0], sum(pair)))


@settings(max_examples=60, deadline=None)
@given(asked=st.lists(stretches, max_size=12))
def test_levels_are_as_few_as_the_overlaps_allow(asked: list[tuple[int, int]]) -> None:
    crosses = [Cross(begin, end, 0, 1) for begin, end in asked]
    found = levels(crosses)
    assert sorted(map(repr, crosses)) == sorted(repr(one) for level in found for one in level)
    for level in found:
        for before, after in pairwise(level):
            assert before.query_end <= after.query_begin
    assert len(found) == max((sum(a <= at < b for a, b in asked) for at in range(43)), default=0)


def test_memory_that_runs_out_while_passes_are_under_way_changes_no_score(
    monkeypatch: pytest.MonkeyPatch, gpu_path: None
) -> None:
    monkeypatch.setattr(memory, "token_budget", lambda *_: 64)
    rows = [tiny.score_row(prompt, 1) for prompt in branching(3, 20)]
    shared = tiny.backend(tiny.model("llama"))
    expected = tiny.answers(shared.score, rows)
    own, refused = prefix_forward.TreeRunner.hidden, []

    def hidden(runner: Any, work: Any) -> Any:
        if len(work.tokens) > 30 and work.read_index.size and work.held:
            refused.append(len(work.tokens))
            raise torch.OutOfMemoryError("provoked")
        return own(runner, work)

    monkeypatch.setattr(prefix_forward.TreeRunner, "hidden", hidden)
    got = tiny.answers(shared.score, rows)
    assert refused
    for one, other in zip(got, expected, strict=True):
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=1e-4)


def test_a_held_path_that_cannot_grow_in_one_layer_stays_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second layer runs out of memory after the first has grown: the pass is repeated on the old path."""
    monkeypatch.setattr(memory, "token_budget", lambda *_: 64)
    own, calls = KeyValueStack.grown_copy, [0]
    held = torch.arange(4.0).reshape(1, 1, 4, 1)

    def grow(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 4:
            raise torch.OutOfMemoryError("provoked")
        return own(*arguments)

    monkeypatch.setattr(KeyValueStack, "grown_copy", staticmethod(grow))
    plan = PrefixPlan([np.arange(4, dtype=np.int32)])
    work, _ = plan.cut(plan.start(), 4)
    stack = KeyValueStack()
    state = TreeState(work, stack, torch.device("cpu"), kept={layer: [(0, held, held)] for layer in (0, 1)})
    state.commit()
    longer = torch.full((1, 1, 300, 1), -1.0)
    state = TreeState(work, stack, torch.device("cpu"), kept={layer: [(2, longer, longer)] for layer in (0, 1)})
    with pytest.raises(torch.OutOfMemoryError):
        state.commit()
    for layer in (0, 1):
        assert stack.read(layer, 4)[0].flatten().tolist() == [0, 1, 2, 3]
    state.commit()
    assert stack.read(1, 5)[1].flatten().tolist() == [0, 1, -1, -1, -1]


@pytest.mark.parametrize("window", [None, 4])
def test_a_decoding_step_with_folded_heads_equals_the_other(window: int | None) -> None:
    draw = torch.Generator().manual_seed(0)
    slots = kv_pool.Pool()
    like = torch.randn((1, 2, 1, 8), generator=draw)
    slots.reserve(3, 20, {0: (like, like)})
    for tensor in slots.layer(0):
        tensor.copy_(torch.randn(tensor.shape, generator=draw))
    query, key, value = (torch.randn((1, heads, 3, 8), generator=draw) for heads in (6, 2, 2))
    step = kv_pool.Step(slots, [0, 0, 0], [5, 1, 17], torch.device("cpu"))
    rule = kernels.Rule(0.4, window)
    expected = step.attend(0, query, key, value, rule)
    assert expected.shape == (1, 3, 6, 8)
    torch.testing.assert_close(step.attend_grouped(query, *[t[:, :, :18] for t in slots.layer(0)], rule), expected)


@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("cap", [None, 5.0])
@pytest.mark.parametrize("sinks", [False, True])
def test_a_decoding_step_in_runs_equals_the_whole(
    window: int | None, cap: float | None, sinks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = [5, 6, 1, 17, 16, 2]

    def answered(call: int) -> tuple[torch.Tensor, int]:
        monkeypatch.setattr(kv_pool, "CALL", call)
        draw = torch.Generator().manual_seed(0)
        slots = kv_pool.Pool()
        like = torch.randn((1, 2, 1, 8), generator=draw)
        slots.reserve(len(lengths), 20, {0: (like, like)})
        for tensor in slots.layer(0):
            tensor.copy_(torch.randn(tensor.shape, generator=draw))
        query, key, value = (torch.randn((1, heads, len(lengths), 8), generator=draw) for heads in (6, 2, 2))
        step = kv_pool.Step(slots, [0] * len(lengths), lengths, torch.device("cpu"))
        rule = kernels.Rule(0.4, window, cap, torch.linspace(-1, 1, 6) if sinks else None)
        return step.attend(0, query, key, value, rule), len(step._runs)

    whole, one = answered(10_000)
    parts, several = answered(4)
    assert (one, several) == (1, 4)
    torch.testing.assert_close(parts, whole)


def test_runs_cover_every_slot_and_pad_little() -> None:
    lengths = np.random.default_rng(0).integers(1, 3000, 64).tolist()
    for call in (0, 100, 512, 10**9):
        runs = kv_pool.runs_of(lengths, call)
        assert [slot for begin, end, _ in runs for slot in range(begin, end)] == list(range(64))
        for begin, end, longest in runs:
            assert longest == max(lengths[begin:end])
        padded = sum((end - begin) * longest for begin, end, longest in runs)
        assert padded <= sum(lengths) + call * 64
    assert len(kv_pool.runs_of(lengths, 10**9)) == 1
