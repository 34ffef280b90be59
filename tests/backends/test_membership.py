"""Min-k% and Min-k%++ on a tiny model that has learnt some texts: those are found, and equal to the formulas."""

from __future__ import annotations

import random
import string

import numpy as np
import pytest
import tiny_models as tiny
import torch

from evalkit.backends.hf.backend import HfBackend
from evalkit.probes.contamination.membership import compared, scores


def line(seed: int) -> str:
    draw = random.Random(seed)
    return "".join(draw.choice(string.ascii_lowercase) for _ in range(40))


SEEN, UNSEEN = [line(number) for number in range(8)], [line(number) for number in range(100, 108)]


@pytest.fixture(scope="module")
def trained() -> HfBackend:
    made = tiny.model("llama", initializer_range=0.05)
    made.train()
    rows = torch.tensor([[made.config.eos_token_id, *tiny.tokenizer()(one)["input_ids"]] for one in SEEN])
    optimizer = torch.optim.Adam(made.parameters(), lr=2e-2)
    for _ in range(60):
        loss = made(input_ids=rows, labels=rows).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return tiny.backend(made.eval())


def test_learnt_texts_are_told_from_others(trained: HfBackend) -> None:
    found = compared(scores(trained, SEEN), scores(trained, UNSEEN))
    assert found.area is not None
    assert found.area_pp is not None
    assert min(found.area[0], found.area_pp[0]) > 0.9
    assert found.suspicious
    assert (found.n, found.n_unseen) == (8, 8)


def test_a_model_that_has_seen_neither_tells_nothing() -> None:
    clean = tiny.backend(tiny.model("llama"))
    many = [[line(number) for number in part] for part in (range(200, 240), range(300, 340))]
    found = compared(scores(clean, many[0]), scores(clean, many[1]))
    assert found.area is not None
    assert found.area[1][0] < 0.5 < found.area[1][1]
    assert not found.suspicious
    alone = compared(scores(clean, SEEN), [])
    assert alone.area is None
    assert not alone.suspicious


def test_scores_are_the_formulas_of_the_papers(trained: HfBackend) -> None:
    (found,) = scores(trained, UNSEEN[:1], k=20)
    tokens = torch.tensor([[trained.prefix_id, *trained.encode(UNSEEN[:1])[0]]])
    with torch.inference_mode():
        logs = trained.model(input_ids=tokens).logits[0, :-1].double().log_softmax(-1)
    own = logs.gather(1, tokens[0, 1:, None])[:, 0].numpy()
    share = logs.exp().numpy()
    mean = (share * logs.numpy()).sum(1)
    spread = np.sqrt((share * (logs.numpy() - mean[:, None]) ** 2).sum(1))
    count = int(len(own) * 0.2)
    assert found.min_k == pytest.approx(np.sort(own)[:count].mean(), abs=1e-5)
    assert found.min_k_pp == pytest.approx(np.sort((own - mean) / spread)[:count].mean(), abs=1e-4)


def test_short_and_long_texts_are_counted(trained: HfBackend) -> None:
    found = compared(scores(trained, ["abc", "a" * 300]), [])
    assert (found.n, found.left_out, found.cut) == (1, 1, 1)
