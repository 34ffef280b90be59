"""Generation settings against lm-eval's own reading of them."""

from __future__ import annotations

import pytest

from evalkit.task.lm_eval.requests import generation

pytestmark = pytest.mark.lm_eval


@pytest.mark.parametrize(
    "settings",
    [
        {"until": ["\n", "."]},
        {"until": "\n\n", "max_gen_toks": 5},
        {"until": [], "max_new_tokens": 9, "max_tokens": 4},
        {"until": ["x"], "max_completion_tokens": "8"},
        {"until": ["x"], "do_sample": False, "temperature": 0.7},
        {"until": ["x"], "temperature": 0.7, "top_p": 0.5, "top_k": 3},
        {"until": ["x"], "do_sample": True, "temperature": 1.5},
        {"until": ["x"], "temperature": "0.0"},
    ],
)
def test_settings_equal_lm_evals(settings: dict) -> None:
    from lm_eval.models.utils import normalize_gen_kwargs

    theirs = normalize_gen_kwargs(settings)
    ours = generation("context", settings, seed=3)
    assert list(ours.until) == theirs["until"]
    assert ours.max_tokens == theirs["max_gen_toks"]
    sampled = theirs["do_sample"]
    assert ours.sampling.temperature == (float(settings["temperature"]) if sampled else 0.0)
    assert ours.sampling.seed == 3


def test_sampling_without_a_temperature_is_at_one() -> None:
    assert generation("c", {"do_sample": True}, seed=1).sampling.temperature == 1.0


def test_other_settings_stand_sorted_in_extra() -> None:
    request = generation("c", {"num_beams": 2, "bad": [[1], {"b": 1}], "top_k": 5}, seed=1, repeat=2)
    assert request.sampling.extra == (("bad", ((1,), (("b", 1),))), ("num_beams", 2))
    assert hash(request) == hash(request)
    # Greedy: nothing is drawn, so the repeat and the settings of drawing make no other question.
    assert (request.repeat, request.sampling.top_k) == (0, 0)
    assert generation("c", {"temperature": 0.5, "top_k": 5}, seed=1, repeat=2).repeat == 2


def test_no_stop_strings() -> None:
    assert generation("c", {"until": None}, seed=1).until == ()
    assert generation("c", {"until": ["", "x"]}, seed=1).until == ("x",)
