"""Does the answer depend on how the question looks? Every document is asked in several variants.

order:TASK      the options in every cyclic order, so that each stands once in each place
labels:TASK     the options under other labels: letters, small letters, digits, Roman numerals, letters in mixed order
templates:TASK  the same question in five prompts

Reported beside accuracy over all variants: the ``worst`` and ``best`` variant's accuracy (a bootstrap over documents),
their debiased ``spread``, ``consistency`` (the share of documents with the same option chosen in all variants),
``always_right``, and for orders ``first_place`` (how often the option in the first place is chosen; without bias
1/options).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.contract.types import SHARE_UNIT, Document, Level, MetricResult, Request, Response, SampleResult, TaskInfo
from evalkit.metrics import base
from evalkit.metrics.aggregate import aggregate
from evalkit.probes.choices import bare_question, options_of, with_options
from evalkit.probes.derived import Derive, DerivedTask, Row, define
from evalkit.statistics import intervals
from evalkit.statistics.ranks import widest_gap
from evalkit.task.definition import Defined
from evalkit.task.native import NativeTask
from evalkit.task.rendering import Item

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "order:TASK": "a multiple-choice task with its options in every cyclic order",
    "labels:TASK": "a multiple-choice task with its options under other labels",
    "templates:TASK": "a multiple-choice task's questions in five prompts",
}
LETTERS = "ABCDEFGHIJKLMNOPQRST"
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
_SOURCE = "evalkit's probes of robustness, docs/probes.md"
FIRST_PLACE, CIRCULAR = "first_place,none", "circular,none"
_HIGHER = {"worst": True, "best": True, "spread": False, "consistency": True, "always_right": True}


def family(name: str, catalog: Catalog) -> Defined:
    """order:TASK, labels:TASK or templates:TASK; of a group, one for each of its multiple-choice tasks."""
    return define(name, catalog, "variants.yaml", VARIANTS[name.partition(":")[0]], VariantTask)


class VariantTask(DerivedTask):
    """A derived task that also compares the variants of each document."""

    def _describe(self) -> TaskInfo:
        info = super()._describe()
        more = {f"{name},none": good for name, good in _HIGHER.items()}
        if info.name.startswith("order:"):
            more |= {FIRST_PLACE: False, CIRCULAR: True}
        return replace(info, higher_is_better={**info.higher_is_better, **more})

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """As the definition's, and of orders whether the option in the first place was chosen."""
        result = super().score(document, requests, responses)
        if result.status != "ok" or not self.info.name.startswith("order:"):
            return result
        first = float(result.extra.get("prediction") == 0)
        return replace(result, metrics={**result.metrics, FIRST_PLACE: first})

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """The definition's metrics and those over variants; documents with a variant that failed are left out of
        these.
        """
        plain = super().summarize(samples)
        scored = [sample for sample in samples if sample.status == "ok"]
        return (*plain, *compare(scored, self.options.seed, self.info.name.startswith("order:")))


def compare(scored: Sequence[SampleResult], seed: int, orders: bool) -> tuple[MetricResult, ...]:
    """The metrics over variants of scored samples."""
    variants = list(dict.fromkeys(str(sample.document.data["variant"]) for sample in scored))
    by_item: dict[Any, dict[str, SampleResult]] = {}
    for sample in scored:
        by_item.setdefault(sample.document.data["of"], {})[str(sample.document.data["variant"])] = sample
    whole = [found for found in by_item.values() if len(found) == len(variants)]
    table = [[found[variant].metrics["acc,none"] or 0.0 for variant in variants] for found in whole]
    chosen = [[_option(found[variant]) for variant in variants] for found in whole]
    by_variant = ",".join(f"{name}={_column(table, place):.4f}" for place, name in enumerate(variants)) if table else ""
    metrics = [
        _over_items("worst", table, lambda rates: min(rates), seed, by_variant),
        _over_items("best", table, lambda rates: max(rates), seed, by_variant),
        _spread(table, seed, by_variant),
        _share("consistency", [float(len(set(options)) == 1) for options in chosen], True),
        _share("always_right", [float(all(row)) for row in table], True),
    ]
    if orders:
        first = [sample.metrics.get(FIRST_PLACE) for sample in scored]
        metrics.append(replace(_share("first_place", first, False, "item"), baseline=_guess(scored)))
        metrics.append(_share("circular", [float(all(rights)) for rights in _in_own_orders(by_item)], True))
    return tuple(metrics)


def _in_own_orders(by_item: Mapping[Any, Mapping[str, SampleResult]]) -> Iterator[list[bool]]:
    """Of each document that was scored in as many orders as it has options, whether each was right."""
    for found in by_item.values():
        samples = list(found.values())
        if len(samples) == len(samples[0].document.data["order"]):
            yield [bool(sample.metrics["acc,none"]) for sample in samples]


def _guess(scored: Sequence[SampleResult]) -> float | None:
    return sum(1 / len(sample.requests) for sample in scored) / len(scored) if scored else None


def _column(table: Sequence[Sequence[float]], place: int) -> float:
    return sum(row[place] for row in table) / len(table)


def _option(sample: SampleResult) -> int:
    """The option that was chosen, by its number in the original order."""
    return int(sample.document.data["order"][sample.extra["prediction"]])


def _share(name: str, values: Sequence[float | None], good: bool, level: Level = "group") -> MetricResult:
    """Of documents, each of which has several items; with level "item" of the items themselves."""
    metric = base.Metric(name=name, kind="choice", higher_is_better=good, binary=True, source=_SOURCE, level=level)
    return aggregate(metric, values)


def _over_items(
    name: str, table: Sequence[Sequence[float]], of: Callable[[list[float]], float], seed: int, shown: str
) -> MetricResult:
    """A function of the variants' accuracies, its error by resampling documents."""
    if not table:
        return _number(name, None, None, None, 0, f"{name}|n:0")
    import numpy as np

    values = np.array(table)
    found = intervals.bootstrap_interval(lambda rows: of(values[rows].mean(axis=0).tolist()), len(table), seed)
    stderr, interval = found if found is not None else (None, None)
    signature = f"{name}|variants:{len(table[0])}|by:{shown}|ci:{'bootstrap1000' if found else 'none'}|n:{len(table)}"
    value = float(of(values.mean(axis=0).tolist()))
    if interval is not None and interval[0] == interval[1]:
        # No document differs from another, which resampling takes for certainty: as for a share of so many documents,
        # and unknown between none and all.
        interval = _share(name, [value] * len(table), True).interval if value in (0.0, 1.0) else None
    return _number(name, value, stderr, interval, len(table), signature)


def _number(
    name: str, value: float | None, stderr: float | None, interval: tuple[float, float] | None, n: int, signature: str
) -> MetricResult:
    return MetricResult(
        name,
        "none",
        value,
        stderr,
        interval,
        n,
        _HIGHER[name],
        signature,
        bounds=base.SHARE,
        unit=SHARE_UNIT,
        level="group",
    )


def _spread(table: Sequence[Sequence[float]], seed: int, shown: str) -> MetricResult:
    """Best less worst variant, without what noise alone would make of equal variants; the plain one in the signature.

    Value and interval: `statistics.ranks.widest_gap`. The error is the bootstrap's.
    """
    found = _over_items("spread", table, lambda rates: max(rates) - min(rates), seed, shown)
    if found.value is None:
        return found
    import numpy as np

    plain, debiased, interval = widest_gap(np.array(table).T)
    parts = [part for part in found.signature.split("|") if not part.startswith("ci:")]
    name = "none" if interval is None else "joint-pairs"
    parts[-1:-1] = [f"plain:{plain:.4f}", f"ci:{name}"]
    interval = None if interval is None else (interval[0], min(interval[1], 1.0))
    return replace(found, value=debiased, interval=interval, signature="|".join(parts))


# -- variants ------------------------------------------------------------------------------------------------------


def usable(inner: NativeTask, document: Document) -> Item | None:
    """The document's item; None for one without a single right choice."""
    item = inner.item(document)
    return None if item.problem or not isinstance(item.target, int) else item


def row_of(
    document: Document, variant: str, prompt: str, choices: Sequence[str], gold: int, order: Sequence[int]
) -> Row:
    """One variant of a document, as variants.yaml reads it."""
    return {
        "prompt": prompt,
        "choices": list(choices),
        "gold": gold,
        "variant": variant,
        "order": list(order),
        "of": document.id,
    }


def lettered(question: str, texts: Sequence[str], labels: Sequence[str], head: str = "Question: ") -> str:
    """A question with its options by label."""
    listed = "\n".join(f"{label}. {text.strip()}" for label, text in zip(labels, texts, strict=True))
    return f"{head}{question}\n{listed}\nAnswer:"


def _orders(inner: NativeTask, document: Document, seed: int) -> Sequence[Row]:
    item = usable(inner, document)
    if item is None:
        return ()
    found = options_of(inner, document, item)
    count, rows = len(found.texts), []
    for shift in range(count):
        order = [(place + shift) % count for place in range(count)]
        texts = [found.texts[index] for index in order]
        if found.labelled:
            prompt, choices = inner.item(with_options(document, found, texts)).question, item.choices
        else:
            choices = tuple(LETTERS[:count])
            prompt = lettered(bare_question(inner, document, item, found), texts, choices)
        rows.append(row_of(document, f"shift{shift}", prompt, choices, order.index(item.target), order))
    return rows


def _labels(inner: NativeTask, document: Document, seed: int) -> Sequence[Row]:
    item = usable(inner, document)
    if item is None:
        return ()
    found = options_of(inner, document, item)
    count = len(found.texts)
    question = bare_question(inner, document, item, found)
    # The same mix for all documents with so many options.
    mixed = random.Random(f"labels/{seed}/{count}").sample(LETTERS[:count], count)
    sets = {
        "letters": list(LETTERS[:count]),
        "small": [letter.lower() for letter in LETTERS[:count]],
        "digits": [str(number) for number in range(1, count + 1)],
        "roman": list(_ROMAN[:count]),
        "mixed": mixed,
    }
    order = list(range(count))
    return [
        row_of(document, name, lettered(question, found.texts, labels), labels, item.target, order)
        for name, labels in sets.items()
        if len(labels) == count
    ]


def _templates(inner: NativeTask, document: Document, seed: int) -> Sequence[Row]:
    item = usable(inner, document)
    if item is None:
        return ()
    found = options_of(inner, document, item)
    question = bare_question(inner, document, item, found)
    letters = list(LETTERS[: len(found.texts)])
    texts = [text.strip() for text in found.texts]
    plain = "\n".join(f"- {text}" for text in texts)
    prompts: list[tuple[str, str, Sequence[str]]] = [
        ("own", item.question, item.choices),
        ("lettered", lettered(question, texts, letters), letters),
        ("exam", lettered(question, texts, letters, "The following is a question of an exam.\n\n"), letters),
        ("options", f"{question}\nOptions:\n{plain}\nThe right option is:", texts),
        ("bare", f"{question}", texts),
    ]
    order = list(range(len(texts)))
    return [row_of(document, name, prompt, choices, item.target, order) for name, prompt, choices in prompts]


VARIANTS: Mapping[str, Derive] = {"order": _orders, "labels": _labels, "templates": _templates}
