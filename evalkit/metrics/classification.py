"""What classifiers are measured by (GLUE's numbers): F1, Matthews' correlation, and correlations of graded answers.

Accuracy is evalkit.metrics.choice's. The likeliest choice is the predicted class, and the class of a document is its
gold index; where several are right, the predicted one counts as the class if it is among them, else the first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import Metric, MetricKind, PerItem, ScoringInput, share_metric
from evalkit.metrics.choice import best, gold_indices
from evalkit.metrics.combine import items
from evalkit.metrics.qa import texts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Counts = NDArray[np.float64]

Pair = tuple[float, ...]
_NUMBER = re.compile(r"[-+−]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?")


def classes(sample: ScoringInput) -> Pair:
    """(the document's class, the predicted class), as indices."""
    predicted, gold = best(sample.loglikelihoods), gold_indices(sample.target)
    return float(predicted if predicted in gold else gold[0]), float(predicted)


def hits(sample: ScoringInput) -> Pair:
    """(true positives, predicted positives, positives), of the class ``args: {positive: 1}``."""
    positive = float(sample.args.get("positive", 1))
    true, predicted = classes(sample)
    return float(true == predicted == positive), float(predicted == positive), float(true == positive)


def f1_of(sums: Sequence[float]) -> float:
    """F1 of summed (true positives, predicted positives, positives); 0 where there are none of either."""
    found, said, there = (float(one) for one in sums)
    return 2 * found / (said + there) if said + there else 0.0


def confusion(pairs: Sequence[Pair]) -> Counts:
    """Counts of (class, predicted class), shape (classes, classes)."""
    import numpy as np

    table = np.asarray(pairs, dtype=int)
    size = int(table.max()) + 1
    counts = np.bincount(table[:, 0] * size + table[:, 1], minlength=size * size)
    return counts.reshape(size, size).astype(float)


def macro_f1_of(pairs: Sequence[Pair]) -> float:
    """The mean F1 of the classes that occur or are predicted."""
    counts = confusion(pairs)
    right, sizes = counts.diagonal(), counts.sum(axis=0) + counts.sum(axis=1)
    present = sizes > 0
    return float((2 * right[present] / sizes[present]).mean())


def matthews_of(pairs: Sequence[Pair]) -> float:
    """Matthews' correlation, for several classes as Gorodkin (2004) has it; 0 where one side has one class only."""
    counts = confusion(pairs)
    total, true, predicted = counts.sum(), counts.sum(axis=1), counts.sum(axis=0)
    spread = (total**2 - (predicted**2).sum()) * (total**2 - (true**2).sum())
    return float((counts.trace() * total - (true * predicted).sum()) / math.sqrt(spread)) if spread > 0 else 0.0


def number(text: str) -> float | None:
    """The first number of a text; None where it has none."""
    found = _NUMBER.search(text)
    value = float(found[0].replace("−", "-")) if found else math.nan
    return value if math.isfinite(value) else None


def grades(sample: ScoringInput) -> Pair | None:
    """(the document's grade, the answer's): numbers in the target and in the text, or in the likeliest choice. None
    where either has none.
    """
    if sample.choices:
        true, answer = sample.choices[gold_indices(sample.target)[0]], sample.choices[best(sample.loglikelihoods)]
    else:
        true, answer = (texts(sample.target) or [""])[0], sample.text or ""
    found = number(true), number(answer)
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def pearson_of(pairs: Sequence[Pair]) -> float:
    """Pearson's r; nan for fewer than two items and where one side is constant."""
    import numpy as np

    return _correlation(np.asarray(pairs, dtype=float))


def spearman_of(pairs: Sequence[Pair]) -> float:
    """Spearman's rho: Pearson's of the ranks, equal ones sharing their mean rank."""
    import numpy as np
    from scipy.stats import rankdata

    return _correlation(rankdata(np.asarray(pairs, dtype=float), axis=0))


def _correlation(table: Counts) -> float:
    """Of a table of shape (items, 2)."""
    import numpy as np

    if len(table) < 2 or (table == table[0]).all(axis=0).any():
        return math.nan
    away = table - table.mean(axis=0)
    norms = np.sqrt((away**2).sum(axis=0))
    if not norms.all():
        return math.nan
    x, y = (away / norms).T
    return float(min(max(x @ y, -1.0), 1.0))


def prepare(args: Mapping[str, Any]) -> None:
    """UserError for a positive class that is no index."""
    positive = args.get("positive", 1)
    if not isinstance(positive, int) or isinstance(positive, bool) or positive < 0:
        raise UserError(f"positive is {positive!r}; give the index of the class that counts, from 0")


f1 = share_metric(
    "f1",
    hits,
    kind="choice",
    combine=f1_of,
    source="van Rijsbergen 1979, Information Retrieval, F1 of one class; as scikit-learn's f1_score",
    prepare=prepare,
    describe=lambda args, values: f"positive:{args.get('positive', 1)}",
    registered="choice.f1",
)
f1_macro = share_metric(
    "f1_macro",
    classes,
    kind="choice",
    combine=items(macro_f1_of),
    source="the mean of the classes' F1; as scikit-learn's f1_score(average='macro')",
)


def _correlated(
    name: str, kind: MetricKind, per_item: PerItem, combine: Callable[[Sequence[Pair]], float], source: str
) -> Metric:
    return Metric(
        name=name,
        kind=kind,
        per_item=per_item,
        combine=items(combine),
        bounds=(-1.0, 1.0),
        higher_is_better=True,
        source=source,
        registered=name if per_item is classes else f"{kind}.{name}",
    )


mcc = _correlated(
    "mcc", "choice", classes, matthews_of, "Matthews 1975; Gorodkin 2004; as scikit-learn's matthews_corrcoef"
)
pearson, choice_pearson = (
    _correlated("pearson", kind, grades, pearson_of, "Pearson 1896; as scipy's pearsonr") for kind in ("text", "choice")
)
spearman, choice_spearman = (
    _correlated("spearman", kind, grades, spearman_of, "Spearman 1904; as scipy's spearmanr")
    for kind in ("text", "choice")
)
