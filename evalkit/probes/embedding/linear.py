"""Classes told apart by vectors, by MTEB's rule (AbsTaskClassification): ten times, eight texts of each class are drawn
from the training split, a logistic regression is fitted to their vectors (scikit-learn's, 100 iterations), and the
evaluation split is labelled; the score is the mean accuracy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.embedding import Embedder
from evalkit.contract.errors import MissingExtra, UserError
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

EXPERIMENTS = 10
SHOTS = 8
"""Texts of each class that a classifier is fitted to."""
SEED = 42
"""MTEB's, for the draws and the regression."""
ACCURACY = metrics.Metric(
    name="accuracy",
    kind="text",
    higher_is_better=True,
    unit="share",
    bounds=metrics.SHARE,
    source="MTEB's classification (Muennighoff et al. 2023, arXiv 2210.07316)",
)


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a row has its text and its class, and the splits."""

    text: str = "text"
    label: str = "label"
    split: str = "test"
    train: str = "train"


class Classifiers:
    """The regressions, fitted when the first text is to be labelled."""

    def __init__(self, texts: Sequence[str], labels: Sequence[Any], draws: Sequence[Sequence[int]]) -> None:
        self._texts, self._labels, self._draws = texts, labels, draws
        self.classes = sorted(set(labels))
        self.digest = digest([[texts[place], labels[place]] for draw in draws for place in draw])
        self._fitted: tuple[Embedder, list[Any]] | None = None

    def label(self, embedder: Embedder, text: str) -> tuple[float, ...]:
        """The class of a text by each classifier, as its place among the sorted classes."""
        if self._fitted is None or self._fitted[0] is not embedder:
            self._fitted = embedder, self._fit(embedder)
        vector = embedder.embed([text])
        return tuple(float(self.classes.index(one.predict(vector)[0])) for one in self._fitted[1])

    def _fit(self, embedder: Embedder) -> list[Any]:
        from sklearn.linear_model import LogisticRegression

        used = sorted({place for draw in self._draws for place in draw})
        vectors = embedder.embed([self._texts[place] for place in used])
        at = {place: row for row, place in enumerate(used)}
        return [
            LogisticRegression(max_iter=100, random_state=SEED).fit(
                vectors[[at[place] for place in draw]], [self._labels[place] for place in draw]
            )
            for draw in self._draws
        ]


@dataclass(frozen=True, slots=True)
class Label:
    """A text's class by every classifier."""

    text: str
    classifiers: Classifiers

    def __call__(self, embedder: Embedder) -> Response:
        return Response(values=self.classifiers.label(embedder, self.text))


class LinearTask:
    """See `evalkit.contract.types.Task`: a document is a text to be labelled."""

    traits = TaskTraits()

    def __init__(self, name: str, dataset: DatasetRef, fields: Fields) -> None:
        what = f"Classes told apart by vectors: a logistic regression on eight texts a class ({dataset.id})."
        self.info = base.info(name, dataset, fields.split, {ACCURACY.name: True}, what)
        self._dataset, self._fields = dataset, fields

    def documents(self, data: DataSource) -> Documents:
        """The texts to be labelled; the classifiers' training texts are what they share."""
        try:
            import sklearn  # noqa: F401
        except ImportError as error:
            raise MissingExtra("classification by vectors", "scikit-learn", "embedding") from error
        fields = self._fields
        train = [self._read(row) for row in data.load(self._dataset, fields.train)]
        rows = [
            dict(zip(("text", "label"), self._read(row), strict=True)) for row in data.load(self._dataset, fields.split)
        ]
        texts, labels = [one[0] for one in train], [one[1] for one in train]
        if len(set(labels)) < 2:
            raise UserError(f"{self.info.name}: the split {fields.train} of {self._dataset.id} has one class only")
        return base.documents(rows, [Classifiers(texts, labels, draws(labels))])

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """One question a text."""
        assert isinstance(documents, Documents)
        (classifiers,) = documents.pool
        for document in documents:
            text = document.data["text"]
            yield (Embed(text, f"linear:{classifiers.digest}", Label(text, classifiers), ((text, ""),)),)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """The share of the classifiers that are right."""
        (asked,) = requests
        assert isinstance(asked, Embed)
        gold = document.data["label"]
        result = SampleResult(document, requests, tuple(responses), gold)

        def judged(response: Response) -> SampleResult:
            classes = asked.compute.classifiers.classes  # type: ignore[attr-defined]
            said = [classes[int(value)] for value in response.values]
            right = sum(one == gold for one in said) / len(said)
            return replace(result, metrics={f"{ACCURACY.name},none": right}, extra={"labels": said})

        return base.scored(result, judged)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """The mean accuracy, with its interval over texts (the draws of training texts are held as they are)."""
        ok = [sample for sample in samples if sample.status == "ok"]
        frequent = Counter(sample.target for sample in ok).most_common(1)
        majority = frequent[0][1] / len(ok) if ok else None
        values = [sample.metrics[f"{ACCURACY.name},none"] for sample in ok]
        return (aggregate(ACCURACY, values, primary=True, majority=majority),)

    def _read(self, row: Mapping[str, Any]) -> tuple[str, Any]:
        fields = self._fields
        if not isinstance(row.get(fields.text), str) or row.get(fields.label) is None:
            raise UserError(
                f"{self.info.name}: a row of {self._dataset.id} has no {fields.text} or no {fields.label}; it has "
                f"{', '.join(row)}: say which with text=NAME and label=NAME"
            )
        return row[fields.text], row[fields.label]


def draws(labels: Sequence[Any]) -> list[list[int]]:
    """The training texts of each experiment. As MTEB's: one list of places, shuffled anew by the same seed each time
    from where the time before left it, and of each class the first eight.
    """
    import numpy as np

    places = list(range(len(labels)))
    found = []
    for _ in range(EXPERIMENTS):
        np.random.RandomState(SEED).shuffle(places)
        counts: Counter[Any] = Counter()
        drawn = []
        for place in places:
            if counts[labels[place]] < SHOTS:
                counts[labels[place]] += 1
                drawn.append(place)
        found.append(drawn)
    return found
