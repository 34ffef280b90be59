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
from evalkit.probes.needle import layout, puzzles
from evalkit.statistics import intervals
from evalkit.store.identity import digest

VERSION = "1.0"
SOURCE = "RULER (Hsieh et al. 2024, arXiv 2404.06654): string match of every answer"
FOUND = base.Metric(name="found", kind="text", higher_is_better=True, binary=True, source=SOURCE)
RECALL = base.Metric(name="recall", kind="text", unit="share", bounds=base.SHARE, higher_is_better=True, source=SOURCE)


@dataclass(frozen=True, slots=True)
class Grid:
    """What a name asks for. A length counts the prompt's tokens and the answer's ``max_tokens``, as RULER's do; depths
    are percent of the filling before the first needle.
    """

    kind: str = "single"
    lengths: tuple[int, ...] = (512, 1024, 2048)
    depths: tuple[int, ...] = (0, 25, 50, 75, 100)
    repeats: int = 2
    needles: int = 0
    prefix: bool = False
    seed: int = 1
    threshold: float = 0.85
    max_tokens: int = 32
    text: Path | None = None


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
        higher = {f"{key},none": True for key in ("found", "recall", "effective_length", *map(_at, grid.lengths))}
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
        grid = asdict(self.grid)
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

    def documents(self, data: DataSource) -> Sequence[Document]:
        """One for every length, depth, repetition and question."""
        grid = self.grid
        text = digest(layout.from_folder(grid.text)) if grid.text else None
        depths = grid.depths[:1] if grid.kind == "words" else grid.depths
        found: list[Document] = []
        for length in grid.lengths:
            for depth in depths:
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
        metrics |= {f"{_at(row['length'])},none": float(recall == 1)}
        return replace(result, filtered={"none": reply}, metrics=metrics, extra=extra)

    def summarize(self, samples: Sequence[SampleResult]) -> tuple[MetricResult, ...]:
        """Found and recall over all cells, found by length, and the effective length."""
        scored = [sample for sample in samples if sample.status == "ok"]
        found = aggregate(FOUND, _values(scored, "found,none"), primary=True)
        recall = aggregate(RECALL, _values(scored, "recall,none"))
        by_length = [
            aggregate(FOUND, _values(scored, f"{_at(length)},none"), name=_at(length)) for length in self.grid.lengths
        ]
        return (found, recall, self._effective(scored), *by_length)

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
            bounds=(0.0, float(max(self.grid.lengths))),
            unit="tokens",
            level="corpus",
        )

    def _puzzle(self, repeat: int) -> puzzles.Puzzle:
        grid = self.grid
        count = grid.needles or puzzles.DEFAULT_COUNT.get(grid.kind, 1)
        return puzzles.KINDS[grid.kind](random.Random(f"needle/{grid.kind}/{grid.seed}/{repeat}"), count)

    def _filling(self, puzzle: puzzles.Puzzle, repeat: int) -> Iterator[str]:
        if self.grid.text is not None and self.grid.kind != "words":
            return iter(layout.from_folder(self.grid.text))
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

    def reach(values: Mapping[int, float]) -> float:
        last = 0
        for length in lengths:
            if values[length] < threshold:
                break
            last = length
        return float(last)

    value = reach({n: sum(by_length[n]) / len(by_length[n]) for n in lengths})
    low, high = (reach({n: bounds[n][side] for n in lengths}) for side in (0, 1))
    return value, (low, high)


def _at(length: int) -> str:
    return f"found_{length}"


def _values(samples: Sequence[SampleResult], key: str) -> list[float | None]:
    return [sample.metrics.get(key) for sample in samples]
