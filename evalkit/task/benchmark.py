"""A benchmark as one plain Python class: its rows, its prompt, its scoring (`evalkit.Benchmark`).

The class declares what the catalog shows, in attributes written out as literals (`evalkit.task.declared` reads them
without running the file); its methods say the rest, a row at a time. Underneath it is a `NativeTask`, so that shots,
chat templates, intervals, limits and resume are those of any other task.
"""

from __future__ import annotations

import hashlib
import inspect
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from evalkit.contract.errors import UserError
from evalkit.contract.types import DatasetRef, DataSource
from evalkit.data.generated import is_own, of_task
from evalkit.metrics import base
from evalkit.task import sample as bundled_items
from evalkit.task.definition import Definition, Sample
from evalkit.task.native import NativeTask, Options
from evalkit.task.rendering import Item, Reader, Row, load_code, settle
from evalkit.task.source import Source


class Benchmark:
    """The base class of a benchmark in one file, `benchmark.py`: derive one class from it, directly.

    The attributes are read without running the file, so give them as plain values. ``dataset``, ``config`` and
    ``revision`` name a data set as the Hub does; ``items`` is a file of JSON lines beside, each with its "_split": the
    bundled items, or without ``dataset`` all there are. ``metrics`` holds names of registered metrics and
    ``Metric(name="...", kind="text", ...)`` objects; one without ``per_item`` takes its values from `score`.
    With a method ``choices`` it is multiple choice by log-likelihood, otherwise the model generates.
    """

    name: ClassVar[str] = ""
    version: ClassVar[str] = "1.0"
    """Raise it when a row, a prompt or the scoring changes: the numbers are others then."""
    description: ClassVar[str] = ""
    citation: ClassVar[str] = ""
    tags: ClassVar[Sequence[str]] = ()
    dataset: ClassVar[str | None] = None
    config: ClassVar[str | None] = None
    revision: ClassVar[str | None] = "main"
    split: ClassVar[str] = "test"
    items: ClassVar[str | None] = None
    fewshot_split: ClassVar[str | None] = None
    """Where few-shot examples are drawn from, by one seeded generator; None: there are none to show."""
    num_fewshot: ClassVar[int] = 0
    system: ClassVar[str | None] = None
    instruction: ClassVar[str] = ""
    """A text before the few-shot examples."""
    images: ClassVar[str | Sequence[str] | None] = None
    """The fields that hold pictures; ``<image>`` or ``<image N>`` in a prompt is where they stand."""
    target_delimiter: ClassVar[str] = " "
    fewshot_delimiter: ClassVar[str] = "\n\n"
    until: ClassVar[Sequence[str] | None] = None
    """Texts that end an answer; None: ``fewshot_delimiter``."""
    max_tokens: ClassVar[int] = 256
    metrics: ClassVar[Sequence[str | base.Metric]] = ()
    """() means acc for multiple choice, exact_match for generation. Those that go by name see a reply without the white
    space around it; `score` and ``per_item`` see it as it came.
    """
    primary: ClassVar[str | None] = None
    """The name of the metric that stands for the task; None: the first."""
    random_baseline: ClassVar[float | None] = None
    """What guessing scores; of multiple choice it is worked out where this is None."""

    def rows(self, split: str, data: DataSource) -> Iterable[Row]:
        """The rows of a split: of ``dataset`` from where the run reads its data, or of ``items``. Override it to clean
        rows, or to make them here: the same ones every time, in the same order.
        """
        return data.load(self.reference, split)

    def prompt(self, row: Row) -> str:
        """The question of a row, to where the answer begins."""
        raise NotImplementedError

    def target(self, row: Row) -> Any:
        """The right answer of a row, a text or a list of texts; of multiple choice, the index or the text of the right
        choice, or a list of those. None: the row has none, and counts as unscored. Few-shot examples show it.
        """
        raise NotImplementedError

    def score(self, row: Row, reply: str) -> Mapping[str, float | None]:
        """The value of each declared metric that has no ``per_item``, by its name. None: it does not apply."""
        raise NotImplementedError

    @property
    def reference(self) -> DatasetRef:
        """The data set; one that is written here is "evalkit/NAME"."""
        return DatasetRef(self.dataset or of_task(self.name), self.config, self.revision if self.dataset else None)


def build(definition: Definition, source: Source, options: Options, class_name: str) -> NativeTask:
    """The task of the class ``class_name`` in ``source.file``. UserError where the file cannot be run."""
    try:
        found = load_code(f"{source.file}:{class_name}", source.locate())
    except UserError as error:
        cause = error.__cause__
        if not isinstance(cause, Exception):
            raise
        raise UserError(f"{_place(source.file, cause)}: cannot be loaded: {_said(cause)}") from cause
    if not (inspect.isclass(found) and issubclass(found, Benchmark)):
        raise UserError(f"{source.file}: {class_name} does not derive from evalkit.Benchmark; let it")
    try:
        made = found()
    except Exception as error:
        raise UserError(f"{_place(source.file, error)}: {class_name}() fails: {_said(error)}") from error
    written = {"file": source.file.name, "sha256": hashlib.sha256(source.file.read_bytes()).hexdigest()}
    return BenchmarkTask(made, definition, source, options, source.file.name, written)


class BenchmarkTask(NativeTask):
    """A `Benchmark` as a task. UserError for metrics that do not fit its methods."""

    def __init__(
        self,
        benchmark: Benchmark,
        definition: Definition,
        source: Source,
        options: Options,
        home: str,
        written: Mapping[str, str | None],
    ) -> None:
        """``home`` is what stands before the names of its own metrics, ``written`` what a record says of its code."""
        self._benchmark = benchmark
        self._file = source.file
        if is_own(definition.dataset.id):  # what is written in the file is the whole set, bundled or not
            options = replace(options, sample=False)
        super().__init__(
            definition,
            source,
            options,
            reader=_Reader(benchmark, definition, source),
            own=_metrics(benchmark, source, home),
        )
        self.info = replace(self.info, config={**self.info.config, "benchmark": dict(written)})

    def _rows(self, data: DataSource, split: str) -> Sequence[Row]:
        sample = self.definition.sample
        own = is_own(self.definition.dataset.id)
        if self.options.sample and sample is None:
            raise UserError(f"{self.info.name}: has no bundled items; run it on the full set")
        if sample is not None and (own or self.options.sample):
            data = _Bundled(sample)
        try:
            rows = list(self._benchmark.rows(split, data))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{_place(self._file, error)}: rows of the split {split}: {_said(error)}") from error
        wrong = next((row for row in rows if not isinstance(row, Mapping)), None)
        if wrong is not None:
            raise UserError(f"{self._file}: rows gives {wrong!r:.60}; a row is a mapping of field names to values")
        if not rows:
            raise UserError(f"{self._file}: rows gives nothing for the split {split}; check where the data come from")
        return rows


class _Bundled:
    """The items beside the file, as a data source."""

    name = "sample"

    def __init__(self, sample: Sample) -> None:
        self._sample = sample

    def load(self, dataset: DatasetRef, split: str) -> Sequence[Row]:
        return bundled_items.rows(self._sample, split)


class _Reader(Reader):
    """Reads a row by the methods of a benchmark, where a definition has templates."""

    def __init__(self, benchmark: Benchmark, definition: Definition, source: Source) -> None:
        super().__init__(definition, source)
        self._benchmark = benchmark

    def view(self, row: Row, where: str) -> Row:
        return row

    def instruction(self, view: Row, where: str) -> str:
        return self.definition.instruction

    def item(self, view: Row, where: str) -> Item:
        question = self._asked("prompt", view, where)
        if not isinstance(question, str):
            raise UserError(f"{where}: {self.source.locate('prompt')}: must give a text, not {question!r:.60}")
        choices: tuple[str, ...] = ()
        if self.definition.kind == "multiple_choice":
            choices = self._as_choices(self._asked("choices", view, where), where)
        raw = self._asked("target", view, where)
        wrong = next((one for one in (raw if isinstance(raw, list | tuple) else [raw]) if not _plain(one)), None)
        if wrong is not None:
            raise UserError(
                f"{where}: {self.source.locate('target')}: must give a text, a number or a list of them, not "
                f"{wrong!r:.60}"
            )
        target, problem = settle(raw, choices, self.definition.kind)
        return Item(view, question, choices, target, problem)

    def _asked(self, method: str, row: Row, where: str) -> Any:
        try:
            return getattr(self._benchmark, method)(dict(row))
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{where}: {_place(self.source.file, error)}: {method} fails: {_said(error)}") from error


def _plain(value: Any) -> bool:
    return value is None or (isinstance(value, str | int | float) and not isinstance(value, bool))


def _metrics(benchmark: Benchmark, source: Source, home: str) -> dict[str, base.Metric]:
    """The metric objects of a benchmark, by what the definition calls them."""
    objects = [one for one in benchmark.metrics if isinstance(one, base.Metric)]
    default = base.Metric.__dataclass_fields__["per_item"].default
    scored = {one.name for one in objects if one.per_item is default and one.all_items is None}
    scores = type(benchmark).score is not Benchmark.score
    if scored and not scores:
        raise UserError(f"{source.locate('metrics')}: {', '.join(sorted(scored))}: write score(row, reply) for it")
    if scores and not scored:
        raise UserError(f"{source.locate('score')}: no metric takes its value from it: declare one in metrics")

    def compute(item: base.ScoringInput) -> dict[str, float | None]:
        return _scores(benchmark, scored, item, source)

    found = {}
    for one in objects:
        name = f"{home}:{one.name}"
        per_item = base.shared(compute, one.name) if one.name in scored else one.per_item
        found[name] = replace(one, per_item=per_item, registered=name)
    return found


def _scores(benchmark: Benchmark, names: set[str], item: base.ScoringInput, source: Source) -> dict[str, float | None]:
    """What ``score`` says of one reply. UserError unless it speaks of exactly the declared metrics.

    Its message is kept with the sample, so it names the file by its folder alone.
    """
    home = f"{source.file.parent.parent}/"
    try:
        given = benchmark.score(dict(item.document), item.text or "")
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{_place(source.file, error).removeprefix(home)}: score fails: {_said(error)}") from error
    if not isinstance(given, Mapping) or set(given) != names:
        shown = sorted(map(str, given)) if isinstance(given, Mapping) else f"a {type(given).__name__}"
        where = source.locate("score").removeprefix(home)
        raise UserError(f"{where}: must give {sorted(names)}, as metrics declares them, not {shown}")
    return dict(given)


def _place(file: Path, error: Exception) -> str:
    """ "FILE:LINE" of where ``file`` stood when it failed."""
    if isinstance(error, SyntaxError) and error.filename == str(file):
        return f"{file}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{file}:{lines[-1]}" if lines else str(file)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ").replace("\n", " ")
