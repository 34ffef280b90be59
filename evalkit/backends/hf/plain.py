"""The plain path: transformers' own forward and generate, for models and rows that the prefix tree does not serve.

What rows have in common is read once where the model can go on from its own state (`continuing`); a row that is the
beginning of another, as those of one-token choices are, costs nothing more. Logits are made only where they are read.
Where padding, or the rows beside it, would change a row's answer, a batch holds rows of one length.

With prefixes not shared it is also the reference that the tree is tested against.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from evalkit.backends.hf.batches import Batches
from evalkit.backends.hf.branches import Branch
from evalkit.backends.hf.generation import Generation
from evalkit.backends.hf.memory import is_out_of_memory
from evalkit.backends.hf.own_forward import OwnForward
from evalkit.backends.hf.speculation import ScanRows, Speculation, StepClock
from evalkit.backends.hf.tally import Tally
from evalkit.contract.backend import GenerateRow, LoglikelihoodRow, OnResult, no_op
from evalkit.perf.counters import Meter

T = TypeVar("T")


class PlainRunner:
    """Batches of at most ``batch_size`` rows, longest first, halved when memory runs out. ``budget``: the tokens of a
    batch to be scored, padding included (None: any number); more take memory and save no time.
    """

    def __init__(
        self,
        model: Any,
        device: torch.device,
        batch_size: int,
        budget: int | None,
        generation: Generation,
        batches: Batches,
        meter: Meter,
        speculation: Speculation | None = None,
        after_pass: Callable[[], None] = no_op,
    ) -> None:
        self._model = model
        self._device = device
        self._batch = batch_size
        self._budget = budget or sys.maxsize
        self._generation = generation
        self._batches = batches
        self._meter = meter
        self._speculation = speculation
        self._after_pass = after_pass

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """Log-likelihood of each row by the model's own forward passes."""
        self._meter.read(sum(len(row.tokens) - 1 for row in rows))
        tally = Tally(rows, len(rows), done, self._meter, self._device)
        work = OwnForward(self._model, self._device, rows, self._batches, tally)
        waiting: list[tuple[Branch | None, Any]] = [(None, None)]
        try:
            while waiting:
                node, before = waiting.pop()
                state = before
                if node is not None:
                    state = work.read([node], before, keep=True)
                    self._after_pass()
                branches = work.branches(node)
                leaves = [one for one in branches if one.is_leaf]
                for part in _by_length(leaves, _tokens, self._batches.scores_mix):
                    self._cut(part, partial(work.read, state=state), self._budget // _tokens(part[0]))
                waiting += [(one, state) for one in branches if not one.is_leaf]
        finally:
            tally.settle()  # what the device was given is answered, whatever ends the walk

    def _cut(self, order: Sequence[T], work: Callable[[Sequence[T]], Any], most: int) -> None:
        """Do ``work`` in batches of at most ``most``; the size that memory bears is kept."""
        at = 0
        while at < len(order):
            part = order[at : at + max(1, min(self._batch, most))]
            try:
                work(part)
            except Exception as error:
                if not is_out_of_memory(error) or self._batch == 1:
                    raise
                self._batch = max(1, self._batch // 2)
                continue
            at += len(part)
            self._after_pass()

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """Left-padded batches through ``model.generate``; rows of one batch share their settings."""
        groups: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            own = (row.key,) if row.sampling.temperature > 0 else ()
            groups.setdefault((row.max_tokens, row.sampling, own), []).append(index)
        for (_, sampling, _), members in groups.items():
            if self._speculation and sampling.temperature <= 0 and not sampling.extra:
                for index in members:
                    self._generate_batch(rows, [index], done, self._speculation)
                    self._after_pass()
                continue
            order = sorted(members, key=lambda i: -len(rows[i].tokens))
            parts = _by_length(order, lambda i: len(rows[i].tokens), self._batches.prompts_mix)
            if not self._batches.prompts_together:
                parts = [[index] for index in order]
            for part in parts:
                self._cut(part, lambda some: self._generate_batch(rows, some, done), self._batch)

    def _generate_batch(
        self, rows: Sequence[GenerateRow], part: Sequence[int], done: OnResult, speculation: Speculation | None = None
    ) -> None:
        """One call of generate; with guesses it has one row, for several would accept them at different lengths."""
        longest = max(len(rows[i].tokens) for i in part)
        tokens = np.full((len(part), longest), self._generation.pad_id, dtype=np.int64)
        mask = np.zeros((len(part), longest), dtype=np.int64)
        for place, index in enumerate(part):
            prompt = rows[index].tokens
            tokens[place, longest - len(prompt) :] = prompt
            mask[place, longest - len(prompt) :] = 1
        self._batches.restore()
        scans = [self._generation.scan(rows[index]) for index in part]
        clock = StepClock(self._meter, int(mask.sum()), len(part), longest, self._device)
        by_steps = self._generation.by_steps(rows[part[0]])
        hook = speculation.watch(clock) if speculation else None
        try:
            with torch.inference_mode():
                output = self._model.generate(
                    input_ids=torch.from_numpy(tokens).to(self._device),
                    attention_mask=torch.from_numpy(mask).to(self._device),
                    stopping_criteria=[clock, *([ScanRows(scans, longest)] if by_steps else [])],
                    **self._generation.settings(rows[part[0]]),
                    **(speculation.settings() if speculation else {}),
                )
        finally:
            if hook is not None:
                hook.remove()
        for place, (index, scan) in enumerate(zip(part, scans, strict=True)):
            if not by_steps:
                scan.extend(output[place, longest:].tolist())
            done(index, scan.answer())


def _tokens(one: Branch) -> int:
    return one.end - one.begin


def _by_length(order: Sequence[T], length: Callable[[T], int], mixed: bool) -> list[list[T]]:
    """What is in ``order`` in parts whose batches may hold any of them."""
    parts: dict[int, list[T]] = defaultdict(list)
    for one in order:
        parts[0 if mixed else length(one)].append(one)
    return list(parts.values())
