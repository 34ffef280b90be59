"""How alike two sentences are: the rank correlation of cosines with people's grades (STS12 to STS16, STS-B, SICK-R).

As MTEB has it (Muennighoff et al. 2023, arXiv 2210.07316): Spearman's rho of the cosine of both vectors and the gold
score, over all pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.embedding import Embedder
from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    DatasetRef,
    DataSource,
    Document,
    Embed,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
)
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.classification import pearson, spearman
from evalkit.probes.embedding import base

KEY = "cosine_spearman"
METRICS = {KEY: spearman, "cosine_pearson": pearson}


@dataclass(frozen=True, slots=True)
class Cosine:
    """The cosine of two texts' vectors, as 1 - |u - v|²/2 of both at length one, in single precision as MTEB has it: of
    equal vectors it is exactly 1, where a product would tell them apart by its rounding, which ranks feel.
    """

    first: str
    second: str

    def __call__(self, embedder: Embedder) -> Response:
        import numpy as np

        one, other = base.unit(embedder.embed([self.first, self.second]))
        away = (one - other)[None]
        # einsum and not a product, which sums in another order: MTEB's numbers come from the former (scikit-learn).
        return Response(values=(float(np.float32(1) - np.float32(0.5) * np.einsum("ij,ij->i", away, away)[0]),))


class SimilarityTask:
    """See `evalkit.contract.types.Task`. Rows have sentence1, sentence2 and a score."""

    traits = TaskTraits()

    def __init__(self, name: str, dataset: DatasetRef, split: str) -> None:
        what = f"How alike are two sentences? Spearman's rho with people's grades ({dataset.id})."
        self.info = base.info(name, dataset, split, dict.fromkeys(METRICS, True), what)
        self._dataset = dataset

    def documents(self, data: DataSource) -> Sequence[Document]:
        """All pairs. UserError for rows of another form."""
        rows = data.load(self._dataset, self.info.split)
        for number, row in enumerate(rows, 1):
            if not (isinstance(row.get("sentence1"), str) and isinstance(row.get("sentence2"), str)):
                raise UserError(f"{self.info.name}: row {number} of {self._dataset.id} has no sentence1 and sentence2")
            if not isinstance(row.get("score"), int | float):
                raise UserError(f"{self.info.name}: row {number} of {self._dataset.id} has no score that is a number")
        return base.documents(rows)

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """One question a pair."""
        for document in documents:
            one, other = document.data["sentence1"], document.data["sentence2"]
            yield (Embed(f"{one}\n{other}", "cosine", Cosine(one, other), ((one, ""), (other, ""))),)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """The pair of numbers that the correlation is made of: the cosine and the gold score."""
        gold = float(document.data["score"])
        result = SampleResult(document, requests, tuple(responses), gold)

        def pair(response: Response) -> SampleResult:
            found = (response.values[0], gold)
            keys = [f"{name},none" for name in METRICS]
            return replace(result, statistics=dict.fromkeys(keys, found), extra={"cosine": found[0]})

        return base.scored(result, pair)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Both correlations, with intervals over pairs."""
        ok = [sample for sample in samples if sample.status == "ok"]
        return tuple(
            aggregate(metric, [sample.statistics[f"{name},none"] for sample in ok], name=name, primary=name == KEY)
            for name, metric in METRICS.items()
        )
