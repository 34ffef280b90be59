"""Every architecture, on whatever path and in whatever batches: transformers' own numbers of each row by itself."""

from __future__ import annotations

import copy
from typing import Any

import architectures
import numpy as np
import pytest
import tiny_models as tiny
from architectures import ARCHITECTURES, made

from evalkit.backends.hf import parameters

ENGINES: dict[str, dict[str, Any]] = {
    "auto": {},
    "three": {"batch_size": 3},
    "plain": {"share_prefixes": False},
    "plain one": {"share_prefixes": False, "batch_size": 1},
    "plain three": {"share_prefixes": False, "batch_size": 3},
}


def _rows() -> list[Any]:
    """Rows that share beginnings, of 3 to 90 tokens: within and beyond every window of the models."""
    draw = np.random.default_rng(3).integers(0, tiny.VOCABULARY - 1, 400)
    stems = [draw[:2], draw[2:7], draw[20:60], draw[20:100]]
    tails = [draw[300:301], draw[301:305], draw[305:315]]
    return [tiny.score_row([*stem, *tail], len(stem)) for stem in stems for tail in tails]


ROWS = _rows()
PROMPTS = [row.tokens[: row.start].tolist() for row in ROWS[::3]]
PROMPTS += [ROWS[7].tokens[:26].tolist(), ROWS[10].tokens[30:56].tolist()]  # two of one length
NEW = 8


@pytest.fixture(scope="module", params=ARCHITECTURES)
def own(request: pytest.FixtureRequest) -> tuple[str, list[float], list[str]]:
    """What transformers says of each row by itself, and how it goes on from each prompt, from a fresh model."""
    name = str(request.param)
    scores = [tiny.exact(copy.deepcopy(architectures.made(name)), row) for row in ROWS]
    texts = [
        tiny.tokenizer().decode(tiny.own_generation(copy.deepcopy(architectures.made(name)), prompt, NEW))
        for prompt in PROMPTS
    ]
    return name, scores, texts


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_answered_as_by_themselves(own: tuple[str, list[float], list[str]], engine: str) -> None:
    name, scores, texts = own
    backend = tiny.backend(architectures.made(name), name, max_length=128, **ENGINES[engine])
    if "share_prefixes" not in ENGINES[engine]:
        assert backend.info.details["path"].split()[0] == ARCHITECTURES[name][2], backend.info.details["path"]
    found = [answer.loglikelihood for answer in tiny.answers(backend.score, ROWS)]
    assert found == pytest.approx(scores, abs=1e-3)
    made = [answer.text for answer in tiny.answers(backend.generate, [tiny.generate_row(p, NEW) for p in PROMPTS])]
    assert made == texts
    again = [answer.loglikelihood for answer in tiny.answers(backend.score, ROWS[:4])]
    assert again == pytest.approx(scores[:4], abs=1e-3), "what was asked before must not show"


@pytest.mark.parametrize("shared", [True, False], ids=["tree", "plain"])
@pytest.mark.parametrize("name", ["recurrent_gemma", "gemma2", "cohere", "granite"])
def test_half_precision_keeps_what_a_head_does_to_its_logits(name: str, shared: bool) -> None:
    """Logits of tiny models lie far below their caps: a head without one passes for the right one in float16."""
    exact = np.array([tiny.exact(copy.deepcopy(architectures.made(name)), row) for row in ROWS])
    half = copy.deepcopy(architectures.made(name)).half()
    backend = tiny.backend(half, name, max_length=128, share_prefixes=shared)
    ours = np.array([answer.loglikelihood for answer in tiny.answers(backend.score, ROWS)])
    theirs = np.array([tiny.exact(copy.deepcopy(half), row) for row in ROWS])
    assert np.abs(ours - exact).mean() <= 2 * np.abs(theirs - exact).mean() + 0.005


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters_are_counted_as_transformers_does(name: str) -> None:
    assert parameters.count(made(name)) == made(name).num_parameters()
