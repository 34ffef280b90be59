"""RULER as a task: every sample at every length, as long as it may be."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.errors import UserError
from evalkit.contract.types import (
    Asked,
    DatasetRef,
    DataSource,
    Document,
    Documents,
    Generate,
    Message,
    MetricResult,
    PromptStyle,
    Request,
    Response,
    SampleResult,
    Sampling,
    Shots,
    TaskInfo,
)
from evalkit.metrics import base
from evalkit.metrics.aggregate import aggregate
from evalkit.metrics.filters import strip_thinking
from evalkit.probes import windows
from evalkit.probes.needle import layout
from evalkit.probes.ruler.hidden import DEFINITIONS, Made, Materials, Question
from evalkit.store.identity import digest

VERSION = "1.0"
SCORE = base.Metric(
    name="score",
    kind="text",
    higher_is_better=True,
    unit="share",
    bounds=base.SHARE,
    source="RULER (arXiv 2404.06654): the share of the answers that the reply holds; of questions, whether any",
)
ESSAYS = DatasetRef("baber/paul_graham_essays", None, None)
"""The essays that the repository downloads; where they are not to be had, a folder of texts takes their place."""
SQUAD = DatasetRef("rajpurkar/squad_v2", "squad_v2", None)
HOTPOT = DatasetRef("hotpotqa/hotpot_qa", "distractor", None)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a name asks for. ``lengths`` None: those that fit the model's window."""

    lengths: tuple[int, ...] | None = None
    n: int = 100
    seed: int = 42
    text: Path | None = None
    threshold: float = windows.THRESHOLD

    @property
    def steps(self) -> tuple[int, ...]:
        """The lengths, where the window is not known the shortest ones."""
        return self.lengths or windows.UNKNOWN


class RulerTask:
    """See `evalkit.contract.types.Task`. Prompts are made to measure once the model's tokenizer is known."""

    traits = TaskTraits(measures_prompts=True)

    def __init__(self, name: str, kind: str, settings: Settings, citation: str = "") -> None:
        self._kind, self._settings, self._citation = DEFINITIONS[kind], settings, citation
        keys = ["score", "effective_length", *(windows.at("score", one) for one in settings.steps)]
        self.info = TaskInfo(
            name=name,
            version=VERSION,
            kind="generate",
            dataset=DatasetRef("evalkit/ruler", kind, None),
            split="generated",
            num_fewshot=0,
            primary="score,none",
            higher_is_better={f"{key},none": True for key in keys},
            description=f"RULER's {kind}: {self._kind.description}.",
            citation=citation,
            tags=("long_context",),
            config={
                "task": name,
                "output_type": "generate_until",
                "num_fewshot": 0,
                "generation_kwargs": {"until": [], "max_gen_toks": self._kind.tokens, "temperature": 0.0},
                "metadata": {"version": VERSION},
                "ruler": {
                    "kind": kind,
                    "lengths": list(settings.steps),
                    "n": settings.n,
                    "seed": settings.seed,
                    "text": settings.text.name if settings.text else None,
                    "threshold": settings.threshold,
                },
            },
            shots=Shots(0, "locked", "its prompts show what RULER shows"),
        )

    def fitted(self, window: int) -> RulerTask:
        """The same task with lengths that follow the window, where its name gives none."""
        if self._settings.lengths is not None:
            return self
        chosen = replace(self._settings, lengths=windows.ladder(window))
        made = RulerTask(self.info.name, self._kind.name, chosen, self._citation)
        made.info = replace(made.info, alias=self.info.alias)
        return made

    def documents(self, data: DataSource) -> Documents:
        """Every sample at every length. UserError where the essays or the questions are not to be had."""
        materials = self._materials(data)
        content = digest([materials.essay, [one.text for one in materials.questions], materials.documents])
        found: list[Document] = []
        for number in range(self._settings.n):
            for length in self._settings.steps:
                row = {
                    "kind": self._kind.name,
                    "length": length,
                    "number": number,
                    "of": number,
                    "seed": self._settings.seed,
                    "materials": content,
                }
                found.append(Document(len(found), row, digest(row)))
        return Documents(tuple(found), [materials])

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """A prompt for each document, the longest of its kind that leaves room for the answer; none for a length above
        the model's window, or that even the shortest prompt exceeds.
        """
        assert isinstance(documents, Documents)
        (materials,) = documents.pool
        sizes: dict[int, int] = {}
        for document in documents:
            length, number = document.data["length"], document.data["number"]
            if style.max_length is not None and length > style.max_length:
                yield Asked((), f"{length} tokens do not fit the model's window of {style.max_length}")
                continue
            draw = random.Random(f"ruler/{self._kind.name}/{self._settings.seed}/{number}")
            made = self._kind.make(draw, materials, number, length)
            written = Written(made, style)
            size = written.size(length - self._kind.tokens, sizes.get(length))
            if size is None:
                yield Asked((), f"{length} tokens are too few: the shortest prompt and its answer take more")
                continue
            sizes[length] = size
            context, messages = written.prompt(size)
            note = {"answers": made.answers, "depth": made.depth, "units": size, "tokens": written.tokens(context)}
            if made.most is not None and size >= made.most and note["tokens"] < 0.9 * (length - self._kind.tokens):
                yield Asked((), f"all there is to fill {length} tokens with makes {note['tokens']}")
                continue
            asked = Generate(context, (), self._kind.tokens, Sampling(seed=self._settings.seed), messages)
            yield Asked((asked,), note)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """The share of the answers that the reply holds, in any case; of questions, whether it holds any of them."""
        note = requests.note if isinstance(requests, Asked) else ""
        if not requests:
            return SampleResult(document, requests, (), (), "unscored", str(note))
        assert isinstance(note, Mapping)
        answers = list(note["answers"])
        extra = {"length": document.data["length"], "depth": note["depth"], "tokens": note["tokens"]}
        result = SampleResult(document, requests, tuple(responses), answers, extra=extra)
        (response,) = responses
        if response.status != "ok" or response.text is None:
            status = "error" if response.status == "ok" else response.status
            return replace(result, status=status, error=response.error or "the answer holds no text")
        if response.truncated:
            return replace(result, status="unscored", error=f"{response.truncated} tokens of the prompt were cut off")
        reply = strip_thinking()(response.text)
        value = matched(reply, answers, self._kind.any_answer)
        key = windows.at("score", document.data["length"])
        return replace(result, filtered={"none": reply}, metrics={"score,none": value, f"{key},none": value})

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """The score over all lengths and at each of them, and the effective length."""
        scored = [sample for sample in samples if sample.status == "ok"]
        clusters = [str(sample.document.data["number"]) for sample in scored]
        whole = aggregate(SCORE, windows.values(scored, "score,none"), primary=True, clusters=clusters or None)
        by_length = {
            length: aggregate(
                SCORE, windows.values(scored, f"{windows.at('score', length)},none"), name=windows.at("score", length)
            )
            for length in self._settings.steps
        }
        most = max(self._settings.steps)
        effective = windows.effective(by_length, self._settings.threshold, most, len(scored))
        return (whole, effective, *by_length.values())

    def _materials(self, data: DataSource) -> Materials:
        needs = self._kind.needs
        essay = self._essay(data) if "essay" in needs else ()
        if not needs & {"squad", "hotpot"}:
            return Materials(essay)
        questions, documents = _squad(data) if "squad" in needs else _hotpot(data)
        return Materials(essay, questions, documents)

    def _essay(self, data: DataSource) -> tuple[str, ...]:
        if self._settings.text is not None:
            return tuple(layout.from_folder(self._settings.text))
        try:
            rows = data.load(ESSAYS, "train")
        except UserError as error:
            raise UserError(
                f"{self.info.name}: RULER's essays are not to be had ({error}); give a folder of texts in their place: "
                f"ruler:{self._kind.name}:text=FOLDER (or ruler:all:text=FOLDER)"
            ) from None
        return tuple(layout.sentences_of(" ".join(str(row["text"]) for row in rows)))


class Written:
    """A sample's prompts in a style: with its example before it, in a conversation, and with its answer's beginning."""

    def __init__(self, made: Made, style: PromptStyle) -> None:
        self._made, self._style = made, style
        self._before = made.example(self.tokens) if made.example is not None else ""

    def tokens(self, text: str) -> int:
        """Tokens of a text, estimated where no tokenizer is at hand."""
        if self._style.encode is None:
            return -(-len(text) // layout.CHARACTERS_A_TOKEN)
        return len(self._style.encode([text])[0])

    def prompt(self, units: int) -> tuple[str, tuple[Message, ...] | None]:
        """The prompt of so many units. In a conversation the answer's prefix follows the template, as RULER has it; a
        server, which writes the template itself, is told the prefix at the end of the question.
        """
        asked = self._before + self._made.write(units)
        system = self._style.system or ""
        if self._style.chat is None:
            head = f"{system}\n\n" if system else ""
            return f"{head}{asked} {self._made.prefix}", None
        turns = (Message("system", system),) if system else ()
        if self._style.encode is None:
            told = (*turns, Message("user", f"{asked} {self._made.prefix}"))
            return self._style.chat(told, True), told
        messages = (*turns, Message("user", asked))
        return self._style.chat(messages, True) + self._made.prefix, messages

    def size(self, room: int, near: int | None) -> int | None:
        """The most units whose prompt has at most ``room`` tokens; None where even the fewest have more. ``near``: what
        a sample of the same length had.
        """

        def fits(units: int) -> bool:
            return self.tokens(self.prompt(units)[0]) <= room

        least, most = self._made.least, self._made.most
        if not fits(least):
            return None
        if most is not None and fits(most):
            return most
        low = least
        high = _beyond(fits, low, most) if near is None else _around(fits, near, low, most)
        if near is not None and fits(low_near := max(low, near - near // 16)):
            low = low_near
        while high - low > max(1, low // 256):
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low


def _beyond(fits: Callable[[int], bool], low: int, most: int | None) -> int:
    """A number of units that does not fit."""
    high = max(low * 2, 8)
    while (most is None or high < most) and fits(high):
        high *= 2
    return high if most is None else min(high, most)


def _around(fits: Callable[[int], bool], near: int, low: int, most: int | None) -> int:
    high = near + max(2, near // 16)
    if most is not None and high >= most:
        return most
    return _beyond(fits, high, most) if fits(high) else high


def matched(reply: str, answers: Sequence[str], any_answer: bool) -> float:
    """RULER's string match, in any case: of all answers their share, or (of questions) whether one is there."""
    low = "".join(character if character >= " " else "\n" for character in reply).strip().lower()
    found = [float(answer.lower() in low) for answer in answers]
    return max(found) if any_answer else sum(found) / len(found)


def _squad(data: DataSource) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """SQuAD 2.0's answerable questions; paragraphs of the same article are the first that are added."""
    rows = data.load(SQUAD, "validation")
    documents = tuple(sorted({str(row["context"]) for row in rows}))
    place = {text: at for at, text in enumerate(documents)}
    articles: dict[str, set[int]] = {}
    for row in rows:
        articles.setdefault(str(row["title"]), set()).add(place[row["context"]])
    found = []
    for row in rows:
        answers = tuple(dict.fromkeys(row["answers"]["text"]))
        own = place[row["context"]]
        if answers:
            near = tuple(sorted(articles[str(row["title"])] - {own}))
            found.append(Question(str(row["question"]), answers, (own,), near))
    return tuple(found), documents


def _hotpot(data: DataSource) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    rows = data.load(HOTPOT, "validation")
    shown = [
        [
            f"{title}\n{''.join(parts)}"
            for title, parts in zip(row["context"]["title"], row["context"]["sentences"], strict=True)
        ]
        for row in rows
    ]
    documents = tuple(sorted({text for texts in shown for text in texts}))
    place = {text: at for at, text in enumerate(documents)}
    return tuple(
        Question(str(row["question"]), (str(row["answer"]),), tuple(place[text] for text in texts))
        for row, texts in zip(rows, shown, strict=True)
    ), documents
