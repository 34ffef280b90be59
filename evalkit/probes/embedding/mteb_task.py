"""mteb:NAME: any task of the package mteb, run by that package with the run's embedder.

The data come from the run's own source: a mirror where one is given, else the Hub. Each split and language of the task
is one document, and its scores are the package's own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.embedding import Embedder, Role
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.contract.registry import did_you_mean
from evalkit.contract.types import (
    DatasetRef,
    DataSource,
    Document,
    Documents,
    Embed,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
)
from evalkit.metrics import base as metrics
from evalkit.metrics.aggregate import aggregate
from evalkit.probes.embedding import base
from evalkit.store.identity import digest

MAIN = "main_score"
SCORE = metrics.Metric(
    name=MAIN, kind="text", higher_is_better=True, source="the package mteb's main score of the task"
)


class MtebTask:
    """See `evalkit.contract.types.Task`."""

    traits = TaskTraits()

    def __init__(self, name: str, task: Any) -> None:
        meta = task.metadata
        dataset = DatasetRef(meta.dataset["path"], meta.dataset.get("name"), meta.dataset.get("revision"))
        what = f"{' '.join(str(meta.description).split())[:200]} (by the package mteb; {meta.main_score})"
        split = "+".join(task.eval_splits)
        self.info = base.info(name, dataset, split, {MAIN: True}, what, citation=meta.bibtex_citation)
        self.info = replace(
            self.info, config={**self.info.config, "mteb": version("mteb"), "main_score": str(meta.main_score)}
        )
        self._task = task

    def documents(self, data: DataSource) -> Documents:
        """A document for each split and subset. UserError where the data are not to be had."""
        rows = [
            {"task": self._task.metadata.name, "split": split, "subset": subset, "mteb": version("mteb")}
            for split in self._task.eval_splits
            for subset in self._task.hf_subsets
        ]
        with _from(data, self._task.metadata.name):
            self._task.load_data()
        return base.documents(rows, [self._task])

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """One evaluation a split and subset."""
        for document in documents:
            row = document.data
            run = Evaluate(self._task, row["split"], row["subset"])
            yield (Embed(f"{row['task']}, {row['split']}, {row['subset']}", f"mteb:{digest(row)}", run),)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """The package's main score; all its others are in ``extra``."""
        result = SampleResult(document, requests, tuple(responses), None)

        def read(response: Response) -> SampleResult:
            scores = json.loads(response.text or "{}")
            return replace(result, metrics={f"{MAIN},none": response.values[0]}, extra={"scores": scores})

        return base.scored(result, read)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """The mean over splits and subsets. The package gives no scores of items, so there is no interval."""
        values = [sample.metrics[f"{MAIN},none"] for sample in samples if sample.status == "ok"]
        found = aggregate(SCORE, values, primary=True)
        return (replace(found, stderr=None, interval=None),)


@dataclass(frozen=True, slots=True)
class Evaluate:
    """One split and subset of a task of the package."""

    task: Any
    split: str
    subset: str

    def __call__(self, embedder: Embedder) -> Response:
        with _quiet():
            found = self.task.evaluate(
                Model(embedder), split=self.split, subsets_to_run=[self.subset],
                encode_kwargs={"batch_size": 32, "show_progress_bar": False},
            )[self.subset]  # fmt: skip
        numbers = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
        return Response(text=json.dumps(numbers), values=(float(found[MAIN]),))


class Model:
    """The run's embedder as the package's `EncoderProtocol`; similarity is the cosine."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def encode(self, inputs: Any, *, prompt_type: Any = None, **more: Any) -> Any:
        """Vectors, float32 [texts, dimensions], of a loader's batches."""
        role: Role = {"query": "query", "document": "passage"}.get(getattr(prompt_type, "value", prompt_type), "")  # type: ignore[assignment]
        return self._embedder.embed([text for batch in inputs for text in batch["text"]], role)

    def similarity(self, first: Any, second: Any) -> Any:
        """Cosines of all pairs."""
        from mteb.similarity_functions import cos_sim

        return cos_sim(first, second)

    def similarity_pairwise(self, first: Any, second: Any) -> Any:
        """Cosines of pairs that stand beside each other."""
        from mteb.similarity_functions import pairwise_cos_sim

        return pairwise_cos_sim(first, second)

    @property
    def mteb_model_meta(self) -> Any:
        """What the package keeps of a model: nothing is known to it."""
        from mteb.models.model_meta import ModelMeta

        return ModelMeta.create_empty()


def make(name: str) -> MtebTask:
    """The task ``mteb:NAME``. MissingExtra without the package; UserError for a name that it does not know."""
    try:
        import mteb
    except ImportError as error:
        raise MissingExtra(f"the task {name}", error.name or "mteb", "mteb") from error
    asked = name.partition(":")[2]
    with _quiet():
        known = [one.metadata.name for one in mteb.get_tasks()] if not asked else []
        try:
            task = mteb.get_task(asked)
        except KeyError:
            known = [one.metadata.name for one in mteb.get_tasks()]
            raise UserError(f"{name}: the package mteb has no task {asked!r}{did_you_mean(asked, known)}") from None
    if set(task.metadata.modalities) != {"text"}:
        raise UserError(f"{name}: its items are {', '.join(task.metadata.modalities)}; embedders here read text")
    return MtebTask(name, task)


@contextmanager
def _from(data: DataSource, task: str) -> Iterator[None]:
    """Let the package load rows from the run's source. Where it reads from the Hub itself, that is the Hub."""
    if data.name == "hub":
        with _quiet():
            yield
        return
    import datasets
    from mteb.abstasks import abstask
    from mteb.abstasks import retrieval_dataset_loaders as loaders

    def load(
        path: str, name: str | None = None, split: str | None = None, revision: str | None = None, **more: Any
    ) -> Any:
        home = DatasetRef(path, name, revision)
        if split is not None:
            return datasets.Dataset.from_list(list(data.load(home, split)))
        splits: Mapping[str, Any] = data.splits(home)  # type: ignore[attr-defined]
        return datasets.DatasetDict({one: datasets.Dataset.from_list(list(data.load(home, one))) for one in splits})

    def configs(path: str, *more: Any) -> list[str]:
        return list(data.configs(path))  # type: ignore[attr-defined]

    def splits_of(path: str, revision: str | None = None, config_name: str | None = None) -> list[str]:
        return list(data.splits(DatasetRef(path, config_name, revision)))  # type: ignore[attr-defined]

    own = {
        (abstask, "load_dataset"): load,
        (loaders, "load_dataset"): load,
        (loaders, "get_dataset_config_names"): configs,
        (loaders, "get_dataset_split_names"): splits_of,
    }
    theirs = {place: getattr(*place) for place in own}
    try:
        for (module, attribute), function in own.items():
            setattr(module, attribute, function)
        with _quiet():
            yield
    except UserError as error:
        raise UserError(f"task mteb:{task}: {error}") from None
    finally:
        for (module, attribute), function in theirs.items():
            setattr(module, attribute, function)


@contextmanager
def _quiet() -> Iterator[None]:
    """The package tells of each step, by its logger and by bars of progress."""
    import datasets

    logger = logging.getLogger("mteb")
    level = logger.level
    logger.setLevel(logging.ERROR)
    shown = not datasets.utils.logging.is_progress_bar_enabled()
    datasets.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if not shown:
            datasets.utils.logging.enable_progress_bar()
