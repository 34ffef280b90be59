"""Encoder-decoders (T5, BART and their kin): the encoder reads the context, the decoder says the continuation.

As lm-eval scores them (lm_eval 0.4.13, models/huggingface.py, backend "seq2seq"): context and continuation are encoded
apart, the continuation without special tokens; the decoder reads the continuation shifted right behind the model's own
first token; encoder and decoder have a window each. A context is read once for all of its continuations.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf import CAPABILITIES, memory, vocabulary
from evalkit.backends.hf.loaded import Generating
from evalkit.backends.hf.loading import Parts
from evalkit.backends.hf.speculation import ScanRows, StepClock
from evalkit.backends.hf.weights import check_answers
from evalkit.contract.backend import GenerateRow, LoglikelihoodResult, LoglikelihoodRow, OnResult
from evalkit.perf.clocks import Stopwatch
from evalkit.spec.models import EngineSpec, ModelSpec

MOST_ROWS = 64
"""Rows of a batch where nothing else is asked."""


class EncoderDecoderBackend(Generating):
    """A transformers encoder-decoder as a TokenBackend. Padding stands behind the text, where masks hide it."""

    def __init__(self, parts: Parts, model: ModelSpec, engine: EngineSpec) -> None:
        super().__init__(parts, model, engine, keep_end=True)
        self.capabilities = replace(
            CAPABILITIES, reproduces_batches=False, shares_prefixes=False, architecture="encoder_decoder"
        )
        window = model.max_length or vocabulary.window(self._model.config, parts.tokenizer)
        self.info = self._info(parts, model, window, {"path": "encoder and decoder (a context is read once)"})
        words = torch.tensor([parts.tokenizer("a text")["input_ids"]], device=self._device)
        with torch.inference_mode():
            tried = self._model(input_ids=words, decoder_input_ids=words[:, :1])
        check_answers(model.name, self._model, [tried.logits])

    # -- scoring --------------------------------------------------------------------------------------------------

    def score(self, rows: Sequence[LoglikelihoodRow], done: OnResult) -> None:
        """Answer every row; see `TokenBackend.score`."""
        contexts = [row.tokens[: row.start].tolist() for row in rows]
        order = sorted(range(len(rows)), key=lambda i: (-len(contexts[i]), contexts[i], -len(rows[i].tokens)))
        self.meter.read(sum(len(row.tokens) - 1 for row in rows))
        self._in_batches(order, rows, lambda part: self._score_batch(rows, contexts, part, done))

    def _score_batch(
        self,
        rows: Sequence[LoglikelihoodRow],
        contexts: Sequence[list[int]],
        part: Sequence[int],
        done: OnResult,
    ) -> None:
        watch = Stopwatch(self._device)
        distinct = list(dict.fromkeys(tuple(contexts[i]) for i in part))
        place_of = {context: place for place, context in enumerate(distinct)}
        places = torch.tensor([place_of[tuple(contexts[i])] for i in part], device=self._device)
        targets = [rows[i].tokens[rows[i].start :].astype(np.int64) for i in part]
        with torch.inference_mode():
            read, mask = self._padded([np.array(context, dtype=np.int64) for context in distinct])
            seen = self._model.get_encoder()(input_ids=read, attention_mask=mask).last_hidden_state
            labels, _ = self._padded(targets)
            logits = self._model(
                encoder_outputs=(seen[places],),
                attention_mask=mask[places],
                decoder_input_ids=self._model.prepare_decoder_input_ids_from_labels(labels=labels),
                use_cache=False,
            ).logits
            answers = [self._read(logits[place], target) for place, target in enumerate(targets)]
        self.meter.prefill(sum(map(len, distinct)) + sum(map(len, targets)), watch.lap())
        for index, answer in zip(part, answers, strict=True):
            done(index, answer)

    def _read(self, logits: torch.Tensor, target: np.ndarray) -> LoglikelihoodResult | Exception:
        wanted = torch.from_numpy(target).to(self._device)
        logprobs = torch.log_softmax(logits[: len(target)], dim=-1, dtype=torch.float32)
        total = float(logprobs.gather(1, wanted[:, None]).sum())
        if not np.isfinite(total):
            return ArithmeticError("the model's logits are not finite")
        return LoglikelihoodResult(total, bool((logprobs.argmax(dim=-1) == wanted).all()))

    # -- generating -----------------------------------------------------------------------------------------------

    def generate(self, rows: Sequence[GenerateRow], done: OnResult) -> None:
        """Answer every row; see `TokenBackend.generate`."""
        groups: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            own = (row.key,) if row.sampling.temperature > 0 else ()
            groups.setdefault((row.max_tokens, row.sampling, own), []).append(index)
        for members in groups.values():
            order = sorted(members, key=lambda i: -len(rows[i].tokens))
            self._in_batches(order, rows, lambda part: self._generate_batch(rows, part, done))

    def _generate_batch(self, rows: Sequence[GenerateRow], part: Sequence[int], done: OnResult) -> None:
        read, mask = self._padded([rows[i].tokens.astype(np.int64) for i in part])
        scans = [self._generation.scan(rows[i]) for i in part]
        clock = StepClock(self.meter, int(mask.sum()), len(part), 1, self._device)
        by_steps = self._generation.by_steps(rows[part[0]])
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=read,
                attention_mask=mask,
                stopping_criteria=[clock, *([ScanRows(scans, 1)] if by_steps else [])],
                **self._generation.settings(rows[part[0]]),
            )
        for place, (index, scan) in enumerate(zip(part, scans, strict=True)):
            if not by_steps:
                scan.extend(output[place, 1:].tolist())
            done(index, scan.answer())

    # -- batches --------------------------------------------------------------------------------------------------

    def _padded(self, rows: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows [batch, longest] padded behind, and the mask of what is text."""
        longest = max(map(len, rows))
        tokens = np.full((len(rows), longest), self._generation.pad_id, dtype=np.int64)
        mask = np.zeros((len(rows), longest), dtype=np.int64)
        for place, row in enumerate(rows):
            tokens[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return torch.from_numpy(tokens).to(self._device), torch.from_numpy(mask).to(self._device)

    def _in_batches(
        self,
        order: Sequence[int],
        rows: Sequence[LoglikelihoodRow] | Sequence[GenerateRow],
        answer: Callable[[Sequence[int]], None],
    ) -> None:
        """Batches of ``order``, halved when memory runs out."""
        asked = self._engine.batch_size
        size = asked if isinstance(asked, int) else self._fitting(max((len(rows[i].tokens) for i in order), default=1))
        at = 0
        while at < len(order):
            part = order[at : at + size]
            try:
                answer(part)
            except Exception as error:
                if not memory.is_out_of_memory(error) or size == 1:
                    raise
                size = max(1, size // 2)
                continue
            at += len(part)
            self.after_pass()

    def _fitting(self, longest: int) -> int:
        """Rows that fit: logits in float32 twice, and about a hundred activations of a hidden state's width a token."""
        config = self._model.config.get_text_config()
        row = longest * (8 * config.vocab_size + 100 * config.hidden_size * self._model.dtype.itemsize)
        return max(1, min(MOST_ROWS, int(memory.available(self._device) * 0.5 // row)))
