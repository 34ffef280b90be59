"""vLLM's engine beside transformers on the same weights, and its two ways of scoring beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from vllm_runs import responses

from evalkit.backends.vllm.scoring import Powers, Scorer
from evalkit.contract.backend import GenerateRow, LoglikelihoodResult, LoglikelihoodRow
from evalkit.contract.types import UNFINISHED, Generate, Rolling, Sampling
from evalkit.engine import answer
from evalkit.perf.meter import Meter
from evalkit.spec.models import EngineSpec

pytestmark = pytest.mark.model

TASKS = ["mmlu_anatomy@5shot", "hellaswag@2shot", "arc_easy", "boolq"]
NEAR = 1e-3


def rows_of(engine: Any, pairs: list[tuple[str, str]]) -> list[LoglikelihoodRow]:
    made = []
    for context, continuation in pairs:
        head, tail = engine.encode([context, continuation], False)
        made.append(LoglikelihoodRow(np.array(head + tail, dtype=np.int32), len(head)))
    return made


def scored(scorer: Any, rows: list[LoglikelihoodRow]) -> list[LoglikelihoodResult]:
    found: dict[int, Any] = {}
    scorer.score(rows, found.__setitem__)
    assert sorted(found) == list(range(len(rows)))
    assert all(isinstance(one, LoglikelihoodResult) for one in found.values()), found
    return [found[index] for index in range(len(rows))]


def plainly(engine: Any) -> Scorer:
    """The way of --no-share-prefixes, on the same engine."""
    return Scorer(engine.scorer.run, engine.scorer.sampling_type, Powers(), 1, 0, Meter())


def near(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert mine[0] == pytest.approx(other[0], abs=NEAR)
    assert sum(mine[1] != other[1] for mine, other in zip(ours, theirs, strict=True)) == 0


def test_this_version_can_all_that_is_made_use_of(engine: Any) -> None:
    assert engine.scorer.powers == Powers(names_tokens=True, reads_cache=True, flat=True)
    assert engine.info.details["scoring"] == "a request a context, the rest behind the prefix cache"
    assert engine.info.device == "cpu"


def test_scores_of_tasks_are_those_of_transformers(engine: Any, hf: Any, tmp_path: Path) -> None:
    before = engine.meter.copy()
    ours = responses(engine, TASKS, tmp_path / "vllm", limit=3)
    theirs = responses(hf, TASKS, tmp_path / "hf", limit=3)
    assert ours.keys() == theirs.keys()
    for task in ours:
        near(ours[task], theirs[task])
    assert engine.scorer.asked_again == 0
    given, computed = engine.meter.given - before.given, engine.meter.computed - before.computed
    assert engine.meter.unshared == 0
    assert computed < 0.5 * given  # contexts are read once, and what the contexts of a task share, too


def test_a_conversation_is_scored_as_by_transformers(engine: Any, hf: Any, tmp_path: Path) -> None:
    settings = {"limit": 3, "chat_template": True, "system": "You are terse.", "fewshot_as_multiturn": True}
    ours = responses(engine, ["arc_easy@1shot"], tmp_path / "vllm", **settings)
    theirs = responses(hf, ["arc_easy@1shot"], tmp_path / "hf", **settings)
    near(ours["arc_easy"], theirs["arc_easy"])


def test_both_ways_give_the_same_values(engine: Any) -> None:
    story = "In the year of the flood a miller and his daughter left the valley with one cart and no horse. " * 4
    rows = rows_of(
        engine,
        [(story + end, last) for end in ("So", "Then they") for last in (" A", " B", " walked to the sea", " walked")]
        + [("Hi", " there"), ("Hi", " there, how are you?"), ("Once", " upon a time")],
    )
    both = scored(engine, rows), scored(plainly(engine), rows)
    near(*([(one.loglikelihood, one.is_greedy) for one in part] for part in both))


def test_continuations_that_share_blocks_of_the_cache(engine: Any) -> None:
    """What the cache holds behind the context of one continuation has its values from the one before it."""
    block = engine.scorer.block
    text = engine.encode(
        ["A long walk through the hills of the north, where rain falls on stone and moss. " * 12], False
    )[0]
    begin = 2 * block  # a context that ends with a block: all of it is cached
    rows = [
        LoglikelihoodRow(np.array(text[:end] + last, dtype=np.int32), begin)
        for end in (begin + 1, begin + block + 2, begin + 2 * block + 3)
        for last in ([], [text[5]], [text[7], text[8]])
    ]
    again = engine.scorer.asked_again
    both = scored(engine, rows), scored(plainly(engine), rows)
    near(*([(one.loglikelihood, one.is_greedy) for one in part] for part in both))
    assert engine.scorer.asked_again == again  # the second time everything is cached, far behind the contexts:
    near(*([(one.loglikelihood, one.is_greedy) for one in part] for part in (scored(engine, rows), both[1])))
    assert engine.scorer.asked_again > again


def test_a_cache_smaller_than_the_work_is_used_in_portions(engine: Any) -> None:
    rows = rows_of(
        engine, [(f"Question {n}: is {n} even? " * 12, last) for n in range(12) for last in (" yes", " no, never")]
    )
    small = Scorer(
        engine.scorer.run, engine.scorer.sampling_type, engine.scorer.powers, engine.scorer.block, 600, Meter()
    )
    both = scored(small, rows), scored(plainly(engine), rows)
    near(*([(one.loglikelihood, one.is_greedy) for one in part] for part in both))


def test_whole_texts(engine: Any, hf: Any) -> None:
    """In three windows, the last of them shorter; each as long as the model's."""
    text = Rolling("A cat sat on a mat and looked at the rain. " * 320)
    ours, theirs = (answer(one, [text], None, EngineSpec())[0] for one in (engine, hf))
    assert ours.loglikelihood == pytest.approx(theirs.loglikelihood, abs=NEAR)


def generated(engine: Any, text: str, until: tuple[str, ...], most: int) -> Any:
    row = GenerateRow(np.array(engine.encode([text], False)[0], dtype=np.int32), until, most, Sampling())
    found: dict[int, Any] = {}
    engine.generate([row], found.__setitem__)
    return found[0]


@pytest.mark.parametrize("until", [(), ("\n",), (" the", "."), ("<|im_end|>",)])
def test_greedy_texts_and_stops_are_those_of_transformers(engine: Any, hf: Any, until: tuple[str, ...]) -> None:
    prompts = ["The capital of France is", "<|im_start|>user\nSay hello.<|im_end|>\n<|im_start|>assistant\n"]
    for prompt in prompts:
        ours, theirs = generated(engine, prompt, until, 24), generated(hf, prompt, until, 24)
        assert (ours.text, ours.finish) == (theirs.text, theirs.finish)


def test_greedy_texts_of_a_task(engine: Any, hf: Any, tmp_path: Path) -> None:
    before = engine.meter.copy()
    ours = responses(engine, ["triviaqa@2shot"], tmp_path / "vllm", limit=4)
    assert ours == responses(hf, ["triviaqa@2shot"], tmp_path / "hf", limit=4)
    assert len(engine.meter.ttft_seconds) - len(before.ttft_seconds) == 4
    assert engine.meter.generated > before.generated
    assert min(engine.meter.ttft_seconds) > 0


def test_stops_count_behind_a_thought_as_on_transformers(engine: Any, hf: Any) -> None:
    """The examples show a thought before each answer; vLLM is asked anew where it stopped within one."""
    shown = "".join(f"Q: {word}\nA: <think>It is so. So</think> yes, {word}.\n\n" for word in ("one", "two", "three"))
    opened = f"{shown}Q: four\nA: <think>"
    asked = [
        Generate(opened, ("\n", "."), 24),
        Generate(opened, (" ",), 3),
        Generate(opened.removesuffix(" <think>"), ("\n", "."), 24),
    ]
    ours, theirs = (answer(one, asked, None, EngineSpec()) for one in (engine, hf))
    assert [(one.text, one.thought, one.finish) for one in ours] == [
        (one.text, one.thought, one.finish) for one in theirs
    ]
    assert ours[0].thought is not None
    assert ours[1].finish == UNFINISHED
