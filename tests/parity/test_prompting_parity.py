"""Chat templates, long texts and cut-off prompts: evalkit and lm-eval's transformers model on the same input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lm_eval_side
import pytest
from our_side import run

from evalkit.contract.types import Generate, Request, Rolling, Score
from evalkit.engine import answer
from evalkit.spec.models import EngineSpec, ModelSpec, TaskSpec

pytestmark = [pytest.mark.model, pytest.mark.lm_eval, pytest.mark.slow]

STORY = (
    "The harbour lay quiet under a low sky, and the boats knocked against the wall. Nobody had gone out since the "
    "storm, and the nets hung stiff with salt. Marta counted the lamps along the pier: nine of them, two broken. "
)
ENGINES = [EngineSpec(), EngineSpec(share_prefixes=False, batch_size=3)]
engines = pytest.mark.parametrize("engine_spec", ENGINES, ids=["shared", "plain"])


@pytest.mark.mirror
@pytest.mark.parametrize("multiturn", [True, False])
def test_with_the_chat_template(
    multiturn: bool, lm: Any, model_spec: ModelSpec, mirror: Path, tmp_path: Path, largest: Callable[[str, float], None]
) -> None:
    tasks = {"mmlu_anatomy": 3, "triviaqa": 2}
    theirs = lm_eval_side.evaluate(
        lm, mirror, tasks, num_fewshot=2, apply_chat_template=True, fewshot_as_multiturn=multiturn,
        system_instruction="Be brief.",
    )  # fmt: skip
    chatting = model_spec.model_copy(
        update={"chat_template": True, "system": "Be brief.", "fewshot_as_multiturn": multiturn}
    )
    specs = [TaskSpec(name=name, num_fewshot=2, limit=count) for name, count in tasks.items()]
    ours = run(chatting, specs, mirror, tmp_path / "run")
    for name, reference in theirs.items():
        lm_eval_side.assert_same_answers(ours[name], reference, lambda value: largest("with the chat template", value))
        lm_eval_side.assert_same_metrics(ours[name], reference)


@engines
def test_a_text_longer_than_the_window_is_scored_in_the_same_windows(
    engine_spec: EngineSpec, their_parts: Any, backend_of: Any, largest: Callable[[str, float], None]
) -> None:
    # Upper case, so that no two windows have the same tokens: lm-eval 0.4.13 would score the second of two that differ
    # only in where their context ends by the first one's positions (its logits cache knows tokens alone).
    texts = [STORY * 11, STORY[:60], " " + STORY.upper()]
    lm = lm_eval_side.load(*their_parts, max_length=128)
    theirs = lm.loglikelihood_rolling(lm_eval_side.requests(*((text,) for text in texts)), disable_tqdm=True)
    ours = answer(backend_of(engine_spec, max_length=128), [Rolling(text) for text in texts], None, engine_spec)
    assert ours[0].prompt_tokens > 4 * 128
    for mine, expected in zip(ours, theirs, strict=True):
        assert mine.status == "ok"
        largest("windows of 128 tokens", abs(mine.loglikelihood - expected))
        assert mine.loglikelihood == pytest.approx(expected, abs=1e-3)


@engines
def test_windows_with_the_same_tokens_but_other_contexts_are_kept_apart(
    engine_spec: EngineSpec, backend_of: Any
) -> None:
    backend = backend_of(engine_spec, max_length=128)
    texts = [Rolling(STORY * 11), Rolling(" " + STORY * 3)]
    together = answer(backend, texts, None, engine_spec)
    alone = [answer(backend, [text], None, engine_spec)[0] for text in texts]
    for one, other in zip(together, alone, strict=True):
        assert one.loglikelihood == pytest.approx(other.loglikelihood, abs=1e-4)


@engines
def test_a_prompt_longer_than_the_window_loses_its_left_end(
    engine_spec: EngineSpec, their_parts: Any, backend_of: Any, largest: Callable[[str, float], None]
) -> None:
    lm = lm_eval_side.load(*their_parts, max_length=64)
    backend = backend_of(engine_spec, max_length=64)
    pairs = [(STORY * 3, " Marta"), (STORY * 3, " She counted them again, slowly"), ("Short:", " yes"), ("", "The sea")]
    theirs = lm.loglikelihood(lm_eval_side.requests(*pairs), disable_tqdm=True)
    ours = answer(backend, [Score(*pair) for pair in pairs], None, engine_spec)
    for mine, (expected, greedy) in zip(ours, theirs, strict=True):
        largest("prompts cut to 64 tokens", abs(mine.loglikelihood - expected))
        assert mine.loglikelihood == pytest.approx(expected, abs=1e-3)
        assert mine.is_greedy == greedy
    whole = [len(backend.encode([context + continuation])[0]) for context, continuation in pairs[:2]]
    # The window holds 64 tokens of input, and the last token is only predicted.
    assert [one.truncated for one in ours] == [whole[0] - 65, whole[1] - 65, 0, 0]


@engines
def test_a_generation_prompt_longer_than_the_window_loses_its_left_end(
    engine_spec: EngineSpec, their_parts: Any, backend_of: Any
) -> None:
    lm = lm_eval_side.load(*their_parts, max_length=64)
    backend = backend_of(engine_spec, max_length=64)
    prompts = [STORY * 3, STORY[:100]]
    settings = {"until": ["."], "max_gen_toks": 12, "do_sample": False}
    theirs = lm.generate_until(lm_eval_side.requests(*((text, dict(settings)) for text in prompts)), disable_tqdm=True)
    asked: list[Request] = [Generate(text, (".",), 12) for text in prompts]
    ours = answer(backend, asked, None, engine_spec)
    assert [one.text for one in ours] == theirs
    assert [one.truncated for one in ours] == [len(backend.encode(prompts[:1])[0]) - (64 - 12), 0]


def test_refusing_overlong_prompts_is_a_status(backend_of: Any) -> None:
    backend = backend_of(EngineSpec(), max_length=64)
    for policy, status in (("skip", "unscored"), ("error", "error")):
        spec = EngineSpec.model_validate({"overlength": policy})
        (response,) = answer(backend, [Score(STORY * 3, " Marta")], None, spec)
        assert response.status == status
        assert "do not fit the model's window of 64" in str(response.error)
        assert response.loglikelihood is None
