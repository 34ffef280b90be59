"""What is found for a query in a collection of passages: nDCG@10, recall and reciprocal rank by ir-measures.

Data sets as MTEB and BEIR lay them out (Thakur et al. 2021, arXiv 2104.08663): the config "corpus" (_id, title, text),
"queries" (_id, text) and judgements (query-id, corpus-id, score) in "default" or "qrels". A passage is its title and
its text; queries without a judged passage are left out, as MTEB does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.embedding import Collection, Embedder
from evalkit.contract.errors import MissingExtra, UserError
from evalkit.contract.types import (
    Asked,
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

KEPT = 1000
"""Passages of a ranking that are looked at, as MTEB's."""
SHOWN = 10
"""Passages that a sample's record shows."""
SOURCE = "TREC's measures as pytrec_eval computes them, by ir-measures"
MEASURES = {
    "ndcg_at_10": "nDCG@10",
    "recall_at_10": "R@10",
    "recall_at_100": "R@100",
    "mrr_at_10": "RR@10",
    "map_at_100": "AP@100",
}
METRICS = {
    name: metrics.Metric(
        name=name, kind="text", higher_is_better=True, unit="share", bounds=metrics.SHARE, source=SOURCE
    )
    for name in MEASURES
}


@dataclass(frozen=True, slots=True)
class Search:
    """The passages nearest to a query by cosine: their places as a JSON list, and their cosines."""

    query: str
    passages: Collection
    most: int = KEPT

    def __call__(self, embedder: Embedder) -> Response:
        import numpy as np

        vectors = base.unit(embedder.collection(self.passages))
        (query,) = base.unit(embedder.embed([self.query], "query"))
        scores = vectors @ query
        most = min(self.most, len(scores))
        places = np.argpartition(-scores, most - 1)[:most] if most < len(scores) else np.arange(len(scores))
        places = places[np.lexsort((places, -scores[places]))]
        return Response(text=json.dumps(places.tolist()), values=tuple(scores[places].tolist()))


@dataclass(frozen=True, slots=True)
class Passages:
    """A collection with its passages' ids."""

    ids: tuple[str, ...]
    texts: Collection


class RetrievalTask:
    """See `evalkit.contract.types.Task`: a document is a query."""

    traits = TaskTraits()

    def __init__(self, name: str, dataset: DatasetRef, split: str) -> None:
        what = f"Which passages answer a query? nDCG@10 over the judged ones ({dataset.id})."
        self.info = base.info(name, dataset, split, dict.fromkeys(METRICS, True), what)
        self._dataset = dataset

    def documents(self, data: DataSource) -> Documents:
        """The judged queries; the collection is what they share. UserError for a data set of another layout."""
        passages = self._part(data, "corpus")
        texts = [f"{row.get('title') or ''} {row.get('text') or ''}".strip() for row in passages]
        ids = [_id(row) for row in passages]
        relevant: dict[str, dict[str, int]] = {}
        for row in self._judgements(data):
            relevant.setdefault(str(row["query-id"]), {})[str(row["corpus-id"])] = int(row["score"])
        rows = [
            {"id": _id(row), "query": row["text"], "relevant": relevant[_id(row)]}
            for row in self._part(data, "queries")
            if _id(row) in relevant
        ]
        if not rows:
            raise UserError(f"{self.info.name}: no query of {self._dataset.id} has a judged passage")
        return base.documents(rows, [Passages(tuple(ids), Collection(digest(texts), texts))])

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """One search a query."""
        assert isinstance(documents, Documents)
        (passages,) = documents.pool
        for document in documents:
            query = document.data["query"]
            search = Search(query, passages.texts)
            identity = f"search:{search.most}:{passages.texts.digest}"
            yield Asked((Embed(query, identity, search, ((query, "query"),)),), passages.ids)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """The measures of one query."""
        relevant = document.data["relevant"]
        result = SampleResult(document, requests, tuple(responses), sorted(relevant))

        def ranked(response: Response) -> SampleResult:
            assert isinstance(requests, Asked)
            ids = [requests.note[place] for place in json.loads(response.text or "[]")]
            query = document.data["id"]
            values = measured({query: relevant}, {query: dict(zip(ids, response.values, strict=True))})[query]
            found = {f"{name},none": value for name, value in values.items()}
            return replace(result, metrics=found, extra={"found": ids[:SHOWN]})

        return base.scored(result, ranked)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Means over queries."""
        ok = [sample for sample in samples if sample.status == "ok"]
        return tuple(
            aggregate(metric, [sample.metrics[f"{name},none"] for sample in ok], primary=name == next(iter(METRICS)))
            for name, metric in METRICS.items()
        )

    def _part(self, data: DataSource, config: str) -> Sequence[Mapping[str, Any]]:
        return data.load(replace(self._dataset, config=config), config)

    def _judgements(self, data: DataSource) -> Sequence[Mapping[str, Any]]:
        try:
            return data.load(replace(self._dataset, config="default"), self.info.split)
        except UserError:
            return data.load(replace(self._dataset, config="qrels"), self.info.split)


def measured(relevant: dict[str, dict[str, int]], found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """MEASURES of every query: ``relevant`` has its passages' grades, ``found`` their scores, by query."""
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtra("retrieval", error.name or "ir-measures", "embedding") from error
    names = {ir_measures.parse_measure(measure): name for name, measure in MEASURES.items()}
    values: dict[str, dict[str, float]] = {query: {} for query in found}
    for one in ir_measures.iter_calc(list(names), relevant, found):
        values[one.query_id][names[one.measure]] = float(one.value)
    return values


def _id(row: Mapping[str, Any]) -> str:
    return str(row["_id"] if "_id" in row else row["id"])
