"""Every request of every native task is lm-evaluation-harness's own, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lm_eval_mirror
import pytest

from evalkit.contract.types import Generate, Message, PromptStyle, Score
from evalkit.spec.models import ModelSpec, RunSpec, TaskSpec
from evalkit.task.catalog import resolve

TASKS = ["mmlu_anatomy", "mmlu_high_school_us_history", "mmlu_computer_security", *lm_eval_mirror.FILES]
NO_TRAIN = "google-research-datasets/nq_open"
DOCUMENTS = 10
pytestmark = [pytest.mark.mirror, pytest.mark.lm_eval]


def chat(messages: Sequence[Message], add_generation_prompt: bool) -> str:
    text = "".join(f"<{message.role}>{message.content}</{message.role}>\n" for message in messages)
    return text + ("<assistant>" if add_generation_prompt else "")


def lm_eval_chat(messages: Sequence[dict[str, str]], add_generation_prompt: bool = True) -> str:
    return chat([Message(**message) for message in messages], add_generation_prompt)


def extra_splits() -> lm_eval_mirror.Extra:
    """The mirror has no train split of nq_open; the tail of its validation split stands in on both sides."""
    return {(NO_TRAIN, "train"): lm_eval_mirror.rows(NO_TRAIN, None, "validation")[-60:]}


def ours(name: str, shots: int, style: PromptStyle) -> list[tuple[Any, ...]]:
    spec = RunSpec(model=ModelSpec(name="m"), tasks=(TaskSpec(name=name, num_fewshot=shots),))
    task = resolve(spec).tasks[0]
    documents = task.documents(lm_eval_mirror.Mirror(extra_splits()))[:DOCUMENTS]
    asked = [request for requests in task.requests(documents, style) for request in requests]
    return [as_arguments(request) for request in asked]


def as_arguments(request: Any) -> tuple[Any, ...]:
    if isinstance(request, Score):
        return (request.context, request.continuation)
    assert isinstance(request, Generate)
    return (request.context, list(request.until), request.sampling.temperature, request.max_tokens)


def theirs(name: str, shots: int, style: PromptStyle) -> list[tuple[Any, ...]]:
    with lm_eval_mirror.patched(extra_splits()):
        task = lm_eval_mirror.build(name)
    if task.config.num_fewshot != 0:
        task.set_config("num_fewshot", shots)
    task.set_fewshot_seed(1234)
    task.build_all_requests(
        limit=DOCUMENTS,
        system_instruction=style.system,
        apply_chat_template=style.chat is not None,
        fewshot_as_multiturn=style.multiturn,
        chat_template=lm_eval_chat if style.chat is not None else None,
    )
    found = []
    for instance in task.instances:
        context, second = instance.args[:2]
        if instance.request_type == "generate_until":
            found.append((context, second["until"], second["temperature"], second.get("max_gen_toks", 256)))
        else:
            found.append((context, second))
    return found


STYLES = {
    "plain": PromptStyle(),
    "plain, system": PromptStyle(system="Be brief."),
    "chat, turns": PromptStyle(chat=chat, multiturn=True),
    "chat, one turn, system": PromptStyle(chat=chat, multiturn=False, system="Be brief."),
}


@pytest.mark.parametrize("name", TASKS)
def test_requests_equal_lm_evals(name: str) -> None:
    for shots in (0, 3):
        for label, style in STYLES.items():
            mine, reference = ours(name, shots, style), theirs(name, shots, style)
            assert len(mine) >= DOCUMENTS
            assert mine == reference, f"{name}, {shots} shots, {label}"


def test_shots_are_seen() -> None:
    """The comparison above would also hold if neither side showed examples."""
    assert ours("mmlu_anatomy", 3, PromptStyle())[0][0].count("Answer:") == 4
    assert ours("hellaswag", 3, PromptStyle())[0][0].count("\n\n") >= 3
