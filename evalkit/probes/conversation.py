"""Is an instruction still followed after many turns of the model's own? conversation:turns=24:n=50.

The instruction stands at the beginning; every turn asks one more question about the world, and the model's own replies
are the history. (The task ``persistence`` gives a history that follows the instruction.)
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.types import (
    DatasetRef,
    DataSource,
    Document,
    Generate,
    Message,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Shots,
    TaskInfo,
)
from evalkit.metrics import base
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.filters import strip_thinking
from evalkit.probes import options, prose, windows
from evalkit.probes.facts import CAPITALS
from evalkit.store import paths
from evalkit.store.identity import digest
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "conversation:turns=24:n=50:seed=1": "an instruction given once; is it followed for so many turns, the model's own "
    "answers being the history?"
}
READERS: options.Readers = {"turns": options.whole(2, 48), "n": options.whole(1, 10_000), "seed": options.whole(0)}
MAX_TOKENS = 48
SOURCE = "evalkit's probe of persistence over a conversation, docs/probes.md"
OBEYED = base.Metric(name="obeyed", kind="text", higher_is_better=True, unit="share", bounds=base.SHARE, source=SOURCE)
AT = base.Metric(name="obeyed_at", kind="text", higher_is_better=True, binary=True, source=SOURCE)
KEPT = base.Metric(
    name="turns_kept", kind="text", higher_is_better=True, unit="turns", bounds=(0.0, None), source=SOURCE
)
DRIFT = base.Metric(
    name="drift", kind="text", higher_is_better=True, bounds=(-1.0, 1.0), source=f"{SOURCE}; paired by conversation"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a name asks for."""

    turns: int = 24
    n: int = 50
    seed: int = 1

    @property
    def marks(self) -> tuple[int, ...]:
        """The turns that are shown by themselves: 1, 2, 4, ... and the last."""
        found = [turn for turn in (1, 2, 4, 8, 16, 32) if turn < self.turns]
        return (*found, self.turns)


class ConversationTask:
    """See `evalkit.contract.types.Task` and `evalkit.contract.capabilities.Converses`: a document is a conversation."""

    traits = TaskTraits()

    def __init__(self, name: str, settings: Settings) -> None:
        self._settings = settings
        keys = ["obeyed", "turns_kept", "drift", *(windows.at("obeyed_at", turn) for turn in settings.marks)]
        self.info = TaskInfo(
            name=name,
            version="1.0",
            kind="generate",
            dataset=DatasetRef("evalkit/conversation", f"turns={settings.turns}", None),
            split="generated",
            num_fewshot=0,
            primary="obeyed,none",
            higher_is_better={f"{key},none": True for key in keys},
            description=f"An instruction given once; is it followed for {settings.turns} turns of the model's own?",
            tags=("robustness",),
            config={
                "task": name,
                "output_type": "generate_until",
                "num_fewshot": 0,
                "generation_kwargs": {"until": ["\n"], "max_gen_toks": MAX_TOKENS, "temperature": 0.0},
                "metadata": {"version": "1.0"},
                "conversation": {"turns": settings.turns, "n": settings.n, "seed": settings.seed},
            },
            shots=Shots(0, "locked", "its prompts show none"),
        )

    def documents(self, data: DataSource) -> Sequence[Document]:
        """Conversations, each with a word of its own and the questions of its turns."""
        asked = [f"What is the capital of {one.country}?" for one in CAPITALS]
        asked += [f"On which continent does {one.country} lie?" for one in CAPITALS]
        found = []
        for number in range(self._settings.n):
            draw = random.Random(f"conversation/{self._settings.seed}/{number}")
            row = {"token": prose.invented(draw, 2).lower(), "questions": draw.sample(asked, self._settings.turns)}
            found.append(Document(number, row, digest(row)))
        return found

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """The first turn of each conversation."""
        for document in documents:
            yield (self._turn(document, (), style),)

    def follow(
        self, document: Document, requests: Sequence[Request], responses: Sequence[Response], style: PromptStyle
    ) -> tuple[Request, ...]:
        """The next turn, after the replies so far; none after the last, and none after one that failed."""
        if len(requests) >= self._settings.turns or any(one.status != "ok" or one.truncated for one in responses):
            return ()
        return (self._turn(document, [strip_thinking()(one.text or "").strip() for one in responses], style),)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """In which turns the word stands in the reply; a conversation that broke off has no score."""
        turns = self._settings.turns
        result = SampleResult(document, requests, tuple(responses), document.data["token"])
        failed = next((one for one in responses if one.status != "ok"), None)
        if failed is not None:
            return replace(result, status=failed.status, error=failed.error)
        if cut := next((one for one in responses if one.truncated), None):
            return replace(result, status="unscored", error=f"{cut.truncated} tokens of the history were cut off")
        if len(responses) < turns:
            return replace(result, status="unscored", error=f"the conversation ended after {len(responses)} turns")
        kept = [_holds(strip_thinking()(one.text or ""), document.data["token"]) for one in responses]
        quarter = max(1, turns // 4)
        metrics: dict[str, float | None] = {
            "obeyed,none": sum(kept) / turns,
            "turns_kept,none": float(next((place for place, one in enumerate(kept) if not one), turns)),
            "drift,none": sum(kept[-quarter:]) / quarter - sum(kept[:quarter]) / quarter,
        }
        metrics |= {f"{windows.at('obeyed_at', turn)},none": float(kept[turn - 1]) for turn in self._settings.marks}
        return replace(result, metrics=metrics, extra={"obeyed": kept})

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Over conversations: the share of turns, the turns before the first break, by how much more the last quarter
        obeys than the first (within conversations), and single turns.
        """
        ok = [sample for sample in samples if sample.status == "ok"]
        found = [
            aggregate(metric, windows.values(ok, f"{metric.name},none"), primary=metric is OBEYED)
            for metric in (OBEYED, KEPT, DRIFT)
        ]
        names = [windows.at("obeyed_at", turn) for turn in self._settings.marks]
        return (*found, *(aggregate(AT, windows.values(ok, f"{name},none"), name=name) for name in names))

    def _turn(self, document: Document, replies: Sequence[str], style: PromptStyle) -> Generate:
        rule = f'Rule: end every answer with the word "{document.data["token"]}".'
        questions = document.data["questions"][: len(replies) + 1]
        if style.chat is None:
            lines = [f"Question: {one}\nAnswer: {reply}" for one, reply in zip(questions, replies, strict=False)]
            head = f"{style.system}\n\n" if style.system else ""
            context = "\n".join([f"{head}{rule}\n", *lines, f"Question: {questions[-1]}\nAnswer:"])
            return Generate(context, ("\n",), MAX_TOKENS)
        turns = [Message("system", style.system)] if style.system else []
        for place, question in enumerate(questions):
            turns.append(Message("user", f"{rule}\n\n{question}" if place == 0 else question))
            if place < len(replies):
                turns.append(Message("assistant", replies[place]))
        return Generate(style.chat(turns, True), (), MAX_TOKENS, messages=tuple(turns))


def _holds(reply: str, token: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(token)}(?!\w)", reply, re.IGNORECASE) is not None


def family(name: str, catalog: Catalog) -> Defined:
    """The probe ``name``. UserError for a parameter that is unknown or makes no sense."""
    settings = Settings(**options.parse(name, READERS))
    template = load_task(paths.share("tasks") / "conversation" / "one.yaml")
    one = template.tasks[0].model_copy(update={"name": name})

    def build(definition: Any, source: Any, chosen: Any) -> Any:
        return ConversationTask(name, settings)

    return Defined(template.source, (one,), (), one.description, build=build)
