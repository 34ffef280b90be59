"""A drawn token comes out of the distribution that transformers' own processors leave, and does not depend on noise."""

from __future__ import annotations

import pytest
import torch

from evalkit.backends.hf.sampling import FIRST, draw

DRAWS = 3_000


def left_by_transformers(logits: torch.Tensor, temperature: float, top_k: int, top_p: float) -> torch.Tensor:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scores = TemperatureLogitsWarper(temperature)(None, logits[None].double())
    if top_k:
        scores = TopKLogitsWarper(top_k)(None, scores)
    if top_p < 1.0:
        scores = TopPLogitsWarper(top_p)(None, scores)
    return scores[0].softmax(dim=-1)


@pytest.mark.parametrize("top_k", [0, 7])
@pytest.mark.parametrize("top_p", [1.0, 0.8, 1e-9])
@pytest.mark.parametrize("temperature", [0.5, 1.3])
def test_draws_follow_the_distribution(temperature: float, top_k: int, top_p: float) -> None:
    from scipy.stats import chisquare

    logits = torch.randn(40, generator=torch.Generator().manual_seed(3)) * 2
    logits[5] = -torch.inf
    due = left_by_transformers(logits, temperature, top_k, top_p)
    source = torch.Generator().manual_seed(1)
    found = torch.zeros(40)
    for _ in range(DRAWS):
        found[draw(logits, temperature, top_k, top_p, source)] += 1
    assert not found[due == 0].any()
    often = due * DRAWS >= 5
    assert found[often].sum() > 0.95 * DRAWS
    if int(often.sum()) > 1:
        expected = due[often] / due[often].sum() * found[often].sum()
        assert chisquare(found[often].numpy(), expected.numpy()).pvalue > 1e-4


def test_a_nucleus_wider_than_the_first_look_is_whole() -> None:
    logits = torch.randn(4 * FIRST, generator=torch.Generator().manual_seed(4)) * 0.1
    due = left_by_transformers(logits, 1.0, 0, 0.9)
    source = torch.Generator().manual_seed(2)
    drawn = {draw(logits, 1.0, 0, 0.9, source) for _ in range(4 * DRAWS)}
    kept = set(torch.nonzero(due).flatten().tolist())
    assert drawn <= kept
    assert len(drawn) > 0.99 * len(kept) > FIRST


def test_rounding_hardly_changes_a_draw() -> None:
    logits = torch.randn(1000, generator=torch.Generator().manual_seed(5))
    noisy = logits + 1e-6 * torch.randn(1000, generator=torch.Generator().manual_seed(6))
    one, other = (torch.Generator().manual_seed(7) for _ in range(2))
    same = [draw(logits, 1.0, 0, 1.0, one) == draw(noisy, 1.0, 0, 1.0, other) for _ in range(1000)]
    assert sum(same) >= 998


@pytest.mark.parametrize("top_p", [1.0, 0.5])
def test_the_smallest_temperature_takes_the_likeliest(top_p: float) -> None:
    logits = torch.randn(1000, generator=torch.Generator().manual_seed(8))
    logits[3] = -torch.inf
    for temperature in (1e-3, 1e-300, 5e-324):
        assert draw(logits, temperature, 0, top_p, None) == int(logits.argmax())
