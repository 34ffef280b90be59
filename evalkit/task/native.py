"""A task made from a task.yaml: documents, requests, scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.errors import MetricsFailed, UserError
from evalkit.contract.types import (
    Classify,
    DatasetRef,
    DataSource,
    Document,
    Documents,
    Generate,
    Image,
    Message,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    Rolling,
    SampleResult,
    Score,
    Shots,
    TaskInfo,
)
from evalkit.data import generated
from evalkit.data import rows as rows_of_file
from evalkit.metrics import base
from evalkit.metrics import filters as text_filters
from evalkit.metrics.aggregate import aggregate
from evalkit.task import pictures, prompt, selection, shots
from evalkit.task import sample as samples_of
from evalkit.task.answers import NOTHING, choice_details, failure
from evalkit.task.baselines import known_random
from evalkit.task.columns import Columns, columns_of
from evalkit.task.config import resolved
from evalkit.task.definition import Definition
from evalkit.task.documents import documents_of, gathered
from evalkit.task.fewshot import Draw, only, sampler
from evalkit.task.generation import settings
from evalkit.task.rendering import Item, Reader, Row, split_name
from evalkit.task.scorers import Scorer, scorer_of, scoring_input, with_metrics, work_ahead
from evalkit.task.source import Source


@dataclass(frozen=True, slots=True)
class Options:
    """How a definition is run: what the user chose. ``shots`` None: as the definition says."""

    shots: Shots | None = None
    seed: int = 1234
    gen_kwargs: Mapping[str, Any] | None = None
    sample: bool = False
    metrics: tuple[str, ...] = ()
    """Metrics beside the definition's own; those that do not fit the task's kind are left out, with a warning."""


RowsOf = Callable[[DatasetRef, str, DataSource], Sequence[Row]]
"""Where a task's rows come from, if not from the run's data source as they are."""


class NativeTask:
    """A definition with its options, as :class:`evalkit.contract.types.Task`. UserError for one that cannot work.

    ``reader`` renders rows where the definition's templates do not; ``own`` has metrics that its entries name and that
    are registered nowhere.
    """

    def __init__(
        self,
        definition: Definition,
        source: Source,
        options: Options = Options(),
        rows: RowsOf | None = None,
        reader: Reader | None = None,
        own: Mapping[str, base.Metric] = MappingProxyType({}),
    ) -> None:
        definition, self._unfit = with_metrics(definition, options.metrics)
        self.definition = definition
        self._rows_of = rows
        self.options = options
        self._reader = reader or Reader(definition, source)
        self._scorers = tuple(
            scorer_of(entry, index, definition, source, own) for index, entry in enumerate(definition.metrics)
        )
        self._filters = {name: _built(name, steps, source) for name, steps in definition.filters.items()}
        self._settings = settings(
            definition.generation, options.gen_kwargs or {}, definition.fewshot_delimiter, options.seed
        )
        decided = shots.decide(definition, options.shots, None, options.sample)
        self._shots = decided.number
        self._dataset = DatasetRef(definition.dataset.id, definition.dataset.config, definition.dataset.revision)
        self.info = replace(self._describe(), shots=decided)

    @property
    def traits(self) -> TaskTraits:
        """Warnings of metrics without effect, and of examples out of the evaluated split."""
        executes = any(scorer.metric.executes for scorer in self._scorers)
        early = not executes and all(scorer.metric.all_items is None for scorer in self._scorers)
        return TaskTraits(warnings=self._warnings(), scores_early=early, executes=executes)

    def _warnings(self) -> tuple[str, ...]:
        one = self.definition
        notes = []
        if self._unfit:
            notes.append(
                f"{one.name}: left out, for they do not fit a task of kind {one.kind}: {', '.join(self._unfit)}"
            )
        if self._settings.repeats > 1 and self._settings.sampling.temperature == 0:
            notes.append(f"{one.name}: its {self._settings.repeats} answers a prompt are all the same at temperature 0")
        splits = one.dataset.splits
        if self._shots and splits.fewshot == splits.eval and one.fewshot.exclude_self is False:
            notes.append(
                f"{one.name}: few-shot examples come from the evaluated split {splits.eval} and may hold the item "
                "itself (lm-eval draws the same)"
            )
        return tuple(notes)

    def answer(self, document: Document) -> str:
        """The right answer as text; of several, joined with " | "."""
        item = self.item(document)
        answers = item.target if isinstance(item.target, list) else [item.target]
        return " | ".join(item.choices[one] if item.choices and isinstance(one, int) else str(one) for one in answers)

    def target(self, document: Document) -> Any:
        """The right answer as samples hold it: of a choice its number."""
        return self.item(document).target

    def item(self, document: Document) -> Item:
        """A document as the task's templates render it: question, choices, target. Those of `documents` bring it along;
        any other is rendered now.
        """
        found: Item = self._rendered(document.data, document.id) if document.item is None else document.item()
        return found

    def held_pictures(self, document: Document) -> list[Any]:
        """What a document holds of pictures, as it is there."""
        return self._reader.images(self.item(document).row, self._where(document.id))

    def _describe(self) -> TaskInfo:
        one = self.definition
        higher = {scorer.entry.key: scorer.metric.higher_is_better for scorer in self._scorers}
        return TaskInfo(
            name=one.name,
            version=one.version,
            kind=one.kind,
            dataset=self._dataset,
            split=one.dataset.splits.eval,
            num_fewshot=self._shots,
            primary=one.primary_key,
            higher_is_better=higher,
            description=one.description,
            alias=one.alias,
            citation=one.citation,
            tags=one.tags,
            sample=self.options.sample,
            baseline=known_random(one),
            config=resolved(one, self._shots, self._settings, {s.entry.key: s.metric for s in self._scorers}),
        )

    @property
    def classifies(self) -> bool:
        """Whether a classifier can be asked it."""
        return self.definition.classify is not None

    def classified(self, document: Document) -> Classify | None:
        """What a classifier is asked of a document; None where the definition has no key ``classify``."""
        return self._reader.classified(self.item(document).row, self._where(document.id))

    def documents(self, data: DataSource) -> Documents:
        """All documents of the evaluation split; the few-shot split is read only if examples are asked for."""
        splits = self.definition.dataset.splits
        loaded = self._rows(data, splits.eval)
        pool: Sequence[Row] = ()
        if self._shots and self.definition.fewshot.file is not None:
            pool = samples_of.lines(self.definition.fewshot.file)
        elif self._shots and splits.fewshot is not None:
            pool = loaded if splits.fewshot == splits.eval else self._rows(data, splits.fewshot)
            pool = only(pool, self.definition.fewshot.only, self._pool_name)
        if self.definition.fewshot.quality is not None and self._shots:
            pool = selection.best(pool, self.definition.fewshot, self._pool_name)
        self._sampler(pool)  # too few examples is told now, not after the model has loaded
        folder = pictures.folder_of(self.definition, self.options.sample, data)
        return Documents(documents_of(loaded, self._rendered), pool, folder)

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """Requests of each document in turn; few-shot draws advance one seeded generator in this order."""
        whole = documents if isinstance(documents, Documents) else Documents(documents)
        draw = self._sampler(whole.pool)
        examples: dict[int, tuple[Row, prompt.Example]] = {}
        for document in documents:
            shown = [self._example(row, examples, whole.folder) for row in draw(document.data)]
            yield self._ask(self.item(document), shown, style, self._where(document.id), whole.folder)

    def ahead(self, answered: Iterable[tuple[Document, Sequence[Response]]]) -> None:
        """What metrics work out for many documents at once (programs run side by side)."""
        if any(scorer.metric.ahead is not None for scorer in self._scorers):
            whole = [(self.item(one), given) for one, given in answered if all(each.status == "ok" for each in given)]
            work_ahead(self._scorers, [(item, given, self._filtered(given)) for item, given in whole])

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """Score one document. An error among the responses gives status "error", never a wrong answer."""
        item = self.item(document)
        result = SampleResult(document, requests, tuple(responses), item.target)
        expected = self._settings.repeats if self.info.kind == "generate" else len(item.choices) or 1
        if error := failure(expected, responses, self.info.kind):
            return replace(result, status="error", error=error)
        unscored = next((response for response in responses if response.status == "unscored"), None)
        problem = item.problem or (unscored and (unscored.error or "the answer was not scored"))
        if problem:
            return replace(result, status="unscored", error=problem)
        texts = self._filtered(responses)
        metrics: dict[str, float | None] = {}
        statistics: dict[str, tuple[float, ...]] = {}
        known: dict[Any, Any] = {}
        for scorer in self._scorers:
            shown = scoring_input(item, responses, texts.get(scorer.entry.filter), scorer.entry, known)
            value = base.checked(scorer.metric, scorer.metric.per_item(shown))
            if isinstance(value, tuple):
                statistics[scorer.key] = value
            else:
                metrics[scorer.key] = value
        return replace(
            result,
            filtered={name: found[0] if len(found) == 1 else list(found) for name, found in texts.items()},
            metrics=metrics,
            statistics=statistics or NOTHING,
            extra=known.get("extra") or choice_details(item, responses),
        )

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Aggregate the samples whose status is "ok", in the order of the definition's metrics. Raises MetricsFailed,
        with the others, where one cannot be made.
        """
        scored = columns_of(samples, [scorer.entry.key for scorer in self._scorers], self.definition)
        found, failed = [], []
        for scorer in self._scorers:
            try:
                found.append(self._aggregate(scorer, scored, samples))
            except UserError as error:
                failed.append(str(error))
        if failed:
            raise MetricsFailed("; ".join(failed), tuple(found))
        return tuple(found)

    def _aggregate(self, scorer: Scorer, scored: Columns, samples: Sequence[SampleResult]) -> MetricResult:
        key = scorer.entry.key
        primary = key == self.info.primary
        binary = scorer.metric.binary and scorer.metric.higher_is_better
        # A guess is right or wrong: its score compares with shares of right answers, and with what the file says
        # of the primary metric.
        return aggregate(
            scorer.metric,
            scored.values[key],
            filter=scorer.entry.filter,
            args=scorer.entry.args,
            name=key.rpartition(",")[0],
            seed=self.options.seed,
            baseline=scored.random if binary or primary else None,
            # Of a part of the documents the most frequent answer is another.
            majority=scored.majority if binary and "only" not in scorer.entry.args else None,
            primary=primary,
            clusters=scored.clusters,
            samples=self._inputs(scorer, samples) if scorer.metric.all_items is not None else (),
        )

    def _inputs(self, scorer: Scorer, samples: Sequence[SampleResult]) -> list[base.ScoringInput]:
        """What a metric that sees the whole corpus at once looks at."""
        found = []
        for sample in samples:
            if sample.status != "ok":
                continue
            item = self.item(sample.document)
            texts = self._filtered(sample.responses).get(scorer.entry.filter)
            found.append(scoring_input(item, sample.responses, texts, scorer.entry, {}))
        return found

    def _rows(self, data: DataSource, split: str) -> Sequence[Row]:
        if self.options.sample:
            if self.definition.sample is None:
                raise UserError(f"{self.info.name}: has no bundled items; run it on the full set")
            rows: Sequence[Row] = samples_of.rows(self.definition.sample, split)
        elif self._rows_of is not None:
            rows = self._rows_of(self._dataset, split, data)
        elif (path := self.definition.dataset.path) is not None:
            rows = rows_of_file.read(path)
        elif generated.is_own(self._dataset.id):
            rows = generated.make(self._dataset)
        else:
            rows = data.load(self._dataset, split)
        if not rows:
            where = f"the sample of {self.info.name}" if self.options.sample else split_name(self._dataset, split)
            raise UserError(f"{where}: the split {split} is empty; check where the data come from")
        by = self.definition.dataset.gather
        return rows if by is None else gathered(rows, by, split_name(self._dataset, split))

    def _sampler(self, pool: Sequence[Row]) -> Draw:
        chosen = self.definition.fewshot
        splits = self.definition.dataset.splits
        same = splits.fewshot == splits.eval and chosen.file is None
        exclude = same if chosen.exclude_self is None else chosen.exclude_self
        seed = self.options.seed if chosen.seed is None else chosen.seed
        return sampler(chosen.sampler, pool, self._shots, seed, exclude, self._pool_name, self._question)

    @property
    def _pool_name(self) -> str:
        splits = self.definition.dataset.splits
        return f"{self.info.name} ({split_name(self._dataset, splits.fewshot or splits.eval)})"

    def _question(self, row: Row) -> str:
        return self._reader.item(self._reader.view(row, self._pool_name), self._pool_name).question

    def _where(self, place: int) -> str:
        return f"{split_name(self._dataset, self.info.split)}, row {place + 1}"

    def _rendered(self, row: Row, place: int) -> Item:
        where = self._where(place)
        return self._reader.item(self._reader.view(row, where), where)

    def _pictures(self, text: str, row: Row, where: str, folder: Path | None) -> tuple[str, tuple[Image, ...]]:
        """The text with a mark for each picture, and the row's pictures."""
        held = self._reader.images(row, where)
        return pictures.placed(text, held, folder, where) if self.definition.images is not None else (text, ())

    def _example(self, row: Row, known: dict[int, tuple[Row, prompt.Example]], folder: Path | None) -> prompt.Example:
        """A few-shot row, rendered once; ``known`` goes by identity, for rows are mappings, and so it holds them."""
        if id(row) not in known:
            where = f"{split_name(self._dataset, self.definition.dataset.splits.fewshot or '')}, a few-shot example"
            item = self._reader.item(self._reader.view(row, where), where)
            if item.problem:
                raise UserError(f"{where}: cannot be shown: {item.problem}")
            example = item.example()
            question, images = self._pictures(example.question, item.row, where, folder)
            known[id(row)] = row, replace(example, question=question, images=images) if images else example
        return known[id(row)][1]

    def _ask(
        self, item: Item, shown: list[prompt.Example], style: PromptStyle, where: str, folder: Path | None
    ) -> tuple[Request, ...]:
        one = self.definition
        if one.kind == "rolling":
            return (Rolling(str(item.target)),)
        system = one.system or "" if style.system is None else style.system
        instruction = self._reader.instruction(item.row, where)
        head = prompt.delimited(system, instruction, one.fewshot_delimiter)

        def rendered(question: str) -> tuple[str, tuple[Message, ...] | None]:
            text, images = self._pictures(question, item.row, where, folder)
            turns = prompt.turns(head, shown, text, one.target_delimiter, one.fewshot_delimiter, images)
            return prompt.render(turns, style)

        # The template already ends the prompt where the answer begins.
        delimiter = "" if style.chat is not None else one.target_delimiter
        if item.contexts:
            prompts = [rendered(context) for context in item.contexts]
            return tuple(Score(context, delimiter + item.continuation, messages) for context, messages in prompts)
        context, messages = rendered(item.question)
        if one.kind == "generate":
            chosen = self._settings
            return tuple(
                Generate(context, chosen.until, chosen.max_tokens, chosen.sampling, messages, repeat)
                for repeat in range(chosen.repeats)
            )
        if one.kind == "score":
            return (Score(context, str(item.target), messages),)
        return tuple(Score(context, delimiter + choice, messages) for choice in item.choices)

    def _filtered(self, responses: Sequence[Response]) -> dict[str, tuple[str, ...]]:
        """Every filter's texts, one or more; "none" has the answers as they came."""
        if self.info.kind != "generate":
            return {}
        texts = [response.text or "" for response in responses]
        return {"none": tuple(texts)} | {name: tuple(apply(texts)) for name, apply in self._filters.items()}


def _built(name: str, steps: Any, source: Source) -> text_filters.Many:
    try:
        return text_filters.build_many(steps)
    except UserError as error:
        raise UserError(f"{source.locate('filters', name)}: {error}") from error
