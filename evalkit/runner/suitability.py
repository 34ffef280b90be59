"""Whether a backend can answer what a run asks, told before a model is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from evalkit.contract.capabilities import Capabilities, FollowsWindow, RequestKind, traits
from evalkit.contract.errors import UserError
from evalkit.contract.types import Classify, Embed, Generate, Request, Rolling, Score
from evalkit.runner.workload import Workload
from evalkit.sandbox import finding, permission
from evalkit.store.held import Counted, has_images

if TYPE_CHECKING:
    from evalkit.task.catalog import Selection

NOT_KNOWN = 1 << 30
"""What a backend says for its window that knows none."""
KIND_OF: Mapping[type, RequestKind] = {
    Score: "loglikelihood",
    Generate: "generate",
    Rolling: "loglikelihood_rolling",
    Classify: "classify",
    Embed: "embed",
}
ASKED: Mapping[RequestKind, str] = {
    "loglikelihood": "log-likelihoods of choices",
    "generate": "generated text",
    "loglikelihood_rolling": "the perplexity of whole texts",
    "classify": "the class of a text",
    "embed": "vectors of texts (an embedder gives them: docs/embeddings.md)",
}


def require(workloads: Sequence[Workload], model: str, can: Capabilities) -> None:
    """UserError that names the first task with requests that ``model``, which ``can`` so much, does not answer."""
    for workload in workloads:
        kinds, images = _asked(workload.requests)
        missing = sorted({KIND_OF[kind] for kind in kinds} - can.answers)
        if missing:
            raise UserError(
                f"task {workload.info.name} asks for {ASKED[missing[0]]}, which {model} cannot give: "
                f"{_instead(missing[0], can)}"
            )
        if images:
            _require_images(workload, kinds, model, can)


def _require_images(workload: Workload, kinds: set[type], model: str, can: Capabilities) -> None:
    """UserError for a model that sees no pictures, or does not answer such requests about them."""
    name = workload.info.name
    if "image" not in can.modalities:
        raise UserError(
            f"task {name} shows images, which {model} does not read: give a model that does (docs/pictures.md), or "
            "leave the task out"
        )
    seen = can.answers if can.answers_images is None else can.answers_images
    if missing := sorted({KIND_OF[kind] for kind in kinds} - seen):
        raise UserError(
            f"task {name} asks for {ASKED[missing[0]]} behind images, which {model} cannot give: "
            f"{_instead(missing[0], can)}"
        )


def _instead(missing: RequestKind, can: Capabilities) -> str:
    """What to do about a request that is not answered."""
    if missing == "loglikelihood" and "generate" in can.answers:
        return "ask for the letter of the choice as text, by --model_args mc=generate, or leave the task out"
    return "leave it out, or use another backend"


def permitted(selection: Selection) -> Selection:
    """The selection, with a word on programs where a task runs some. UserError where the run does not allow it, or
    there is no sandbox.
    """
    running = [task.info.name for task in selection.tasks if traits(task).executes]
    if not running:
        return selection
    permission.require(f"task {running[0]}")
    said = (
        f"{', '.join(running)}: programs that the model writes are run, each in a sandbox ({finding.find().name}) "
        "without network, files and environment, within limits of time and memory"
    )
    return replace(selection, warnings=(*selection.warnings, said))


def following(selection: Selection, window: int | None) -> Selection:
    """The selection with tasks whose lengths follow the model's window made for it, where that is known."""
    if window is None or window >= NOT_KNOWN:
        return selection
    tasks = tuple(task.fitted(window) if isinstance(task, FollowsWindow) else task for task in selection.tasks)
    return replace(selection, tasks=tasks)


def _asked(asked: Sequence[tuple[Request, ...]]) -> tuple[set[type], bool]:
    """The classes of the requests, and whether one of them shows images."""
    if isinstance(asked, Counted):
        return asked.kinds, asked.images
    every = [request for requests in asked for request in requests]
    return {type(request) for request in every}, any(map(has_images, every))
