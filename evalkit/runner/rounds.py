"""Asking in rounds: some documents, a look at what they show, and only then the next ones (`evalkit check`).

The order of asking changes no prompt: requests are written for the documents in the data set's order, as every other
run writes them, and put in the order of asking afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from evalkit.contract.capabilities import Capabilities, Converses
from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    Group,
    GroupResult,
    Request,
    Response,
    SampleResult,
    TaskResult,
)
from evalkit.runner.aftermath import Aftermath
from evalkit.runner.scoring import Known, score, summarize
from evalkit.runner.workload import Workload
from evalkit.store import RunDir
from evalkit.task.groups import summarize_groups

Ask = Callable[[Sequence[Request]], tuple[Sequence[Response], bool]]
"""Answers to requests, in their order, and whether the user interrupted."""
Look = Callable[[Sequence[Workload], Sequence[Response]], None]


@dataclass(frozen=True)
class Round:
    """What is there at a look: each task's numbers and samples, and the groups' averages."""

    tasks: tuple[TaskResult, ...]
    samples: tuple[Sequence[SampleResult], ...]
    groups: tuple[GroupResult, ...]


class Schedule(Protocol):
    """In what order documents are asked about, and when there are enough of them."""

    def begin(self, directory: RunDir) -> None:
        """The run's directory is taken, and nothing is loaded yet. UserError where it holds another schedule's run."""
        ...

    def select(self, workload: Workload) -> Sequence[int]:
        """Places, rising, of the documents that requests are written for, before any model is loaded."""
        ...

    def order(self, workload: Workload) -> Sequence[int]:
        """Places of the selected documents, whose requests are written, in the order of asking; those left out are
        never asked about.
        """
        ...

    def goal(self) -> Mapping[str, int] | None:
        """How many of each task's documents are to be answered at the next look; None: there are enough."""
        ...

    def look(self, found: Round) -> None:
        """The round's documents are answered and scored."""
        ...


def selected(schedule: Schedule, workload: Workload) -> Workload:
    """The same workload with the documents that requests are written for."""
    return replace(workload, documents=workload.documents.take(schedule.select(workload)))


def look_at(
    schedule: Schedule,
    groups: Sequence[Group],
    known: Known,
    workloads: Sequence[Workload],
    responses: Sequence[Response],
) -> None:
    """Score what is new and show all that is there to the schedule."""
    samples = score(workloads, responses, known)
    aftermath = Aftermath()
    tasks = tuple(summarize(one, found, aftermath) for one, found in zip(workloads, samples, strict=True))
    schedule.look(Round(tasks, tuple(samples), summarize_groups(groups, tasks)))


def arranged(schedule: Schedule, workload: Workload) -> Workload:
    """The same workload in the order of asking."""
    places = list(schedule.order(workload))
    documents = workload.documents.take(places)
    return replace(workload, documents=documents, requests=tuple(workload.requests[place] for place in places))


def answer_in_rounds(
    schedule: Schedule, workloads: Sequence[Workload], ask: Ask, look: Look
) -> tuple[list[Workload], list[Response], bool]:
    """The workloads cut to what was asked about (in the data set's order again), all responses in their order, and
    whether the user interrupted. ``look`` is called after every round with what is there by then.
    """
    workloads = [arranged(schedule, one) for one in workloads]
    answers: list[list[tuple[Response, ...]]] = [[] for _ in workloads]
    partial = False
    while not partial and (goal := schedule.goal()) is not None:
        ahead = [
            one.requests[len(done) : goal.get(one.info.name, 0)] for one, done in zip(workloads, answers, strict=True)
        ]
        responses, partial = ask([request for asked in ahead for requests in asked for request in requests])
        rest = iter(responses)
        for asked, done in zip(ahead, answers, strict=True):
            done.extend(tuple(next(rest) for _ in requests) for requests in asked)
        if not partial:
            look(*_so_far(workloads, answers))
    return (*_so_far(workloads, answers), partial)


def require_rounds(model: str, can: Capabilities, workloads: Sequence[Workload] = ()) -> None:
    """UserError for a model that must be asked everything at once, and for a task that is a conversation."""
    if told := [one.info.name for one in workloads if isinstance(one.task, Converses)]:
        raise UserError(f"task {told[0]}: is a conversation: make a run of it (evalkit run), then evalkit gate")
    if can.by_document:
        raise UserError(f"{model}: is asked all at once: make a run of it (evalkit run), then evalkit gate")


def _so_far(
    workloads: Sequence[Workload], answers: Sequence[Sequence[tuple[Response, ...]]]
) -> tuple[list[Workload], list[Response]]:
    parts: list[Workload] = []
    responses: list[Response] = []
    for one, done in zip(workloads, answers, strict=True):
        places = sorted(range(len(done)), key=lambda place: one.documents[place].id)
        documents = one.documents.take(places)
        parts.append(replace(one, documents=documents, requests=tuple(one.requests[place] for place in places)))
        responses += [response for place in places for response in done[place]]
    return parts, responses
