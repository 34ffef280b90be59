"""Multiple choice by generation, for models without log-probabilities (``--model_args mc=generate``).

The choices are listed under the question with letters, and the reply is read by the rule ``letter_or_text``, which is
the filter's name in the metrics ``acc_generative,letter_or_text`` and ``parsed,letter_or_text``:

1. a reply that begins with a letter standing alone ("B", "(B)", "B.", "**B**") means that choice;
2. else the last "answer is B", "answer: B" or "\\boxed{B}";
3. else the choice whose text the reply begins with, the longest where there are several;
4. else nothing: the document counts as wrong, and ``parsed`` says how many were read.

Such numbers are another measurement than log-likelihood accuracy, so they have another name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evalkit.contract.capabilities import KnowsTarget, TaskTraits, traits
from evalkit.contract.clusters import shared_field
from evalkit.contract.types import (
    Asked,
    DataSource,
    Document,
    Generate,
    Image,
    Message,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Score,
    Task,
    TaskInfo,
)
from evalkit.metrics import base
from evalkit.metrics.aggregate import aggregate
from evalkit.task.groups import leaves

if TYPE_CHECKING:
    from evalkit.task.catalog import Selection

RULE = "letter_or_text"
ACCURACY = f"acc_generative,{RULE}"
PARSED = f"parsed,{RULE}"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MAX_TOKENS = 64
UNLIKELY = -1e6
"""Log-likelihood in nats that stands for "not chosen" when the task's own rule judges the choice."""


def by_generation(selection: Selection) -> Selection:
    """The same tasks with every multiple-choice one asked as a generation; groups average the new metric."""

    tasks = tuple(GenerativeChoice(task) if task.info.kind == "multiple_choice" else task for task in selection.tasks)
    changed = {task.info.name for task in tasks if isinstance(task, GenerativeChoice)}
    by_name = {group.name: group for group in selection.groups}
    groups = tuple(
        replace(group, aggregate=(ACCURACY, PARSED))
        if group.aggregate and changed & set(leaves(group, by_name))
        else group
        for group in selection.groups
    )
    return replace(selection, tasks=tasks, groups=groups)


class GenerativeChoice:
    """A multiple-choice task as :class:`evalkit.contract.types.Task` with one `Generate` a document."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.info: TaskInfo = replace(
            task.info,
            kind="generate",
            primary=ACCURACY,
            higher_is_better={ACCURACY: True, PARSED: True},
            config={**task.info.config, "mc": {"mode": "generate", "rule": RULE, "max_tokens": MAX_TOKENS}},
        )

    def documents(self, data: DataSource) -> Sequence[Document]:
        """As the task's own."""
        return self._task.documents(data)

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """One question a document, from what the task would have scored."""
        for asked in self._task.requests(documents, style):
            scores = tuple(request for request in asked if isinstance(request, Score))
            yield Asked((question(scores, style),), scores)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """Right where the task's own rule calls the chosen answer right."""
        if not isinstance(requests, Asked):
            raise TypeError("the requests are not those that this task made")
        scores: tuple[Score, ...] = requests.note
        response = responses[0]
        chosen = None if response.status != "ok" else read(response.text or "", choices(scores))
        verdicts = [self._task.score(document, scores, _as_if_chosen(scores, index)) for index in range(len(scores))]
        judged = verdicts[0]
        result = SampleResult(document, requests, tuple(responses), judged.target)
        if response.status != "ok":
            return replace(result, status=response.status, error=response.error)
        if judged.status != "ok":
            return replace(result, status=judged.status, error=judged.error)
        rights = [_accuracy(verdict.metrics, self._task.info.primary) > 0 for verdict in verdicts]
        right = float(chosen is not None and rights[chosen])
        return replace(
            result,
            filtered={RULE: None if chosen is None else LETTERS[chosen]},
            metrics={ACCURACY: right, PARSED: float(chosen is not None)},
            extra={"choices": list(choices(scores)), "chance": sum(rights) / len(rights)},
        )

    def target(self, document: Document) -> Any:
        """The task's own, where it tells it."""
        return self._task.target(document) if isinstance(self._task, KnowsTarget) else None

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Accuracy, and the share of replies that could be read."""
        scored = [sample for sample in samples if sample.status == "ok"]
        chance = sum(sample.extra["chance"] for sample in scored) / len(scored) if scored else None
        _, clusters = shared_field([sample.document.data for sample in scored])
        return tuple(
            aggregate(
                _METRICS[key],
                [sample.metrics.get(key) for sample in scored],
                filter=RULE,
                baseline=chance if key == ACCURACY else None,
                primary=key == ACCURACY,
                clusters=clusters,
            )
            for key in (ACCURACY, PARSED)
        )

    @property
    def traits(self) -> TaskTraits:
        """The task's own."""
        return traits(self._task)


def choices(scores: Sequence[Score]) -> tuple[str, ...]:
    """The choices' texts. Where the contexts differ (winogrande), each choice is its whole text, of a conversation the
    last turn's.
    """
    if len({score.context for score in scores}) > 1:
        return tuple((_last_turn(score) + score.continuation).strip() for score in scores)
    return tuple(score.continuation.strip() for score in scores)


def _last_turn(score: Score) -> str:
    return score.messages[-1].content if score.messages else score.context


def question(scores: Sequence[Score], style: PromptStyle) -> Generate:
    """The scored prompt with its choices listed, unless they are letters that the prompt explains already."""
    first, listed = scores[0], choices(scores)
    lettered = list(listed) == list(LETTERS[: len(listed)])
    same = len({score.context for score in scores}) == 1
    listing = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, listed, strict=False))
    ask = "Answer with the letter of the right choice."
    added = "" if lettered else f"\n\nChoices:\n{listing}\n\n{ask}"
    if first.messages is None or style.chat is None:
        context = (
            first.context if lettered else f"{first.context.rstrip() if same else ''}{added}\nAnswer:".lstrip("\n")
        )
        images = _images(scores[:1] if same or lettered else scores)
        turns = (Message("user", context, images),) if images else None
        return Generate(context, until=("\n\n",), max_tokens=MAX_TOKENS, messages=turns)
    *before, last = first.messages
    content = f"{last.content}\n\n{ask}" if lettered else f"{last.content.rstrip() if same else ''}{added}".lstrip("\n")
    images = _images(scores[:1] if same or lettered else scores)
    messages = (*before, replace(last, content=content, images=images))
    return Generate(style.chat(messages, True), until=(), max_tokens=MAX_TOKENS, messages=messages)


def _images(scores: Sequence[Score]) -> tuple[Image, ...]:
    """Those of the last turns, whose texts the question holds."""
    return tuple(image for score in scores if score.messages for image in score.messages[-1].images)


def read(reply: str, listed: Sequence[str]) -> int | None:
    """The index of the choice that the reply names, by the rule letter_or_text; None where it names none."""
    letters = LETTERS[: len(listed)]
    text = reply.strip()
    found = re.match(rf"[\s*_`'\"(\[]*([{letters}])(?![A-Za-z0-9'’])", text)
    # "A bird ..." begins with an article, not with a letter of the list.
    if found and not (found[1] == "A" and re.match(r"A\s+[a-z]", text)):
        return letters.index(found[1])
    named = re.findall(
        # ++ and *+ give nothing back: white space, however much, is read once.
        rf"(?:answer(?:\s++is)?\s*+:?\s*+|\\boxed\{{)[\s*_`'\"(\[]*+(?:option\s++|choice\s++)?([{letters}])(?![A-Za-z0-9])",
        text,
        flags=re.IGNORECASE,
    )
    if named and named[-1].upper() in letters and named[-1].isupper():
        return letters.index(named[-1])
    plain = text.casefold()
    begun = [index for index, choice in enumerate(listed) if choice and plain.startswith(choice.casefold())]
    if not begun:
        return None
    longest = max(begun, key=lambda index: len(listed[index]))
    return longest if sum(listed[index] == listed[longest] for index in begun) == 1 else None


def _as_if_chosen(scores: Sequence[Score], chosen: int) -> list[Response]:
    """Responses under which the task's own metrics see ``chosen`` as the likeliest by any normalisation."""
    return [
        Response(loglikelihood=0.0 if index == chosen else UNLIKELY, is_greedy=index == chosen)
        for index in range(len(scores))
    ]


def _accuracy(metrics: Mapping[str, float | None], primary: str) -> float:
    value = metrics.get("acc,none", metrics.get(primary))
    return 0.0 if value is None else value


_METRICS = {
    ACCURACY: base.Metric(
        name="acc_generative", kind="text", higher_is_better=True, binary=True, source="letter in the reply"
    ),
    PARSED: base.Metric(
        name="parsed", kind="text", higher_is_better=True, binary=True, source="share of replies that were read"
    ),
}
