"""The plain path: padded batches through the model's own forward and generate.

For model types that the tree cannot serve (state spaces, custom attention), for rows beyond what the tree is exact for,
for generation settings that only transformers' generate knows, and as the reference that the tree is tested against.
Where padding, or the rows beside it, would change a row's answer, a batch holds rows of one length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf.batches import Batches
from evalkit.backends.hf.generation import Generation
from evalkit.backends.hf.memory import is_out_of_memory
from evalkit.backends.hf.speculation import ScanRows, Speculation, StepClock
from evalkit.contract.backend import GenerateRow, LoglikelihoodResult, LoglikelihoodRow, OnResult, no_op
from evalkit.perf.clocks import Stopwatch
from evalkit.perf.counters import Meter


class PlainRunner:
    """Batches of ``batch_size`` rows, longest first, halved when memory runs out."""

    def __init__(
        self,
        model: Any,
        device: torch.device,
        batch_size: int,
        generation: Generation,
        batches: Batches,
        meter: Meter,
        speculation: Speculation | None = None,
        after_pass: Callable[[], None] = no_op,
    ) -> None:
        self._model = model
        self._device = device
        self._batch = batch_size
        self._generation = generation
        self._batches = batches
        self._meter = meter
        self._speculation = speculation
        self._after_pass = after_pass

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """Log-likelihood of each row by a right-padded forward pass."""
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i].tokens))
        self._meter.read(sum(len(row.tokens) - 1 for row in rows))
        for part in self._by_length(rows, order, self._batches.scores_mix):
            self._cut(part, lambda some: self.score_batch(rows, some, done))

    @staticmethod
    def _by_length(
        rows: Sequence[LoglikelihoodRow] | Sequence[GenerateRow], order: Sequence[int], mixed: bool
    ) -> list[list[int]]:
        """The rows of ``order`` in parts whose batches may hold any of them."""
        parts: dict[int, list[int]] = defaultdict(list)
        for index in order:
            parts[0 if mixed else len(rows[index].tokens)].append(index)
        return list(parts.values())

    def _cut(self, order: list[int], work: Any) -> None:
        at = 0
        while at < len(order):
            part = order[at : at + self._batch]
            try:
                work(part)
            except Exception as error:
                if not is_out_of_memory(error) or self._batch == 1:
                    raise
                self._batch = max(1, self._batch // 2)
                continue
            at += len(part)
            self._after_pass()

    def score_batch(self, rows: Sequence[LoglikelihoodRow], part: Sequence[int], done: OnResult) -> None:
        """Answer the rows ``part`` in one padded forward pass."""
        longest = max(len(rows[i].tokens) for i in part) - 1
        tokens = np.zeros((len(part), longest), dtype=np.int64)
        for place, index in enumerate(part):
            inputs = rows[index].tokens[:-1]
            tokens[place, : len(inputs)] = inputs
        self._batches.restore()
        watch = Stopwatch(self._device)
        with torch.inference_mode():
            logits = self._model(input_ids=torch.from_numpy(tokens).to(self._device), use_cache=False).logits
            logits = logits[:, -longest:]  # learned prompts of an adapter stand before the text
            answers = [self._read(logits[place], rows[index]) for place, index in enumerate(part)]
        self._meter.prefill(sum(len(rows[i].tokens) - 1 for i in part), watch.lap())
        for index, answer in zip(part, answers, strict=True):
            done(index, answer)

    def _read(self, logits: torch.Tensor, row: LoglikelihoodRow) -> LoglikelihoodResult | Exception:
        targets = torch.from_numpy(row.tokens[row.start :].astype(np.int64)).to(self._device)
        wanted = logits[row.start - 1 : len(row.tokens) - 1]
        logprobs = torch.log_softmax(wanted, dim=-1, dtype=torch.float32)
        total = float(logprobs.gather(1, targets[:, None]).sum())
        if not np.isfinite(total):
            return ArithmeticError("the model's logits are not finite")
        return LoglikelihoodResult(total, bool((logprobs.argmax(dim=-1) == targets).all()))

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
            for part in self._by_length(rows, order, self._batches.prompts_mix):
                self._cut(part, lambda some: self._generate_batch(rows, some, done))

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
