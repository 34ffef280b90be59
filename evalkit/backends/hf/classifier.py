"""Models with a head for classes or a number (AutoModelForSequenceClassification): a text, or a pair, and its class.

Which of the model's classes is which of the task's is decided by their names, else, where the model's have none, by
their order; what fits neither way is refused. A batch holds texts of one length, so that no padding is ever read.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf import memory, vocabulary
from evalkit.backends.hf.architecture import CLASSIFIER
from evalkit.backends.hf.labels import Fit, fit, fit_number
from evalkit.backends.hf.loaded import Loaded
from evalkit.backends.hf.loading import Parts
from evalkit.backends.hf.rope import CallState
from evalkit.backends.hf.weights import check_answers
from evalkit.contract.errors import UserError
from evalkit.contract.types import Classify, Request, Response
from evalkit.perf.clocks import Stopwatch
from evalkit.spec.models import EngineSpec, ModelSpec

log = logging.getLogger("evalkit.hf")

MOST_ROWS = 64
"""Texts of a batch where nothing else is asked."""


class ClassifierBackend(Loaded):
    """A transformers classifier as a TextBackend."""

    def __init__(self, parts: Parts, model: ModelSpec, engine: EngineSpec) -> None:
        super().__init__(parts, engine)
        self._tokenizer = parts.tokenizer
        self._calls = CallState(self._model)
        self._fits: dict[tuple[tuple[str, ...], ...], Fit] = {}
        config = self._model.config
        self._pads = config.get_text_config().pad_token_id is not None
        self.capabilities = CLASSIFIER
        window = model.max_length or vocabulary.positions(self._model, parts.tokenizer)
        self.info = self._info(parts, model, window, {"path": "classifier (batches of one length)"})
        with torch.inference_mode():
            tried = self._model(**self._tokenizer("a text", return_tensors="pt").to(self._device))
        check_answers(model.name, self._model, [tried.logits])

    def respond(self, requests: Sequence[Request]) -> Iterator[tuple[int, Response]]:
        """(index, response) of every request; see `TextBackend.respond`. UserError, before the first is computed, where
        the classes of a task are not the model's.
        """
        asked: list[Classify] = []
        for request in requests:
            if not isinstance(request, Classify):
                kind = type(request).__name__.lower()
                raise UserError(f"{self.info.name}: is a classifier, which gives classes of texts: asked to {kind}")
            asked.append(request)
        for labels in dict.fromkeys(request.labels for request in asked):
            self._learn(labels)
        encoded = [self._encode(request) for request in asked]
        lengths = [len(one["input_ids"]) for one in encoded]
        shapes: dict[int, tuple[bool, int]] = {}
        for index, length in enumerate(lengths):
            left_out = self._too_long(length)
            if left_out is None:
                shapes[index] = asked[index].pair is not None, min(length, self.info.max_length)
            else:
                yield index, left_out
        for part in self._batches(shapes):
            values = self._values([encoded[index] for index in part])
            for index, found in zip(part, values, strict=True):
                given = shapes[index][1]
                yield index, self._response(found, asked[index], given, lengths[index] - given)

    def _learn(self, labels: tuple[tuple[str, ...], ...]) -> None:
        if labels in self._fits:
            return
        config = self._model.config
        names = [str(config.id2label[place]) for place in range(config.num_labels)]
        multiple = getattr(config, "problem_type", None) == "multi_label_classification"
        found = fit(self.info.name, labels, names, multiple) if labels else fit_number(self.info.name, names)
        self._fits[labels] = found
        if labels:
            log.warning("%s: %s", self.info.name, found.told)
        kept = [*self.info.details.get("labels", []), found.record()]
        self.info = replace(self.info, details={**self.info.details, "labels": kept})

    def _encode(self, request: Classify) -> dict[str, list[int]]:
        found = self._tokenizer(request.text, request.pair, verbose=False)
        return {name: list(found[name]) for name in self._tokenizer.model_input_names if name in found} | {
            "request": [request]  # type: ignore[list-item]
        }

    def _too_long(self, length: int) -> Response | None:
        """The answer to a text over the window that is not to be cut."""
        if length <= self.info.max_length or self._engine.overlength == "truncate":
            return None
        reason = f"the text has {length:,} tokens, the model takes {self.info.max_length:,}"
        status = "unscored" if self._engine.overlength == "skip" else "error"
        return Response(status=status, error=reason, prompt_tokens=length)  # type: ignore[arg-type]

    def _batches(self, shapes: Mapping[int, tuple[bool, int]]) -> Iterator[list[int]]:
        """Texts of one shape (a pair, tokens) at a time, long ones first: some heads read at the end of each text, and
        want as many of these in every row.
        """
        alike: dict[tuple[bool, int], list[int]] = {}
        for index, shape in sorted(shapes.items(), key=lambda item: -item[1][1]):
            alike.setdefault(shape, []).append(index)
        for (_, length), members in alike.items():
            asked = self._engine.batch_size
            # The head of a decoder without a padding token takes one text at a time.
            most = 1 if not self._pads else asked if isinstance(asked, int) else self._fitting(length)
            for begin in range(0, len(members), most):
                yield members[begin : begin + most]

    def _fitting(self, length: int) -> int:
        config = self._model.config.get_text_config()
        row = length * 100 * config.hidden_size * self._model.dtype.itemsize
        return max(1, min(MOST_ROWS, int(memory.available(self._device) * 0.5 // row)))

    def _values(self, rows: Sequence[dict[str, Any]]) -> np.ndarray:
        """Logits [rows, outputs], in float64."""
        watch = Stopwatch(self._device)
        shown = [self._cut(row) for row in rows]
        batch = {name: torch.tensor([row[name] for row in shown], device=self._device) for name in shown[0]}
        self._calls.restore()
        with torch.inference_mode():
            logits = self._model(**batch).logits
        tokens = int(batch["input_ids"].numel())
        self.meter.read(tokens)
        self.meter.prefill(tokens, watch.lap())
        return np.asarray(logits.double().cpu())

    def _cut(self, row: dict[str, Any]) -> dict[str, list[int]]:
        """A text within the window: the tokenizer leaves the special tokens that stand around it."""
        names = [name for name in row if name != "request"]
        if len(row["input_ids"]) <= self.info.max_length:
            return {name: row[name] for name in names}
        request: Classify = row["request"][0]
        found = self._tokenizer(
            request.text, request.pair, truncation=True, max_length=self.info.max_length, verbose=False
        )
        return {name: list(found[name]) for name in names}

    def _response(self, logits: np.ndarray, request: Classify, given: int, cut: int) -> Response:
        if not np.isfinite(logits).all():
            return Response(status="error", error="the model's logits are not finite", prompt_tokens=given)
        if not request.labels:
            return Response(values=(float(logits[0]),), prompt_tokens=given, truncated=cut)
        shifted = logits - logits.max()
        logprobs = shifted - np.log(np.exp(shifted).sum())
        values = tuple(float(logprobs[place]) for place in self._fits[request.labels].places)
        return Response(values=values, prompt_tokens=given, truncated=cut)
