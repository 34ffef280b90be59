"""Stored answers scored again: a run's own documents, prompts and answers, with the metrics and filters of today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from evalkit.backends import opening
from evalkit.contract.capabilities import traits
from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    Asked,
    Classify,
    Embed,
    PromptStyle,
    Request,
    Response,
    Rolling,
    RunResult,
    Score,
    Task,
    TaskResult,
)
from evalkit.data import open_source
from evalkit.metrics import comet
from evalkit.runner.aftermath import Aftermath
from evalkit.runner.evaluate import Finished, Live, load_workloads, write_samples
from evalkit.runner.scoring import score, summarize
from evalkit.runner.styling import LaterChat
from evalkit.runner.suitability import permitted
from evalkit.runner.surroundings import with_environment
from evalkit.runner.workload import Workload, build_requests
from evalkit.sandbox import permission
from evalkit.spec.models import RunSpec
from evalkit.spec.naming import default_output, model_label
from evalkit.store import RunDir, environment
from evalkit.store.environment import command_line
from evalkit.store.samples import prompt_of
from evalkit.task import catalog
from evalkit.task.classification import by_classification
from evalkit.task.generative_choice import by_generation
from evalkit.task.groups import summarize_groups

if TYPE_CHECKING:
    from collections.abc import Callable

    from evalkit.task.catalog import Selection

COLUMNS = ("doc_id", "doc_hash", "prompt", "prompts", "choices", "responses")


@dataclass(frozen=True)
class Answered:
    """A task with the documents, requests and answers of the run, and how many prompts it would write otherwise now."""

    workload: Workload
    responses: tuple[Response, ...]
    other_prompts: int


def rescore(
    source: RunDir,
    spec: RunSpec,
    note: Callable[[str], None],
    instead: Mapping[str, str] | None = None,
    live: Live = Live(),
) -> Finished:
    """Score the answers of ``source`` again, as ``spec`` says, into the new directory ``spec.output``. Nothing is
    asked, and ``source`` stays as it is. ``instead``: tasks of ``spec`` that take the answers of
    another task of the run.

    Prompts and answers are the run's own; documents, targets, filters and metrics are today's. UserError where a task's
    documents or choices are no longer those that were answered.
    """
    with comet.asked_in(spec.comet_python), permission.given(spec.allow_code_execution):
        return _rescore(source, spec, note, instead or {}, live)


def _rescore(
    source: RunDir, spec: RunSpec, note: Callable[[str], None], instead: Mapping[str, str], live: Live
) -> Finished:
    old = source.result()
    selection = _as_asked(catalog.resolve(spec, live.tasks), old, spec)
    answered_by = {one.info.name: instead.get(one.info.name, one.info.name) for one in selection.tasks}
    recorded = {one.info.name: one for one in old.tasks}
    for name in answered_by.values():
        if name not in recorded:
            raise UserError(f"{source.path}: holds no answers of the task {name}: its tasks are {', '.join(recorded)}")
    output = spec.output or default_output(spec)
    spec = with_environment(spec.model_copy(update={"output": output}))
    if output.resolve() == source.path.resolve():
        raise UserError(f"--output {output}: is the run itself, which stays as it is: give another folder")
    selection = permitted(selection)
    for warning in selection.warnings:
        note(warning)
    later = LaterChat() if spec.model.chat_template else None
    found = [
        _answered(one, source, recorded[answered_by[one.info.name]], spec)
        for one in load_workloads(selection, open_source(spec.data_dir), spec, later)
    ]
    for one in found:
        if one.other_prompts:
            note(
                f"{one.workload.info.name}: {one.other_prompts:,} of its {len(one.workload.documents):,} prompts would "
                "be others today; the answers are to those of the run"
            )
    aftermath = Aftermath()
    with RunDir.create(output, spec, _surroundings(source)) as directory:
        if not any(directory.path.glob("results.json")):
            directory.take_answers(source)
        workloads = [one.workload for one in found]
        scored = score(workloads, [response for one in found for response in one.responses])
        tasks = tuple(summarize(one, samples, aftermath) for one, samples in zip(workloads, scored, strict=True))
        tasks = write_samples(directory, tasks, scored, aftermath)
        result = RunResult(
            spec=spec.model_dump(mode="json"),
            environment=directory.environment(),
            model=old.model,
            tasks=tasks,
            groups=summarize_groups(selection.groups, tasks),
            counters=old.counters,
            partial=old.partial,
        )
        directory.write_results(result)
    return Finished(result, directory.path, aftermath)


def _as_asked(selection: Selection, old: RunResult, spec: RunSpec) -> Selection:
    """The tasks in the form in which the run asked them."""
    if any(one.info.config.get("asked") == "classify" for one in old.tasks):
        return by_classification(selection, model_label(spec.model))
    if any(isinstance(one.info.config.get("mc"), Mapping) for one in old.tasks):
        return by_generation(selection)
    return selection


def _surroundings(source: RunDir) -> dict[str, Any]:
    """Where the answers were made, and that they were scored here and now."""
    made = source.environment()
    now = environment.collect()
    rescored = {
        "run": str(source.path.resolve()),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "packages": now["packages"],
        "git": now["git"],
        "before": made.get("rescored"),
    }
    return {**{key: value for key, value in made.items() if key != "resumes"}, "rescored": rescored}


def _answered(workload: Workload, source: RunDir, before: TaskResult, spec: RunSpec) -> Answered:
    """The workload with the run's prompts and answers. Those that it has written itself only say what a document's
    requests are like.
    """
    rows: Any = source.samples(before.info.name, COLUMNS).to_dict("records")
    places = _places(workload, rows, source)
    if traits(workload.task).measures_prompts:
        workload = build_requests(workload, PromptStyle(encode=_encode(workload.task, spec)))
    requests, responses, changed = [], [], 0
    for row, asked in zip(rows, (workload.requests[place] for place in places), strict=True):
        answers = [_response(one) for one in row["responses"]]
        if len(answers) != len(asked):
            raise UserError(
                f"{workload.info.name}: document {row['doc_id']} has {len(answers)} answers, and the task asks "
                f"{len(asked)} requests of it now: the run must be asked again"
            )
        prompts = list(row["prompts"]) if row["prompts"] is not None else [row["prompt"]] * len(asked)
        own = tuple(_with(one, prompt) for one, prompt in zip(asked, prompts, strict=True))
        _require_choices(workload.info.name, row, own)
        if not spec.model.chat_template and any(
            prompt_of(one) != text for one, text in zip(asked, prompts, strict=True)
        ):
            changed += 1
        requests.append(Asked(own, asked.note) if isinstance(asked, Asked) else own)
        responses += answers
    # The run's own count and source: what it says of the documents was true when they were asked about.
    documents = workload.documents.take(places)
    whole = replace(workload, documents=documents, requests=tuple(requests))
    whole = replace(whole, n_total=before.n_total, source=before.data_source)
    return Answered(whole, tuple(responses), changed)


def _places(workload: Workload, rows: Sequence[Mapping[str, Any]], source: RunDir) -> list[int]:
    """Where the answered documents stand in the split: by number where the hash agrees, else by their hash."""
    documents = workload.documents
    by_hash = {document.hash: place for place, document in reversed(list(enumerate(documents)))}
    places = []
    for row in rows:
        number, wanted = int(row["doc_id"]), row["doc_hash"]
        same = number < len(documents) and documents[number].hash == wanted
        place = number if same else by_hash.get(wanted)
        if place is None:
            raise UserError(
                f"{source.path}: {workload.info.name}: its document {number} is not in the data any more "
                f"({workload.source}): give the data that the run had by --data-dir"
            )
        places.append(place)
    return places


def _encode(task: Task, spec: RunSpec) -> Any:
    """The model's tokenizer, for a task whose prompts are measured in tokens."""
    model = opening.resolve(spec.model)
    load = opening.type_of(model.backend or "").load_tokens
    if load is None:
        raise UserError(f"{task.info.name}: its prompts are made to a length in tokens, and this model shows none")
    return load(model).encode


def _with(request: Request, prompt: str) -> Request:
    """The request as it was asked."""
    if isinstance(request, Rolling):
        return replace(request, text=prompt)
    return request if isinstance(request, Classify | Embed) else replace(request, context=prompt, messages=None)


def _require_choices(task: str, row: Mapping[str, Any], requests: Sequence[Request]) -> None:
    now = [one.continuation for one in requests if isinstance(one, Score)]
    if now != list(row["choices"]):
        raise UserError(
            f"{task}: document {row['doc_id']} has other choices now ({now!r:.80}) than those that were scored "
            f"({list(row['choices'])!r:.80}): the run must be asked again"
        )


def _response(found: Mapping[str, Any]) -> Response:
    """An answer as the samples keep it; what was not there is None or empty."""
    values = found.get("values")
    return Response(**{**found, "values": () if values is None else tuple(values)})
