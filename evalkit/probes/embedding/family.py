"""Names: sts:SET, retrieve:SET, linear:SET, mteb:NAME. SET is a short name or a data set's id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import DatasetRef
from evalkit.probes import options
from evalkit.probes.embedding import mteb_task
from evalkit.probes.embedding.linear import Fields, LinearTask
from evalkit.probes.embedding.retrieval import RetrievalTask
from evalkit.probes.embedding.similarity import SimilarityTask
from evalkit.store import paths
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "sts:SET": "how alike are two sentences, by an embedder: sts12 to sts16, stsb, sickr, or a data set's id with "
    "sentence1, sentence2, score",
    "retrieve:SET": "what an embedder finds for queries: a data set's id in BEIR's layout (corpus, queries, default)",
    "linear:SET:text=FIELD:label=FIELD": "classes told apart by an embedder's vectors, by MTEB's rule",
    "mteb:NAME": "any text task of the package mteb, with its scores",
}
SIMILARITY = {
    "sts12": DatasetRef("mteb/sts12-sts", None, "a0d554a64d88156834ff5ae9920b964011b16384"),
    "sts13": DatasetRef("mteb/sts13-sts", None, "7e90230a92c190f1bf69ae9002b8cea547a64cca"),
    "sts14": DatasetRef("mteb/sts14-sts", None, "6031580fec1f6af667f0bd2da0a551cf4f0b2375"),
    "sts15": DatasetRef("mteb/sts15-sts", None, "ae752c7c21bf194d8b67fd573edf7ae58183cbe3"),
    "sts16": DatasetRef("mteb/sts16-sts", None, "4d8694f8f0e0100860b497b999b3dbed754a0513"),
    "stsb": DatasetRef("mteb/stsbenchmark-sts", None, "b0fddb56ed78048fa8b90373c8a3cfc37b684831"),
    "sickr": DatasetRef("mteb/sickr-sts", None, "20a6d6f312dd54037fe07a32d58e5e168867909d"),
}
"""At the revisions that MTEB pins."""
COMMON: options.Readers = {
    "set": options.given,
    "config": options.given,
    "split": options.given,
    "revision": options.given,
}


def family(name: str, catalog: Catalog) -> Defined:
    """The task ``name``. UserError for a parameter that is unknown or makes no sense."""
    prefix, _, argument = name.partition(":")
    task = mteb_task.make(name) if prefix == "mteb" else _task(name, prefix, argument)
    template = load_task(paths.share("tasks") / "embedding" / "task_of_vectors.yaml")
    one = template.tasks[0].model_copy(
        update={"name": name, "description": task.info.description, "citation": task.info.citation}
    )
    home = task.info.dataset
    assert home is not None
    dataset = one.dataset.model_copy(update={"id": home.id, "config": home.config})
    # What the task itself computes, under the names that it gives.
    entries = tuple(
        one.metrics[0].model_copy(update={"name": key.partition(",")[0], "higher_is_better": rising})
        for key, rising in task.info.higher_is_better.items()
    )
    one = one.model_copy(update={"dataset": dataset, "metrics": entries})

    def build(definition: Any, source: Any, chosen: Any) -> Any:
        if chosen.sample:
            raise UserError(f"{name}: has no bundled items; run it on the full set")
        return task

    return Defined(template.source, (one,), (), one.description, build=build)


def _task(name: str, prefix: str, argument: str) -> Any:
    extra: options.Readers = {"text": options.given, "label": options.given, "train": options.given}
    asked = options.parse(name, {**COMMON, **(extra if prefix == "linear" else {})}, "set")
    chosen = asked.get("set")
    if chosen is None:
        raise UserError(f"{name!r}: write {prefix}:SET, the id of a data set")
    dataset = _dataset(name, prefix, chosen, asked)
    split = asked.get("split", "test")
    if prefix == "sts":
        return SimilarityTask(name, dataset, split)
    if prefix == "retrieve":
        return RetrievalTask(name, dataset, split)
    own = {key: asked[key] for key in ("text", "label", "train", "split") if key in asked}
    return LinearTask(name, dataset, Fields(**own))


def _dataset(name: str, prefix: str, chosen: str, asked: dict[str, Any]) -> DatasetRef:
    known = SIMILARITY if prefix == "sts" else {}
    if chosen in known and not {"config", "revision"} & set(asked):
        return known[chosen]
    if "/" not in chosen:
        raise UserError(f"{name}: {chosen!r} is no data set's id (OWNER/NAME){did_you_mean(chosen, known)}")
    return DatasetRef(chosen, asked.get("config"), asked.get("revision"))
