"""The runner: a RunSpec becomes a run directory. Read :func:`evaluate` from top to bottom."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from evalkit.backends import opening
from evalkit.contract.backend import Backend
from evalkit.contract.errors import UserError
from evalkit.contract.optional import ByDocument, Reporting, capabilities
from evalkit.contract.store import Progress, ResponseStore
from evalkit.contract.types import (
    DataSource,
    Group,
    GroupResult,
    PromptStyle,
    Request,
    Response,
    RunResult,
    SampleResult,
    Task,
    TaskInfo,
    TaskResult,
)
from evalkit.data import open_source
from evalkit.perf.counters import CountingProgress, Metered, run_counters
from evalkit.perf.memory import Sampler
from evalkit.runner import suitability
from evalkit.runner.aftermath import Aftermath
from evalkit.runner.conversing import converse
from evalkit.runner.costs import Expected, expected
from evalkit.runner.interruptible import answer_all
from evalkit.runner.live import WatchedBook, WatchedProgress, watched
from evalkit.runner.progress import Silent
from evalkit.runner.rounds import Schedule, answer_in_rounds, look_at, require_rounds, selected
from evalkit.runner.scoring import score, summarize
from evalkit.runner.styling import LaterChat, chat_of, measured, style_of
from evalkit.runner.suitability import following
from evalkit.runner.surroundings import resolved
from evalkit.runner.workload import Workload, build_requests, chosen, flat, load_documents
from evalkit.spec.models import ModelSpec, RunSpec
from evalkit.spec.naming import model_label
from evalkit.store import Chained, ResponseCache, RunDir, environment, looks
from evalkit.task import catalog
from evalkit.task.classification import by_classification
from evalkit.task.generative_choice import by_generation
from evalkit.task.groups import summarize_groups
from evalkit.task.predict_only import without_scores

if TYPE_CHECKING:
    from evalkit.task.catalog import Selection
    from evalkit.task.live import Maker


@dataclass(frozen=True)
class PlannedTask:
    """One row of the plan."""

    info: TaskInfo
    n: int
    n_total: int
    requests: int
    source: str


@dataclass(frozen=True)
class Plan:
    """What is about to run, known before the model is loaded."""

    model: str
    backend: str
    output: Path
    tasks: tuple[PlannedTask, ...]
    groups: tuple[Group, ...] = ()
    dtype: str = ""
    device: str = ""
    """As asked for; "auto" is decided while the model loads. Empty for a model that is loaded already."""
    cost: Expected | None = None
    """Of a model that is paid by the token."""


@dataclass(frozen=True)
class Finished:
    """A run's end: its result and where it lies."""

    result: RunResult
    path: Path
    aftermath: Aftermath = field(default_factory=Aftermath)
    """What failed behind the last answer; `Aftermath.tell` raises it, once all else is written."""

    @property
    def error_rate(self) -> float:
        """Share of the evaluated documents that ended in an error."""
        documents = sum(task.n for task in self.result.tasks)
        return sum(task.n_error for task in self.result.tasks) / documents if documents else 0.0


@dataclass(frozen=True)
class Live:
    """What a caller hands over as objects, in place of names to be found: a model (which stays open), and tasks."""

    backend: Backend | None = None
    tasks: tuple[Task | Maker, ...] = ()


class Observer(Protocol):
    """Who looks on: told the plan before anything loads, and asked for the progress display while it lasts."""

    def plan(self, plan: Plan) -> None: ...

    def note(self, text: str) -> None: ...

    def answering(self) -> AbstractContextManager[Progress]: ...


@dataclass(frozen=True)
class Unwatched:
    """Nobody looks on."""

    progress: Progress

    def plan(self, plan: Plan) -> None: ...

    def note(self, text: str) -> None: ...

    def answering(self) -> AbstractContextManager[Progress]:
        return nullcontext(self.progress)


def execute(spec: RunSpec, progress: Progress | None = None) -> RunResult:
    """Run ``spec`` to its end and return what was written. Raises UserError for bad input."""
    done = evaluate(spec, Unwatched(progress or Silent()))
    done.aftermath.tell(done.path)
    return done.result


@resolved
def evaluate(
    spec: RunSpec, observer: Observer, resume: bool = False, live: Live = Live(), schedule: Schedule | None = None
) -> Finished:
    """Run ``spec``: documents, requests, answers, scores, statistics, files.

    With ``resume`` the run directory ``spec.output`` must exist already. Whatever a journal holds is not asked again.
    ``live`` holds the objects of those entries of ``spec`` that say ``given``. With a ``schedule`` documents are asked
    about in its order, round by round, until it has seen enough.
    Raises UserError for bad input, before the model is loaded wherever that can be known.
    """
    clock, aftermath = Clock(), Aftermath()
    selection = catalog.resolve(spec, live.tasks)
    model = opening.resolve(spec.model) if live.backend is None else spec.model
    if live.backend is None:
        opening.require(model, spec.engine)
        opening.find(model)
    can = opening.capabilities_of(model) if live.backend is None else capabilities(live.backend)
    window = can.window if live.backend is None else live.backend.info.max_length
    selection = following(selection, window)
    if can.architecture == "classifier":
        selection = by_classification(selection, model_label(model))
    elif opening.by_generation(model):
        selection = by_generation(selection)
    if spec.predict_only:
        selection = without_scores(selection)
    selection = suitability.permitted(selection)
    later = LaterChat() if spec.model.chat_template and can.architecture not in ("classifier", "embedder") else None
    workloads = load_workloads(selection, open_source(spec.data_dir), spec, later, schedule)
    suitability.require(workloads, model_label(model), can)
    if schedule is not None:
        require_rounds(model_label(model), can, workloads)
    observer.plan(_plan(spec, model, workloads, selection.groups))
    for warning in selection.warnings:
        observer.note(warning)

    with (
        _run_directory(spec, resume, schedule) as directory,
        watched(directory.path, selection.groups) as watch,
        Sampler() as sampler,
        _ready(workloads, later, model, spec, clock, live) as (backend, workloads),
    ):
        sampler.loaded()
        _bind(workloads, backend)
        watch.begin(workloads, asdict(backend.info), by_key=schedule is None)
        with _book(directory, spec) as plain, observer.answering() as progress:
            book, counting = WatchedBook(plain, watch), CountingProgress(WatchedProgress(progress, watch))

            def ask(requests: Sequence[Request]) -> tuple[Sequence[Response], bool]:
                with clock.measure("answer"):
                    return answer_all(backend, requests, book, spec.engine, counting, observer.note)

            if schedule is None:
                first = ask(flat(workloads))
                workloads, responses, partial = converse(workloads, *first, ask, style_of(spec.model, backend))
            else:
                judged = functools.partial(look_at, schedule, selection.groups, {})
                workloads, responses, partial = answer_in_rounds(schedule, workloads, ask, judged)
        sampled = sampler.counters()
        watch.rest()
        with clock.measure("score"):
            scored = score(workloads, responses)
            tasks = tuple(
                summarize(workload, samples, aftermath) for workload, samples in zip(workloads, scored, strict=True)
            )
        tasks = write_samples(directory, tasks, scored, aftermath)
        del scored  # of a million items they weigh half a gigabyte
        result = RunResult(
            spec=spec.model_dump(mode="json"),
            environment=directory.environment(),
            model=asdict(backend.info),
            tasks=tasks,
            groups=_groups(selection, tasks),
            counters=aftermath.attempt(
                "the counters of performance",
                lambda: {
                    **run_counters(backend, _by_task(workloads), responses, counting, clock.seconds(), sampled),
                    **_reported(workloads, backend, observer),
                },
                lambda reason: {},
            ),
            partial=partial,
        )
        if isinstance(backend, Metered):
            meter = backend.meter
            aftermath.attempt("the durations", lambda: directory.write_performance(meter.raw()), lambda reason: None)
        directory.write_results(result)
    return Finished(result, directory.path, aftermath)


class Clock:
    """Seconds since the run began, and of its parts by name."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._parts: dict[str, float] = {}

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        """Add what the block takes to ``part``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._parts[part] = self._parts.get(part, 0.0) + time.perf_counter() - started

    def seconds(self) -> dict[str, float]:
        """Seconds of every part, and "total" until now."""
        return {**self._parts, "total": time.perf_counter() - self._started}


def load_workloads(
    selection: Selection, data: DataSource, spec: RunSpec, later: LaterChat | None, schedule: Schedule | None = None
) -> list[Workload]:
    """Each task's documents and its requests; conversations wait for the model's template."""
    if spec.samples and spec.limit is not None:
        raise UserError("--samples: says which documents; leave --limit out")
    style = PromptStyle(chat=later, system=spec.model.system, multiturn=spec.model.fewshot_as_multiturn)
    shuffle_seed = spec.seed if spec.limit_random else None
    loaded = []
    for task in selection.tasks:
        asked = selection.asked.get(task.info.name)
        limit = asked.limit if asked is not None and asked.limit is not None else spec.limit
        if schedule is None:
            found = load_documents(task, data, limit, shuffle_seed)
        else:
            found = selected(schedule, load_documents(task, data, None, None))
        loaded.append(found)
    return [build_requests(one, style) for one in chosen(loaded, spec.samples)]


def _bind(workloads: Sequence[Workload], backend: Backend) -> None:
    """Tell a backend that knows answers by document (a file of outputs) which documents are asked about."""
    if not isinstance(backend, ByDocument):
        return
    for workload in workloads:
        backend.bind(workload.documents, workload.requests, workload.info.name)
    backend.finish()


def _plan(spec: RunSpec, model: ModelSpec, workloads: Sequence[Workload], groups: tuple[Group, ...]) -> Plan:
    tasks = tuple(
        PlannedTask(workload.info, len(workload.documents), workload.n_total, workload.n_requests, workload.source)
        for workload in workloads
    )
    cost = None if spec.model.given else expected(model, workloads)
    asked = ("", "") if spec.model.given or cost is not None else (model.dtype, model.device)
    return Plan(model_label(spec.model), model.backend or "", spec.output or Path(), tasks, groups, *asked, cost)


@contextmanager
def _run_directory(spec: RunSpec, resume: bool, schedule: Schedule | None) -> Iterator[RunDir]:
    """The run's directory, locked, before anything is computed: what cannot be saved must fail now."""

    path = spec.output or Path()
    if resume:
        RunDir.open(path)
    with RunDir.create(path, spec, environment.collect()) as directory:
        if schedule is not None:
            schedule.begin(directory)
        else:
            looks.refuse(directory.path)
        yield directory


@contextmanager
def _ready(
    workloads: list[Workload], later: LaterChat | None, model: ModelSpec, spec: RunSpec, clock: Clock, live: Live
) -> Iterator[tuple[Backend, list[Workload]]]:
    """The loaded backend, and the workloads in its words. A template that is there without the weights is used before
    they load, so that what is wrong with it is told then.
    """

    if later is not None and live.backend is None:
        load_tokens = opening.type_of(model.backend or "").load_tokens
        if load_tokens is not None:
            with clock.measure("load"):
                workloads, later = later.settled(workloads, load_tokens(opening.without_mode(model)).chat), None
    with _loaded(model, spec, clock, live) as backend:
        if later is not None:
            workloads = later.settled(workloads, chat_of(backend))
        yield backend, measured(workloads, style_of(spec.model, backend))


@contextmanager
def _loaded(model: ModelSpec, spec: RunSpec, clock: Clock, live: Live) -> Iterator[Backend]:

    if live.backend is not None:
        yield live.backend
        return
    with clock.measure("load"):
        backend = opening.open_backend(model, spec.engine)
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def _book(directory: RunDir, spec: RunSpec) -> Iterator[ResponseStore]:
    """The run's journal, with the shared cache behind it where there is one."""

    journal = directory.journal()
    if spec.engine.cache is None or spec.model.allow_missing_weights:
        yield journal
        journal.flush()
        return
    with ResponseCache(spec.engine.cache) as cache:
        book = Chained(journal, cache)
        yield book
        book.flush()


def _by_task(workloads: Sequence[Workload]) -> dict[str, Sequence[Request]]:
    return {workload.info.name: flat([workload]) for workload in workloads}


def _reported(workloads: Sequence[Workload], backend: Backend, observer: Observer) -> dict[str, Any]:
    """What the backend tells of the run (a cascade: its decisions), with scores of the other answers that it has."""
    if not isinstance(backend, Reporting):
        return {}
    scores = [
        {
            workload.info.name: {metric.key: metric.value for metric in workload.task.summarize(samples)}
            for workload, samples in zip(workloads, score(workloads, responses), strict=True)
        }
        for responses in backend.alternatives()
    ]
    report = backend.report(scores)
    for line in report.lines:
        observer.note(line)
    return {report.name: report.values}


def _groups(selection: Selection, tasks: Sequence[TaskResult]) -> tuple[GroupResult, ...]:

    return summarize_groups(selection.groups, tasks)


def write_samples(
    directory: RunDir, tasks: Sequence[TaskResult], scored: Sequence[Sequence[SampleResult]], aftermath: Aftermath
) -> tuple[TaskResult, ...]:
    """Samples before results.json, which says that the run is there. A task whose file cannot be written is marked."""

    def written(task: TaskResult, samples: Sequence[SampleResult]) -> TaskResult:
        directory.write_samples(task.info.name, samples, task.info)
        return task

    return tuple(
        aftermath.attempt(
            f"task {task.info.name}",
            functools.partial(written, task, samples),
            functools.partial(lambda task, reason: replace(task, problem=task.problem or reason), task),
        )
        for task, samples in zip(tasks, scored, strict=True)
    )
