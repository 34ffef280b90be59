"""The task: a grid of lengths and depths, each cell asked several times."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evalkit.contract.capabilities import TaskTraits
from evalkit.contract.types import (
    Asked,
    DatasetRef,
    DataSource,
    Document,
    Generate,
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
from evalkit.probes.needle import languages, layout, puzzles
from evalkit.statistics import intervals
from evalkit.store.identity import digest

VERSION = "1.1"
SOURCE = "RULER (Hsieh et al. 2024, arXiv 2404.06654): string match of every answer"
FOUND = base.Metric(name="found", kind="text", higher_is_better=True, binary=True, source=SOURCE)
RECALL = base.Metric(name="recall", kind="text", unit="share", bounds=base.SHARE, higher_is_better=True, source=SOURCE)


@dataclass(frozen=True, slots=True)
class Grid:
    """What a name asks for. A length counts the prompt's tokens and the answer's ``max_tokens``, as RULER's do; depths
    are percent of the filling before the first needle.
    """

    kind: str = "single"
    lengths: tuple[int, ...] | None = None
    """None: those that follow the model's window."""
    depths: tuple[int, ...] = (0, 25, 50, 75, 100)
    repeats: int = 2
    needles: int = 0
    prefix: bool = False
    seed: int = 1
    threshold: float = 0.85
    max_tokens: int = 32
    text: Path | None = None
    lang: str = "en"
    """The language of what is hidden and asked, and of the prose that it lies in; of the kind "single"."""

    @property
    def steps(self) -> tuple[int, ...]:
        """The lengths; where the window is not known the shortest ones."""
        return self.lengths or windows.UNKNOWN

    @property
    def lies(self) -> tuple[int, ...]:
        """The depths; a list of words has none."""
        return self.depths[:1] if self.kind == "words" else self.depths


@dataclass(frozen=True, slots=True)
class Measured:
    """How prompts were made to measure: by the model's own tokenizer or estimated, and for which window in tokens."""

    exact: bool
    window: int | None


class NeedleTask:
    """See :class:`evalkit.contract.types.Task`. Prompts are made to measure once the model's tokenizer is known."""

    traits = TaskTraits(measures_prompts=True)

    def __init__(self, name: str, grid: Grid) -> None:
        self.grid = grid
        keys = ("found", "recall", "effective_length", *map(_at, grid.steps), *map(_deep, grid.lies))
        higher = {f"{key},none": True for key in keys}
        self.info = TaskInfo(
            name=name,
            version=VERSION,
            kind="generate",
            dataset=DatasetRef("evalkit/needle", grid.kind, None),
            split="generated",
            num_fewshot=0,
            primary="found,none",
            higher_is_better=higher,
            description=f"A needle in a haystack ({grid.kind.replace('_', ' ')}): tokens by depths in percent.",
            tags=("long_context",),
            config=self._config(name),
            shots=Shots(0, "locked", "its prompts show none"),
        )

    def _config(self, name: str) -> dict[str, Any]:
        grid = {**asdict(self.grid), "lengths": self.grid.steps}
        if self.grid.lang == "en":
            del grid["lang"]
        # The folder above is nobody's business; what it holds is in the documents' hashes.
        grid["text"] = self.grid.text.name if self.grid.text else None
        generation = {"until": [], "max_gen_toks": self.grid.max_tokens, "temperature": 0.0}
        return {
            "task": name,
            "output_type": "generate_until",
            "num_fewshot": 0,
            "generation_kwargs": generation,
            "metadata": {"version": VERSION},
            "needle": {**grid, "answer_prefix": self.grid.prefix},
        }

    def fitted(self, window: int) -> NeedleTask:
        """The same task with lengths that follow the window, where its name gives none."""
        if self.grid.lengths is not None:
            return self
        made = NeedleTask(self.info.name, replace(self.grid, lengths=windows.ladder(window)))
        made.info = replace(made.info, citation=self.info.citation, alias=self.info.alias)
        return made

    def documents(self, data: DataSource) -> Sequence[Document]:
        """One for every length, depth, repetition and question."""
        grid = self.grid
        text = digest(layout.from_folder(grid.text)) if grid.text else None
        found: list[Document] = []
        for length in grid.steps:
            for depth in grid.lies:
                for repeat in range(grid.repeats):
                    puzzle = self._puzzle(repeat)
                    for number, question in enumerate(puzzle.questions):
                        row = {
                            "kind": grid.kind,
                            "length": length,
                            "depth": depth,
                            "repeat": repeat,
                            "question": question.text,
                            "number": number,
                            "answers": list(question.answers),
                            "needles": [insert.text for insert in puzzle.inserts],
                            "text": text,
                        }
                        found.append(Document(len(found), row, digest(row)))
        return found

    def requests(self, documents: Sequence[Document], style: PromptStyle) -> Iterator[tuple[Request, ...]]:
        """A prompt for each document, exact in tokens where ``style.encode`` is there; none for a length above the
        model's window.
        """
        measured = Measured(style.encode is not None, style.max_length)
        haystacks: dict[int, layout.Haystack] = {}
        for document in documents:
            row = document.data
            if measured.window is not None and row["length"] > measured.window:
                yield Asked((), measured)
                continue
            puzzle = self._puzzle(row["repeat"])
            if row["repeat"] not in haystacks:
                haystacks[row["repeat"]] = layout.Haystack(self._filling(puzzle, row["repeat"]), style.encode)
            fitted = layout.fit(
                puzzle,
                puzzle.questions[row["number"]],
                row["depth"] / 100,
                row["length"] - self.grid.max_tokens,
                haystacks[row["repeat"]],
                style,
                self.grid.prefix,
            )
            sampling = Sampling(seed=self.grid.seed)
            asked = Generate(fitted.context, (), self.grid.max_tokens, sampling, fitted.messages)
            yield Asked((asked,), measured)

    def score(self, document: Document, requests: tuple[Request, ...], responses: Sequence[Response]) -> SampleResult:
        """The share of the answers that the reply holds, as whole words in any case."""
        row = document.data
        measured: Measured = requests.note if isinstance(requests, Asked) else Measured(False, None)
        extra: dict[str, Any] = {"length": row["length"], "depth": row["depth"], "exact": measured.exact}
        extra["measured"] = measured.exact
        result = SampleResult(document, requests, tuple(responses), row["answers"], extra=extra)
        if not requests:
            reason = f"{row['length']} tokens do not fit the model's window of {measured.window}"
            return replace(result, status="unscored", error=reason)
        response = responses[0]
        if response.status != "ok" or response.text is None:
            status = "error" if response.status == "ok" else response.status
            return replace(result, status=status, error=response.error or "the answer holds no text")
        if response.truncated:
            # The needle may be in what was cut off: no answer of the model's.
            return replace(result, status="unscored", error=f"{response.truncated} tokens of the prompt were cut off")
        reply = strip_thinking()(response.text)
        hits = [answer for answer in row["answers"] if holds(reply, answer)]
        recall = len(hits) / len(row["answers"])
        extra |= {
            "tokens": response.prompt_tokens or None,
            "exact": measured.exact and response.prompt_tokens == row["length"] - self.grid.max_tokens,
            "missed": [answer for answer in row["answers"] if answer not in hits],
            "answer_prefix": self.grid.prefix,
        }
        metrics = {"found,none": float(recall == 1), "recall,none": recall}
        metrics |= {f"{key},none": float(recall == 1) for key in (_at(row["length"]), _deep(row["depth"]))}
        return replace(result, filtered={"none": reply}, metrics=metrics, extra=extra)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Found and recall over all cells, the effective length, found by length, and by depth over all lengths."""
        scored = [sample for sample in samples if sample.status == "ok"]
        found = aggregate(FOUND, _values(scored, "found,none"), primary=True)
        recall = aggregate(RECALL, _values(scored, "recall,none"))
        names = [*map(_at, self.grid.steps), *map(_deep, self.grid.lies)]
        parts = [aggregate(FOUND, _values(scored, f"{name},none"), name=name) for name in names]
        return (found, recall, self._effective(scored), *parts)

    def _effective(self, scored: Sequence[SampleResult]) -> MetricResult:
        by_length: dict[int, list[float]] = {}
        for sample in scored:
            by_length.setdefault(int(sample.document.data["length"]), []).append(sample.metrics["found,none"] or 0.0)
        value, interval = effective_length(by_length, self.grid.threshold)
        signature = f"effective_length|threshold:{self.grid.threshold:g}|ci:wilson-inverted|n:{len(scored)}"
        if not all(sample.extra["measured"] for sample in scored):
            signature += f"|tokens:estimated-{layout.CHARACTERS_A_TOKEN}-characters"
        return MetricResult(
            "effective_length",
            "none",
            value,
            None,
            interval,
            len(scored),
            True,
            signature,
            bounds=(0.0, float(max(self.grid.steps))),
            unit="tokens",
            level="corpus",
        )

    def _puzzle(self, repeat: int) -> puzzles.Puzzle:
        grid = self.grid
        if grid.lang != "en":
            return puzzles.single_in(grid.lang, random.Random(f"needle/{grid.lang}/{grid.seed}/{repeat}"))
        count = grid.needles or puzzles.DEFAULT_COUNT.get(grid.kind, 1)
        return puzzles.KINDS[grid.kind](random.Random(f"needle/{grid.kind}/{grid.seed}/{repeat}"), count)

    def _filling(self, puzzle: puzzles.Puzzle, repeat: int) -> Iterator[str]:
        if self.grid.text is not None and self.grid.kind != "words":
            return iter(layout.from_folder(self.grid.text))
        if self.grid.lang != "en":
            return languages.sentences(self.grid.lang, self.grid.seed)
        # One seed for all repetitions: their prompts share what stands before the first needle.
        return puzzles.filling(self.grid.kind, puzzle, self.grid.seed)


def holds(reply: str, answer: str) -> bool:
    """Whether ``answer`` stands in ``reply`` as whole words, in any case; 12,345 and 12 345 count as 12345."""
    if answer.isdigit():
        reply = re.sub(r"(?<=\d)[, \u00a0\u202f](?=\d{3}(?!\d))", "", reply)
    return re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", reply, re.IGNORECASE) is not None


def effective_length(
    by_length: Mapping[int, Sequence[float]], threshold: float
) -> tuple[float | None, tuple[float, float] | None]:
    """The largest length up to which every length's share of found needles is at least ``threshold``; 0 where the
    shortest is below already; None without samples.

    The interval goes from the largest length up to which Wilson's lower bounds are at least the threshold to the
    largest up to which the upper bounds are.
    """
    if not by_length:
        return None, None
    lengths = sorted(by_length)
    bounds = {n: intervals.wilson(round(sum(by_length[n])), len(by_length[n])) for n in lengths}

    value = windows.reach({n: sum(by_length[n]) / len(by_length[n]) for n in lengths}, threshold)
    low, high = (windows.reach({n: bounds[n][side] for n in lengths}, threshold) for side in (0, 1))
    return value, (low, high)


def _at(length: int) -> str:
    return f"found_{length}"


def _deep(depth: int) -> str:
    return f"found_at_{depth}_percent"


def _values(samples: Sequence[SampleResult], key: str) -> list[float | None]:
    return [sample.metrics.get(key) for sample in samples]
