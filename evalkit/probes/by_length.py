"""Perplexity against the length of the context: perplexity_by_length:text=FOLDER:lengths=512+4096:spans=20:tail=128.

The same spans of a text are scored behind contexts of every length, each of which ends where the span begins. So the
perplexities of two lengths are of the same words, and differ by nothing but what the model makes of more context; they
compare settings that act at long range (scaled rotary positions, precision of the KV cache, windows).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    Asked,
    DatasetRef,
    DataSource,
    Document,
    Documents,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Score,
    Shots,
    TaskInfo,
)
from evalkit.metrics import base
from evalkit.metrics.aggregate import aggregate
from evalkit.probes import options, windows
from evalkit.probes.needle import layout
from evalkit.store import paths
from evalkit.store.identity import digest
from evalkit.task.definition import Defined, load_task

if TYPE_CHECKING:
    from evalkit.task.catalog import Catalog

FORMS = {
    "perplexity_by_length:text=FOLDER:lengths=512+4096": "the perplexity of the same words behind contexts of several "
    "lengths"
}
READERS: options.Readers = {
    "text": Path,
    "lengths": options.wholes(64),
    "spans": options.whole(2, 10_000),
    "tail": options.whole(8, 100_000),
}
SOURCE = "evalkit's probe of perplexity against length, docs/long_context.md"
PERPLEXITY = base.Metric(
    name="perplexity", kind="score", higher_is_better=False, combine="weighted_perplexity", source=SOURCE
)
GAIN = base.Metric(
    name="gain", kind="score", higher_is_better=True, unit="nats", source=f"{SOURCE}; a token, paired by span"
)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a name asks for; a length counts the context and the span."""

    text: Path
    lengths: tuple[int, ...] | None = None
    spans: int = 20
    tail: int = 128

    @property
    def steps(self) -> tuple[int, ...]:
        """The lengths, where the window is not known the shortest ones."""
        return self.lengths or windows.UNKNOWN


class ByLengthTask:
    """See `evalkit.contract.types.Task`: a document is a span behind a context of one length."""

    traits = TaskTraits(measures_prompts=True)

    def __init__(self, name: str, settings: Settings) -> None:
        self._settings = settings
        first, *others = settings.steps
        keys = {windows.at("perplexity", length): False for length in reversed(settings.steps)}
        keys |= {windows.at("gain", length): True for length in others}
        self.info = TaskInfo(
            name=name,
            version="1.0",
            kind="score",
            dataset=DatasetRef("evalkit/perplexity_by_length", settings.text.name, None),
            split="generated",
            num_fewshot=0,
            primary=f"{windows.at('perplexity', settings.steps[-1])},none",
            higher_is_better={f"{key},none": good for key, good in keys.items()},
            description=f"Perplexity of the same words behind contexts of {first:,} to {settings.steps[-1]:,} tokens.",
            tags=("long_context",),
            config={
                "task": name,
                "output_type": "loglikelihood",
                "num_fewshot": 0,
                "metadata": {"version": "1.0"},
                "by_length": {
                    "text": settings.text.name,
                    "lengths": list(settings.steps),
                    "spans": settings.spans,
                    "tail": settings.tail,
                },
            },
            shots=Shots(0, "locked", "texts are scored as they are"),
        )

    def fitted(self, window: int) -> ByLengthTask:
        """The same task with lengths that follow the window, where its name gives none."""
        if self._settings.lengths is not None:
            return self
        return ByLengthTask(self.info.name, replace(self._settings, lengths=windows.ladder(window)))

    def documents(self, data: DataSource) -> Documents:
        """Every span at every length; the words are what they share."""
        words = " ".join(layout.from_folder(self._settings.text)).split(" ")
        content = digest(words)
        found: list[Document] = []
        for span in range(self._settings.spans):
            for length in self._settings.steps:
                row = {"span": span, "of": span, "length": length, "tail": self._settings.tail, "text": content}
                found.append(Document(len(found), row, digest(row)))
        return Documents(tuple(found), words)

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """The span behind its context; none for a length above the window. UserError for too short a text."""
        assert isinstance(documents, Documents)
        words, longest = list(documents.pool), max(self._settings.steps)
        if style.max_length is not None:
            longest = max((one for one in self._settings.steps if one <= style.max_length), default=0)

        def tokens(text: str) -> int:
            if style.encode is None:
                return -(-len(text) // layout.CHARACTERS_A_TOKEN)
            return len(style.encode([text])[0])

        # A context of so many tokens has at most as many words; the first span begins behind the longest context.
        first, last = longest, len(words) - self._settings.tail
        if last - first < self._settings.spans:
            raise UserError(
                f"{self.info.name}: the text has {len(words):,} words, and over {longest + self._settings.tail:,} are "
                "needed; give more text, or shorter lengths"
            )
        for document in documents:
            length = document.data["length"]
            if length > longest:
                yield Asked((), f"{length} tokens do not fit the model's window of {style.max_length}")
                continue
            begin = first + (last - first) * document.data["span"] // self._settings.spans
            span = _within(lambda count, at=begin: tokens(" ".join(words[at : at + count])), self._settings.tail, 1)
            continuation = " " + " ".join(words[begin : begin + span])

            def whole(count: int, at: int = begin, end: str = continuation) -> int:
                return tokens(" ".join(words[at - count : at]) + end)

            before = _within(whole, length, 1, begin)
            yield (Score(" ".join(words[begin - before : begin]), continuation),)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """The span's log-likelihood in nats, and its tokens."""
        result = SampleResult(document, requests, tuple(responses), None)
        if not requests:
            note = requests.note if isinstance(requests, Asked) else ""
            return replace(result, status="unscored", error=str(note))
        (response,) = responses
        if response.status != "ok" or response.loglikelihood is None:
            status = "error" if response.status == "ok" else response.status
            return replace(result, status=status, error=response.error or "there is no log-likelihood")
        if response.truncated:
            return replace(result, status="unscored", error=f"{response.truncated} tokens of the context were cut off")
        found = (response.loglikelihood, float(response.output_tokens or 1))
        key = f"{windows.at('perplexity', document.data['length'])},none"
        return replace(result, statistics={key: found}, extra={"tokens": response.prompt_tokens})

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """The perplexity at every length, the longest first, and what a token gains over the shortest context."""
        by_length: dict[int, dict[int, tuple[float, ...]]] = {length: {} for length in self._settings.steps}
        for sample in samples:
            if sample.status == "ok":
                (pair,) = sample.statistics.values()
                by_length[sample.document.data["length"]][sample.document.data["span"]] = pair
        shortest, *others = self._settings.steps
        found = [
            aggregate(
                PERPLEXITY,
                list(by_length[length].values()),
                name=windows.at("perplexity", length),
                primary=length == self._settings.steps[-1],
            )
            for length in reversed(self._settings.steps)
        ]
        base_of = by_length[shortest]
        for length in others:
            gains = [
                own[0] / own[1] - base_of[span][0] / base_of[span][1]
                for span, own in by_length[length].items()
                if span in base_of
            ]
            found.append(replace(aggregate(GAIN, gains, name=windows.at("gain", length)), level="group"))
        return tuple(found)


def _within(tokens: Any, most: int, least: int, words: int | None = None) -> int:
    """The most words whose text has at most so many tokens, ``least`` at the least."""
    low, high = least, (most if words is None else min(words, most)) + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tokens(middle) <= most else (low, middle)
    return low


def family(name: str, catalog: Catalog) -> Defined:
    """The probe ``name``. UserError for a parameter that is unknown or makes no sense, and without a text."""
    asked = options.parse(name, READERS)
    if "text" not in asked or not asked["text"].expanduser().exists():
        raise UserError(f"{name}: give a text: perplexity_by_length:text=FOLDER, with .txt or .md files")
    settings = Settings(**{**asked, "text": asked["text"].expanduser()})
    template = load_task(paths.share("tasks") / "perplexity_by_length" / "one.yaml")
    one = template.tasks[0].model_copy(update={"name": name})

    def build(definition: Any, source: Any, chosen: Any) -> Any:
        return ByLengthTask(name, settings)

    return Defined(template.source, (one,), (), one.description, build=build)
