"""TASK:grader=NAME: a probe whose texts are graded, by another grader than its own.

xsum_faithfulness:grader=embedding
summary_faithfulness:grader=nli:model=cross-encoder/nli-deberta-v3-small
truthfulqa_gen:grader=lm:model=JUDGE:backend=openai
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalkit.contract import registry
from evalkit.contract.errors import UserError
from evalkit.probes import options
from evalkit.store import paths
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

GRADED = frozenset(("supported", "consistent", "hallucinated", "faithful", "truthful.graded"))
"""Metrics that take a grader."""
_WHAT = "the task with that grader's verdicts, with the grader's arguments behind it"
FORMS = {
    f"{name}:grader=NAME": _WHAT
    for name in ("cnndm_faithfulness", "summary_faithfulness", "truthfulqa_gen", "xsum_faithfulness")
}
READERS: options.Readers = {
    "grader": options.given,
    "model": options.given,
    "revision": options.given,
    "device": options.given,
    "backend": options.given,
    "supported": options.whole(0),
    "batch_size": options.whole(1),
    "written": options.flag,
}


def family(name: str, catalog: Catalog) -> Defined:
    """A probe by another grader. UserError where none is named, and for an unknown one."""
    asked = options.parse(name, READERS)
    if "grader" not in asked:
        known = ", ".join(registry.names(registry.GRADERS))
        raise UserError(f"task {name!r}: which grader? Write {name.partition(':')[0]}:grader=NAME with one of {known}")
    template = load_task(paths.share("tasks") / name.partition(":")[0] / "task.yaml")
    one = template.tasks[0]
    metrics = tuple(
        entry.model_copy(update={"args": {**entry.args, **asked}}) if entry.metric in GRADED else entry
        for entry in one.metrics
    )
    made = one.model_copy(update={"name": name, "metrics": metrics})
    return Defined(template.source, (made,), (), template.description)
