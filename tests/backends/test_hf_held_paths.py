"""Passes that begin inside a shared prefix and end inside another: what was held must serve the rows that end here
before it makes room for the next path.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers")

import tiny_models as tiny

from evalkit.backends.hf import memory


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny.model("llama")


def branching(seed: int) -> list[list[int]]:
    """Prompts of several lengths that share prefixes of several lengths."""
    draw = np.random.default_rng(seed)
    trunk = draw.integers(5, 60, 30).tolist()
    rows = []
    for _ in range(10):
        keep = int(draw.integers(1, 30))
        rows.append(trunk[:keep] + draw.integers(5, 60, int(draw.integers(1, 40))).tolist())
    return rows


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [16, 23, 64])
def test_generations_equal_those_of_each_prompt_alone(
    llama: Any, seed: int, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [tiny.generate_row(prompt, 6) for prompt in branching(seed)]
    alone = [tiny.answers(tiny.backend(llama).generate, [row])[0] for row in rows]
    monkeypatch.setattr(memory, "token_budget", lambda *_: budget)
    assert tiny.answers(tiny.backend(llama).generate, rows) == alone


@pytest.mark.parametrize("seed", range(4))
def test_a_reading_that_runs_out_of_memory_leaves_the_held_path_alone(
    llama: Any, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from evalkit.backends.hf.prefix_forward import TreeRunner

    rows = [tiny.score_row(prompt, 1) for prompt in branching(seed)]
    monkeypatch.setattr(memory, "token_budget", lambda *_: 40)
    backend = tiny.backend(llama)
    expected = tiny.answers(backend.score, rows)
    read, calls = TreeRunner.read, [0]

    def failing(self: Any, *arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == 3:
            raise torch.OutOfMemoryError("provoked")
        return read(self, *arguments)

    monkeypatch.setattr(TreeRunner, "read", failing)
    got = tiny.answers(backend.score, rows)
    assert calls[0] > 3
    for one, other in zip(got, expected, strict=True):
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=1e-4)
