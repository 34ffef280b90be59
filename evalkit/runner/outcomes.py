"""What a model's answers were like, whatever they were worth: empty, cut, still a thought, always the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from string import ascii_uppercase
from typing import Any

from evalkit.contract.types import (
    UNFINISHED,
    WITHHELD,
    Classify,
    Generate,
    Outcomes,
    Response,
    SampleResult,
    Score,
    TaskInfo,
)

REASON = 160
"""Characters of a reason that are kept."""
SHOWN = 60
"""Characters of the most frequent answer that are kept."""


def outcomes(samples: Sequence[SampleResult], info: TaskInfo) -> Outcomes:
    """Counted over all replies that came back and, for the most frequent answer, over the items that have one."""
    replies = [reply for sample in samples for reply in _replies(sample)]
    answer, count, among = _most_frequent(samples, info)
    reasons = Counter(sample.error or "" for sample in samples if sample.status == "error")
    (failure, failures), *_ = [*reasons.most_common(1), ("", 0)]
    return Outcomes(
        replies=len(replies),
        empty=sum(reply.finish != UNFINISHED and not (reply.text or "").strip() for reply in replies),
        cut=sum(reply.finish == "length" for reply in replies),
        unfinished_thoughts=sum(reply.finish == UNFINISHED for reply in replies),
        withheld=sum(one.finish == WITHHELD and one.status != "ok" for sample in samples for one in sample.responses),
        failure=" ".join(failure.split())[:REASON],
        failure_count=failures,
        answers=among,
        most_frequent=answer,
        most_frequent_count=count,
        distinct_targets=len({str(sample.target) for sample in samples if sample.status == "ok"}),
    )


def _replies(sample: SampleResult) -> Iterator[Response]:
    for request, response in zip(sample.requests, sample.responses, strict=False):
        if isinstance(request, Generate) and response.status == "ok" and response.text is not None:
            yield response


def _most_frequent(samples: Sequence[SampleResult], info: TaskInfo) -> tuple[str, int, int]:
    """The most frequent answer, how often it was given, and among how many. An answer is the choice (its text or, where
    that is another in each item, its letter), the reply, or what the filter of the primary metric reads from the reply;
    of these the one that is given most often.
    """
    ways: dict[str, Counter[str]] = {}
    for sample in samples:
        for way, answer in _answers(sample, info):
            ways.setdefault(way, Counter())[answer] += 1
    found = [(*counter.most_common(1)[0], counter.total()) for counter in ways.values()]
    answer, count, among = max(found, key=lambda one: one[1], default=("", 0, 0))
    return " ".join(answer.split())[:SHOWN], count, among


def _answers(sample: SampleResult, info: TaskInfo) -> Iterable[tuple[str, str]]:
    """(how it was read, answer) of one scored item; the ways are the same for all items of a task."""
    if sample.status != "ok" or not sample.requests:
        return
    if all(isinstance(request, Score) for request in sample.requests) and len(sample.requests) > 1:
        scores = [response.loglikelihood for response in sample.responses]
        if all(score is not None for score in scores):
            chosen = scores.index(max(scores, key=lambda score: score or 0.0 if score is not None else 0.0))
            request: Any = sample.requests[chosen]
            yield "text", request.continuation.strip()
            yield "letter", ascii_uppercase[chosen] if chosen < len(ascii_uppercase) else f"choice {chosen + 1}"
        return
    if isinstance(sample.requests[0], Classify):
        asked, values = sample.requests[0], sample.responses[0].values
        yield "class", asked.labels[values.index(max(values))][0] if asked.labels else f"{values[0]:.4g}"
        return
    reply = next(_replies(sample), None)
    if reply is None:
        return
    yield "reply", (reply.text or "").strip()
    read = sample.filtered.get(info.primary.partition(",")[2])
    if isinstance(read, str):
        yield "filter", read.strip()
