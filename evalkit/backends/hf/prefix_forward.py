"""Forward passes of a causal model over the prefix tree, and the reading of log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf.attention import KeyValueStack, TreeState, activate
from evalkit.backends.hf.head import Head
from evalkit.backends.hf.kernels import Rule
from evalkit.backends.hf.kv_pool import Step
from evalkit.backends.hf.transfer import Download, upload
from evalkit.engine.plan import Pass

HEAD_ROWS = 128
"""Rows of the vocabulary projection at a time: the only logits that ever exist, [128, vocabulary]."""
HEAD_ROWS_CUDA = 512
"""The same on a GPU, where 128 rows would take as long to multiply as the weights to read."""


def head_rows(device: torch.device) -> int:
    """Rows of the vocabulary projection at a time on ``device``."""
    return HEAD_ROWS_CUDA if device.type == "cuda" else HEAD_ROWS


class _Together:
    """A pass and, behind its ``size`` tokens, a step of sequences under way."""

    def __init__(self, work: TreeState, size: int, step: Step) -> None:
        self._work = work
        self._size = size
        self._step = step
        self.reach = max(work.reach, step.reach)
        self.positions = torch.cat((work.positions, step.positions))

    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule
    ) -> torch.Tensor:
        size = self._size
        first = self._work.attend(layer, query[:, :, :size], key[:, :, :size], value[:, :, :size], rule)
        then = self._step.attend(layer, query[:, :, size:], key[:, :, size:], value[:, :, size:], rule)
        return torch.cat((first, then), dim=1)


@dataclass(frozen=True)
class Reading:
    """What the reads of a pass gave, in the order of ``Pass.read_*``: log-probabilities in nats [reads] and
    whether the target was the arg-max [reads].
    """

    logprob: np.ndarray
    greedy: np.ndarray


class Pending:
    """A reading that the device may still be at: ``parts`` are log-probabilities and arg-max hits of its chunks on
    the device, in the order ``places`` of the reads.
    """

    def __init__(self, parts: Sequence[tuple[torch.Tensor, torch.Tensor]], places: np.ndarray) -> None:
        self._places = places
        self._copies = Download(*(torch.cat(columns) for columns in zip(*parts, strict=True))) if parts else None

    def wait(self) -> Reading:
        """The reading, once the device has come so far."""
        logprob, greedy = np.empty(len(self._places), dtype=np.float64), np.empty(len(self._places), dtype=bool)
        if self._copies is not None:
            logprob[self._places], greedy[self._places] = self._copies.wait()
        return Reading(logprob, greedy)


class TreeRunner:
    """Runs passes one after another; holds the path between them."""

    def __init__(self, model: Any, device: torch.device, head: Head) -> None:
        self._body = model.base_model
        self._head = head
        self._device = device
        self.stack = KeyValueStack()

    def hidden(self, work: Pass, step: Step | None = None) -> tuple[torch.Tensor, TreeState]:
        """Hidden states [n, width] of the pass, and behind them those of the ``step`` that rides in it. The held path
        moves on when the caller commits the state: after everything that reads the old path, and only if all of it
        succeeded.
        """
        state = TreeState(work, self.stack, self._device)
        whole = state if step is None else _Together(state, len(work.tokens), step)
        tokens = upload(work.tokens.astype(np.int64), self._device)
        if step is not None:
            tokens = torch.cat((tokens, step.tokens))
        with torch.inference_mode(), activate(whole):
            output = self._body(input_ids=tokens[None], position_ids=whole.positions[None], use_cache=False)
        return output.last_hidden_state[0].to(self._device), state

    def run(self, work: Pass) -> Pending:
        """One pass from tokens to what is read of it; the held path moves on. If it fails nothing has changed, and
        nothing of it is kept alive.
        """
        hidden, state = self.hidden(work)
        reading = self.read(hidden, work)
        state.commit()
        return reading

    def read(self, hidden: torch.Tensor, work: Pass) -> Pending:
        """Log-probabilities of the targets of a pass: each distinct row is projected once."""
        index, inverse = np.unique(work.read_index, return_inverse=True)
        by_row = np.argsort(inverse, kind="stable")
        step = head_rows(self._device)
        bounds = np.searchsorted(inverse[by_row], np.arange(0, len(index) + step, step)).tolist()
        parts = []
        with torch.inference_mode():
            rows = upload(index, self._device)
            which = upload(inverse[by_row] % step, self._device)
            targets = upload(work.read_target[by_row], self._device)
            for chunk, begin in enumerate(range(0, len(index), step)):
                asked = slice(bounds[chunk], bounds[chunk + 1])
                parts.append(self._log_probabilities(hidden[rows[begin : begin + step]], which[asked], targets[asked]))
            return Pending(parts, by_row)

    def _log_probabilities(
        self, rows: torch.Tensor, which: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # torch's own log_softmax in float32, as lm-eval calls it: its rounding (1e-5 a token) is part of its numbers.
        logprobs = torch.log_softmax(self._head(rows), dim=-1, dtype=torch.float32)
        which, targets = which.to(logprobs.device), targets.to(logprobs.device)  # the head may lie on another device
        best = logprobs.argmax(dim=-1)
        return logprobs[which, targets], best[which] == targets

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits [n, vocabulary] in float32 of hidden rows [n, width]; for generation, one row a sequence."""
        with torch.inference_mode():
            return self._head(hidden).float()
