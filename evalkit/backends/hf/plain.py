"""The plain path: padded batches through the model's own forward and generate.

For model types that the tree cannot serve (sliding windows, state spaces, custom attention), for generation settings
that only transformers' generate knows, and as the reference that the tree is tested against.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf.memory import is_out_of_memory
from evalkit.backends.hf.speculation import Speculation, StepClock, StopText, through_first_stop
from evalkit.backends.sampling import cut_at_stops
from evalkit.contract.backend import GenerateResult, GenerateRow, LoglikelihoodResult, LoglikelihoodRow, OnResult, no_op
from evalkit.perf.clocks import Stopwatch
from evalkit.perf.counters import Meter


class PlainRunner:
    """Batches of ``batch_size`` rows, longest first, halved when memory runs out."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        device: torch.device,
        batch_size: int,
        eos_text: str,
        meter: Meter | None = None,
        speculation: Speculation | None = None,
        after_pass: Callable[[], None] = no_op,
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._device = device
        self._batch = batch_size
        self._eos_text = eos_text
        self._meter = meter or Meter()
        self._speculation = speculation
        self._after_pass = after_pass

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """Log-likelihood of each row by a right-padded forward pass."""
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i].tokens))
        self._meter.read(sum(len(row.tokens) - 1 for row in rows))
        self._batches(order, lambda part: self.score_batch(rows, part, done))

    def _batches(self, order: list[int], work: Any) -> None:
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
            # Padding would stand between a learned prompt and the text: such rows are batched by equal length.
            length = len(row.tokens) if hasattr(self._model, "active_peft_config") else 0
            groups.setdefault((row.until, row.max_tokens, row.sampling, own, length), []).append(index)
        for (_, _, sampling, _, _), members in groups.items():
            if self._speculation and sampling.temperature <= 0 and not sampling.extra:
                for index in members:
                    self._speculate(rows[index], index, done)
                    self._after_pass()
                continue
            order = sorted(members, key=lambda i: -len(rows[i].tokens))
            self._batches(order, lambda part: self._generate_batch(rows, part, done))

    def _speculate(self, row: GenerateRow, index: int, done: OnResult) -> None:
        """One row by itself: guesses of several rows would be accepted at different lengths."""
        assert self._speculation is not None
        prompt = len(row.tokens)
        tokens = torch.from_numpy(row.tokens[None].astype(np.int64)).to(self._device)
        clock = StepClock(self._meter, prompt, 1, prompt, self._device)
        hook = self._speculation.watch(clock)
        try:
            with torch.inference_mode():
                output = self._model.generate(
                    input_ids=tokens,
                    attention_mask=torch.ones_like(tokens),
                    max_new_tokens=row.max_tokens,
                    pad_token_id=self._pad(),
                    stopping_criteria=[clock, StopText((*row.until, self._eos_text), self._decode, prompt)],
                    do_sample=False,
                    **self._speculation.settings(),
                )
        finally:
            hook.remove()
        new = through_first_stop(output[0, prompt:].tolist(), row.until, self._decode)
        done(index, self._answer(new, row, self._pad()))

    def _pad(self) -> int:
        return int(self._tokenizer.pad_token_id) if self._tokenizer.pad_token_id is not None else 0

    def _decode(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def _generate_batch(self, rows: Sequence[GenerateRow], part: Sequence[int], done: OnResult) -> None:
        longest = max(len(rows[i].tokens) for i in part)
        pad = self._pad()
        tokens = np.full((len(part), longest), pad, dtype=np.int64)
        mask = np.zeros((len(part), longest), dtype=np.int64)
        for place, index in enumerate(part):
            prompt = rows[index].tokens
            tokens[place, longest - len(prompt) :] = prompt
            mask[place, longest - len(prompt) :] = 1
        first = rows[part[0]]
        steps = StepClock(self._meter, int(mask.sum()), len(part), longest, self._device)
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=torch.from_numpy(tokens).to(self._device),
                attention_mask=torch.from_numpy(mask).to(self._device),
                max_new_tokens=first.max_tokens,
                stopping_criteria=[steps],
                pad_token_id=pad,
                stop_strings=[stop for stop in first.until if stop] or None,
                tokenizer=self._tokenizer if first.until else None,
                **self._settings(first),
            )
        for place, index in enumerate(part):
            done(index, self._answer(output[place, longest:].tolist(), rows[index], pad))

    def _settings(self, row: GenerateRow) -> dict[str, Any]:
        settings = dict(row.sampling.extra)
        if row.sampling.temperature <= 0:
            return {"do_sample": False, **settings}
        import hashlib

        seed = hashlib.sha256(f"{row.sampling.seed}:{row.key}".encode()).digest()
        torch.manual_seed(int.from_bytes(seed[:8], "big") >> 1)
        sampling = row.sampling
        return {
            "do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p,
            "top_k": sampling.top_k, **settings,
        }  # fmt: skip

    def _answer(self, tokens: list[int], row: GenerateRow, pad: int) -> GenerateResult:
        while tokens and tokens[-1] == pad:
            tokens.pop()
        text = self._tokenizer.decode(tokens, skip_special_tokens=True)
        cut = cut_at_stops(text, (*row.until, self._eos_text))
        stopped = len(tokens) < row.max_tokens or cut != text
        return GenerateResult(cut, len(tokens), "stop" if stopped else "length")
