"""Generation by continuous batching: a finished sequence leaves, a waiting one enters.

Prompts are computed in sorted order in sequence 0, which is cut back to what the next prompt shares; a complete prompt
is copied (by reference) into a sequence of its own and goes on from there, one token a pass for all live sequences.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.backends.gguf.native import Context, Logits, Model
from evalkit.backends.sampling import choose, generator
from evalkit.backends.stops import StopScan
from evalkit.backends.thinking import Marks
from evalkit.contract.backend import GenerateRow, OnResult, no_op
from evalkit.perf.clocks import Stopwatch
from evalkit.perf.counters import Meter

PROMPT = 0
"""The sequence in which prompts are computed."""


@dataclass
class _Live:
    """One sequence under way; ``length`` counts the tokens whose keys and values are in the cache."""

    index: int
    row: GenerateRow
    sequence: int
    length: int
    draw: np.random.Generator | None
    scan: StopScan


class Decoder:
    """Answers generation rows with as many sequences at once as the context has."""

    def __init__(
        self,
        model: Model,
        context: Context,
        n_batch: int,
        share: bool,
        meter: Meter,
        marks: Marks,
        after_pass: Callable[[], None] = no_op,
    ) -> None:
        self._model = model
        self._context = context
        self._n_batch = n_batch
        self._share = share
        self._meter = meter
        self._marks = marks
        self._after_pass = after_pass
        self._free = list(range(context.sequences - 1, PROMPT, -1))
        self._live: list[_Live] = []
        self._held: tuple[int, ...] = ()

    def run(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """Answer every row through ``done``. Equal prompts (samples of one question) are computed once."""
        by_prompt: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, row in enumerate(rows):
            by_prompt[tuple(row.tokens.tolist())].append(index)
        waiting = [(prompt, index) for prompt in sorted(by_prompt) for index in by_prompt[prompt]]
        waiting.reverse()
        self._context.clear()
        while waiting or self._live:
            while waiting and self._free and self._fits(rows[waiting[-1][1]]):
                prompt, index = waiting.pop()
                self._enter(prompt, index, rows[index], done)
                self._after_pass()
            if self._live:
                self._step(done)
                self._after_pass()

    def _fits(self, row: GenerateRow) -> bool:
        """Whether the cells suffice for this row beside the live ones, each at its full length."""
        taken = sum(len(live.row.tokens) + live.row.max_tokens for live in self._live)
        return not self._live or taken + 2 * len(row.tokens) + row.max_tokens <= self._context.cells

    def _enter(self, prompt: tuple[int, ...], index: int, row: GenerateRow, done: OnResult) -> None:
        watch = Stopwatch()
        logits = self._prompt(prompt)
        opened = self._marks.opened_by_tokens(prompt, self._model.text)
        scan = StopScan(row.until, self._model.text, max_tokens=row.max_tokens, marks=self._marks, opened=opened)
        live = _Live(index, row, self._free[-1], len(prompt), generator(row.sampling, row.key), scan)
        going_on = self._choose(live, logits, done)
        self._meter.first(watch.lap())
        if going_on:
            self._context.copy(PROMPT, self._free.pop())
            self._live.append(live)
        if not self._share:
            self._context.cut(PROMPT, 0)
            self._held = ()

    def _prompt(self, prompt: tuple[int, ...]) -> Logits:
        """Logits behind the prompt. At least its last token is computed, for the logits of others are gone."""
        shared = _common(self._held, prompt)
        begin = min(shared, len(prompt) - 1)
        self._meter.read(len(prompt))
        self._context.cut(PROMPT, begin)
        while True:
            end = min(begin + self._n_batch, len(prompt))
            last = [end - begin - 1] if end == len(prompt) else []
            watch = Stopwatch()
            self._context.decode(prompt[begin:end], range(begin, end), [[PROMPT]] * (end - begin), last)
            self._meter.prefill(end - begin, watch.lap())
            if end == len(prompt):
                self._held = prompt
                return self._context.logits(end - begin - 1)
            begin = end

    def _step(self, done: OnResult) -> None:
        """One token of every live sequence."""
        lives, watch = self._live, Stopwatch()
        self._context.decode(
            [live.scan.tokens[-1] for live in lives],
            [live.length for live in lives],
            [[live.sequence] for live in lives],
            range(len(lives)),
        )
        staying = []
        for place, live in enumerate(lives):
            live.length += 1
            if self._choose(live, self._context.logits(place), done):
                staying.append(live)
            else:
                self._context.cut(live.sequence, 0)
                self._free.append(live.sequence)
        self._live = staying
        self._meter.step(len(lives), watch.lap())

    def _choose(self, live: _Live, logits: Logits, done: OnResult) -> bool:
        """Pick the next token; False where the sequence is finished and answered."""
        if not np.isfinite(logits.max()):
            done(live.index, ArithmeticError("the model's logits are not finite"))
            return False
        token = choose(logits, live.row.sampling, live.draw)
        if self._model.ends(token):
            live.scan.finish = "stop"
        elif not live.scan.add(token):
            return True
        done(live.index, live.scan.answer())
        return False


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the common prefix."""
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length
