"""Conversations: questions that depend on the model's own answers are asked round by round, all documents together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from evalkit.contract.capabilities import Converses
from evalkit.contract.types import Asked, PromptStyle, Request, Response
from evalkit.runner.rounds import Ask
from evalkit.runner.workload import Workload


def converse(
    workloads: Sequence[Workload], responses: Sequence[Response], partial: bool, ask: Ask, style: PromptStyle
) -> tuple[list[Workload], Sequence[Response], bool]:
    """The workloads with the requests of their later turns, all responses in their order, and whether the user
    interrupted. Turns that an interruption left unasked are missing, which the task tells when it scores.
    """
    if not any(isinstance(one.task, Converses) for one in workloads):
        return list(workloads), responses, partial
    ahead = iter(responses)
    answers = [[list(islice(ahead, len(requests))) for requests in one.requests] for one in workloads]
    asked = [[list(requests) for requests in one.requests] for one in workloads]
    while not partial:
        places: list[tuple[int, int]] = []
        more: list[Request] = []
        for at, one in enumerate(workloads):
            if not isinstance(one.task, Converses):
                continue
            for place, document in enumerate(one.documents):
                own = one.task.follow(document, tuple(asked[at][place]), tuple(answers[at][place]), style)
                asked[at][place] += own
                more += own
                places += [(at, place)] * len(own)
        if not more:
            break
        found, partial = ask(more)
        for (at, place), response in zip(places, found, strict=True):
            answers[at][place].append(response)
    made = [
        replace(one, requests=tuple(_as(before, own) for before, own in zip(one.requests, asked[at], strict=True)))
        for at, one in enumerate(workloads)
    ]
    return made, [response for own in answers for some in own for response in some], partial


def _as(before: tuple[Request, ...], requests: Sequence[Request]) -> tuple[Request, ...]:
    return Asked(requests, before.note) if isinstance(before, Asked) else tuple(requests)
