"""Does the answer depend on the question's wording? Every document of a multiple-choice task in several wordings.

noise:TASK    as it is; with typos, in small and in capital letters, with synonyms, in three paraphrases of the prompt
format:TASK   eight formats of one prompt: its descriptor, separators, spaces and marks of options, drawn by a seed
shots:TASK    the same few-shot examples in five orders

Beside accuracy, ``worst``, ``best``, ``spread``, ``consistency``, ``always_right`` (evalkit.probes.robustness) there is
``change_VARIANT``: a variant's accuracy less the first one's, over the documents that have all variants, so paired.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import DataSource, Document, MetricResult, SampleResult, Shots, TaskInfo
from evalkit.metrics import base
from evalkit.metrics.aggregate import aggregate
from evalkit.probes.choices import bare_question, options_of
from evalkit.probes.derived import Row, define
from evalkit.probes.robustness import LETTERS, VariantTask, lettered, row_of, usable
from evalkit.task.definition import Defined
from evalkit.task.native import NativeTask

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "noise:TASK": "a multiple-choice task's questions with typos, other case, synonyms, and paraphrased prompts",
    "format:TASK": "a multiple-choice task's questions in eight formats of one prompt",
    "shots:TASK": "a multiple-choice task behind the same four examples in five orders",
}
EXAMPLES = 4
ORDERS = 5
FORMATS = 8
TYPO_RATE = 0.1
"""The share of words of four letters and more that have one."""
PARAPHRASES = (
    ("Please answer the following question.\n\n", "\nThe answer is"),
    ("Here is a question with several options. Choose the right one.\n\n", "\nRight option:"),
    ("Q. ", "\nA."),
)
SYNONYMS = {
    "big": "large", "large": "big", "small": "little", "little": "small", "begin": "start", "start": "begin",
    "end": "finish", "choose": "pick", "fast": "quick", "quick": "fast", "sick": "ill", "ill": "sick",
    "hard": "difficult", "difficult": "hard", "easy": "simple", "help": "aid", "show": "display", "make": "create",
    "makes": "creates", "happen": "occur", "happens": "occurs", "often": "frequently", "usually": "normally",
    "also": "too", "begins": "starts", "near": "close to", "about": "regarding", "because": "since",
    "best": "most suitable", "likely": "probable", "main": "chief", "kind": "type", "type": "kind",
    "part": "portion", "whole": "entire", "keep": "retain", "get": "obtain", "gets": "obtains", "use": "employ",
    "used": "employed", "need": "require", "needs": "requires", "many": "numerous", "student": "pupil",
    "students": "pupils", "doctor": "physician", "car": "automobile", "answer": "reply", "wrong": "incorrect",
    "correct": "right", "following": "subsequent", "describes": "characterises", "explain": "account for",
    "explains": "accounts for", "person": "individual", "people": "persons",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
_SOURCE = "evalkit's probes of wording, docs/probes.md; paired by document"
CHANGE = base.Metric(name="change", kind="choice", higher_is_better=True, bounds=(-1.0, 1.0), source=_SOURCE)


class WordingTask(VariantTask):
    """Variants of which each is compared with the first, document by document."""

    variants: tuple[str, ...] = ()

    def _describe(self) -> TaskInfo:
        info = super()._describe()
        more = {f"change_{name},none": True for name in NAMES[info.name.partition(":")[0]][1:]}
        return replace(info, higher_is_better={**info.higher_is_better, **more})

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """The metrics of variants, and each variant's change."""
        scored = [sample for sample in samples if sample.status == "ok"]
        return (*super().summarize(samples), *changes(scored, NAMES[self.info.name.partition(":")[0]]))


class ShotsTask(WordingTask):
    """Variants that differ in the order of the examples before the question."""

    def _rows(self, data: DataSource, split: str) -> Sequence[Mapping[str, Any]]:
        if self.inner.definition.images is not None:
            raise UserError(
                f"{self.info.name}: {self.inner.info.name} shows pictures, which this probe does not reorder"
            )
        documents = self.inner.documents(data)
        drawn = random.Random(f"shots/{self._seed}")
        pool = list(documents.pool)
        if len(pool) <= EXAMPLES:
            raise UserError(
                f"{self.info.name}: {self.inner.info.name} has {len(pool)} examples; {EXAMPLES + 1} are needed"
            )
        chosen = drawn.sample(pool, EXAMPLES + 1)
        orders = _orders_of(EXAMPLES, drawn)
        return [row for document in documents for row in self._of(document, chosen, orders)]

    def _of(self, document: Document, chosen: Sequence[Any], orders: Sequence[Sequence[int]]) -> Sequence[Row]:
        item = usable(self.inner, document)
        if item is None:
            return ()
        others = [row for row in chosen if row != document.data][:EXAMPLES]
        one = self.inner.definition
        shown = []
        for row in others:
            example = self.inner.item(Document(-1, row, "")).example()
            shown.append(f"{example.question}{one.target_delimiter}{example.answer}{one.fewshot_delimiter}")
        order = list(range(len(item.choices)))
        return [
            row_of(
                document, name, "".join(shown[at] for at in places) + item.question, item.choices, item.target, order
            )  # type: ignore[arg-type]
            for name, places in zip(NAMES["shots"], orders, strict=True)
        ]


def changes(scored: Sequence[SampleResult], names: Sequence[str]) -> list[MetricResult]:
    """Each variant's accuracy less that of the first, over the documents that have all of them."""
    by_item: dict[Any, dict[str, float]] = {}
    for sample in scored:
        row = sample.document.data
        by_item.setdefault(row["of"], {})[str(row["variant"])] = sample.metrics["acc,none"] or 0.0
    whole = [found for found in by_item.values() if len(found) == len(names)]
    return [
        replace(
            aggregate(CHANGE, [found[name] - found[names[0]] for found in whole], name=f"change_{name}"), level="group"
        )
        for name in names[1:]
    ]


def family(name: str, catalog: Catalog) -> Defined:
    """noise:TASK, format:TASK or shots:TASK; of a group, one for each of its multiple-choice tasks."""
    prefix = name.partition(":")[0]
    if prefix == "shots":
        told = Shots(EXAMPLES, "locked", "the probe shows them in several orders")
        return define(name, catalog, "variants.yaml", _nothing, ShotsTask, told)
    return define(name, catalog, "variants.yaml", {"noise": _noise, "format": _formats}[prefix], WordingTask)


def _nothing(inner: NativeTask, document: Document, seed: int) -> Sequence[Row]:
    return ()


def _noise(inner: NativeTask, document: Document, seed: int) -> Sequence[Row]:
    item = usable(inner, document)
    if item is None:
        return ()
    found = options_of(inner, document, item)
    question = bare_question(inner, document, item, found)
    letters = list(LETTERS[: len(found.texts)])
    listed = "\n".join(f"{letter}. {text.strip()}" for letter, text in zip(letters, found.texts, strict=True))
    asked = {
        "plain": question,
        "typos": with_typos(question, f"noise/{seed}/{document.hash}"),
        "lower": question.lower(),
        "upper": question.upper(),
        "synonyms": with_synonyms(question),
    }
    prompts = {name: lettered(text, found.texts, letters) for name, text in asked.items()}
    for number, (before, after) in enumerate(PARAPHRASES, 1):
        prompts[f"paraphrase{number}"] = f"{before}{question}\n{listed}{after}"
    order = list(range(len(letters)))
    gold = int(item.target)  # type: ignore[arg-type]
    return [row_of(document, name, prompt, letters, gold, order) for name, prompt in prompts.items()]


def _formats(inner: NativeTask, document: Document, seed: int) -> Sequence[Row]:
    """Formats as FormatSpread has them (Sclar et al. 2024, arXiv 2310.11324): what changes no meaning."""
    item = usable(inner, document)
    if item is None:
        return ()
    found = options_of(inner, document, item)
    question = bare_question(inner, document, item, found)
    letters = list(LETTERS[: len(found.texts)])
    order = list(range(len(letters)))
    rows = []
    for name, (case, separator, space, mark) in zip(NAMES["format"], chosen_formats(seed), strict=True):
        head, tail = (("Question", "Answer"), ("QUESTION", "ANSWER"), ("question", "answer"))[case]
        listed = space.join(
            mark.format(letter) + text.strip() for letter, text in zip(letters, found.texts, strict=True)
        )
        prompt = f"{head}{separator}{question}{space}{listed}{space}{tail}{separator.rstrip()}"
        rows.append(row_of(document, name, prompt, letters, item.target, order))  # type: ignore[arg-type]
    return rows


def chosen_formats(seed: int) -> list[tuple[int, str, str, str]]:
    """The formats: the plain one, and others drawn by the seed, the same for all documents."""
    every = list(
        product(range(3), (": ", " - ", " :: ", ":\n"), ("\n", " || ", "  "), ("{}. ", "{}) ", "({}) ", "[{}] "))
    )
    plain = every[0]
    return [plain, *random.Random(f"format/{seed}").sample([one for one in every if one != plain], FORMATS - 1)]


def with_typos(text: str, seed: str) -> str:
    """A tenth of the longer words, one at least, with two letters swapped, one left out, or one doubled."""
    draw = random.Random(seed)
    words = [match for match in _WORD.finditer(text) if len(match[0]) >= 4]
    if not words:
        return text
    chosen = draw.sample(words, max(1, round(TYPO_RATE * len(words))))
    for match in sorted(chosen, key=lambda one: -one.start()):
        text = text[: match.start()] + _mistyped(match[0], draw) + text[match.end() :]
    return text


def _mistyped(word: str, draw: random.Random) -> str:
    at = draw.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    kinds = [word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]]
    return draw.choice([swapped, *kinds] if swapped != word else kinds)


def with_synonyms(text: str) -> str:
    """Everyday words by another of their meaning, where the list has one; capital letters stay."""

    def other(match: re.Match[str]) -> str:
        found = SYNONYMS.get(match[0].lower())
        return match[0] if found is None else found.capitalize() if match[0][0].isupper() else found

    return _WORD.sub(other, text)


def _orders_of(count: int, draw: random.Random) -> list[list[int]]:
    """The order as drawn, its reverse, and others, each once."""
    found = [list(range(count)), list(range(count))[::-1]]
    while len(found) < ORDERS:
        other = draw.sample(range(count), count)
        if other not in found:
            found.append(other)
    return found


NAMES: Mapping[str, tuple[str, ...]] = {
    "noise": ("plain", "typos", "lower", "upper", "synonyms", *(f"paraphrase{n}" for n in (1, 2, 3))),
    "format": ("plain", *(f"format{n}" for n in range(2, FORMATS + 1))),
    "shots": ("drawn", "reversed", *(f"order{n}" for n in range(3, ORDERS + 1))),
}
