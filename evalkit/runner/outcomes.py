"""What a model's answers were like, whatever they were worth: empty, cut, still a thought, always the same."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from string import ascii_uppercase
from typing import Any

import numpy as np

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


class Tally:
    """Counts over all replies that came back and, for the most frequent answer, over the items that have one. Answers
    are told apart by 64 bits of a hash each, so that a million of them take some megabytes.
    """

    def __init__(self, info: TaskInfo) -> None:
        self._info = info
        self._replies = self._empty = self._cut = self._unfinished = self._added = 0
        self._withheld = 0
        self._reasons = Counter[str]()
        self._targets = array("q")
        self._ways: dict[str, tuple[array[int], array[int]]] = {}

    def add(self, sample: SampleResult) -> None:
        """Count one more item."""
        for reply in _replies(sample):
            self._replies += 1
            self._empty += reply.finish != UNFINISHED and not (reply.text or "").strip()
            self._cut += reply.finish == "length"
            self._unfinished += reply.finish == UNFINISHED
        if sample.status == "ok":
            self._targets.append(hash(str(sample.target)))
        elif sample.status == "error":
            self._reasons[sample.error or ""] += 1
        self._withheld += sum(one.finish == WITHHELD and one.status != "ok" for one in sample.responses)
        for way, answer in _answers(sample, self._info):
            answers, places = self._ways.setdefault(way, (array("q"), array("q")))
            answers.append(hash(answer))
            places.append(self._added)
        self._added += 1

    def outcomes(self, samples: Sequence[SampleResult]) -> Outcomes:
        """What was counted of ``samples``, which are those that were added, in that order."""
        answer, count, among = self._most_frequent(samples)
        (failure, failures), *_ = [*self._reasons.most_common(1), ("", 0)]
        return Outcomes(
            replies=self._replies,
            empty=self._empty,
            cut=self._cut,
            unfinished_thoughts=self._unfinished,
            withheld=self._withheld,
            failure=" ".join(failure.split())[:REASON],
            failure_count=failures,
            answers=among,
            most_frequent=" ".join(answer.split())[:SHOWN],
            most_frequent_count=count,
            distinct_targets=len(np.unique(self._targets)),
        )

    def _most_frequent(self, samples: Sequence[SampleResult]) -> tuple[str, int, int]:
        """The most frequent answer, how often it was given, and among how many. An answer is the choice (its text or,
        where that is another in each item, its letter), the reply, or what the filter of the primary metric reads from
        the reply; of these the one that is given most often, and of equals the one that was given first.
        """
        found = []
        for way, (answers, places) in self._ways.items():
            _, first, counts = np.unique(answers, return_index=True, return_counts=True)
            most = int(counts.max())
            found.append((way, places[int(first[counts == most].min())], most, len(answers)))
        if not found:
            return "", 0, 0
        way, place, count, among = max(found, key=lambda one: one[2])
        return dict(_answers(samples[place], self._info))[way], count, among


def _replies(sample: SampleResult) -> Iterator[Response]:
    for request, response in zip(sample.requests, sample.responses, strict=False):
        if isinstance(request, Generate) and response.status == "ok" and response.text is not None:
            yield response


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
