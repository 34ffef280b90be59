"""What a run would ask, without asking it: `evalkit prompts export`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from evalkit.backends import opening
from evalkit.contract.capabilities import KnowsTarget, traits
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, PromptStyle, Request, Score
from evalkit.data import open_source
from evalkit.runner.evaluate import load_workloads
from evalkit.runner.styling import LaterChat, measured, transcript
from evalkit.runner.workload import Workload
from evalkit.spec.models import ModelSpec, RunSpec
from evalkit.store.files import plain
from evalkit.store.held import images_of
from evalkit.store.pictures import sha256
from evalkit.store.samples import prompt_of
from evalkit.task import catalog
from evalkit.task.generative_choice import by_generation


def prompts(spec: RunSpec) -> Iterator[dict[str, Any]]:
    """One mapping a document: task, doc_id, doc_hash, what is asked and the right answer. With a chat template or a
    task that counts tokens the model's tokenizer is loaded, never its weights. UserError as for the run itself.
    """
    selection = catalog.resolve(spec)
    model = opening.resolve(spec.model)
    if opening.by_generation(model):
        selection = by_generation(selection)
    later = LaterChat() if spec.model.chat_template else None
    workloads = load_workloads(selection, open_source(spec.data_dir), spec, later)
    counted = [one.info.name for one in workloads if traits(one.task).measures_prompts]
    if later is not None or counted:
        workloads = _in_the_models_words(workloads, later, model, counted)
    return (row for workload in workloads for row in _rows(workload))


def _in_the_models_words(
    workloads: list[Workload], later: LaterChat | None, model: ModelSpec, counted: list[str]
) -> list[Workload]:
    load = opening.type_of(model.backend or "").load_tokens
    if load is None and counted:
        raise UserError(f"task {counted[0]}: its prompts are made to a length in tokens, and {model.name} shows none")
    words = None if load is None else load(opening.without_mode(model))
    if later is not None:
        workloads = later.settled(workloads, transcript if words is None else words.chat)
    style = PromptStyle(
        chat=None if later is None or words is None else words.chat,
        system=model.system,
        multiturn=model.fewshot_as_multiturn,
        encode=None if words is None else words.encode,
        max_length=model.max_length,
    )
    return measured(workloads, style)


def _rows(workload: Workload) -> Iterator[dict[str, Any]]:
    task = workload.task
    for document, asked in zip(workload.documents, workload.requests, strict=True):
        texts = [prompt_of(one) for one in asked]
        row: dict[str, Any] = {
            "task": workload.info.name,
            "doc_id": document.id,
            "doc_hash": document.hash,
            "num_fewshot": workload.info.num_fewshot,
            "prompt": texts[0] if texts else "",
        }
        if any(text != row["prompt"] for text in texts):
            row["prompts"] = texts
        if choices := [one.continuation for one in asked if isinstance(one, Score)]:
            row["choices"] = choices
        if images := images_of(asked):
            row["images"] = [{"media_type": one.media_type, "sha256": sha256(one)} for one in images]
        row["target"] = plain(task.target(document)) if isinstance(task, KnowsTarget) else None
        if generation := _generation(asked):
            row["generation"] = generation
        yield row


def _generation(asked: tuple[Request, ...]) -> dict[str, Any] | None:
    """How a reply is to be written, where one is asked for."""
    first = next((one for one in asked if isinstance(one, Generate)), None)
    if first is None:
        return None
    sampling = first.sampling
    found: dict[str, Any] = {"until": list(first.until), "max_tokens": first.max_tokens, "replies": len(asked)}
    return found | {"temperature": sampling.temperature, "top_p": sampling.top_p, "seed": sampling.seed}
