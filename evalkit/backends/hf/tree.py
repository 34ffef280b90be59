"""Forward passes of a causal model over the prefix tree, and the reading of log-probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf.attention import KeyValueStack, TreeState, activate, attend_tree
from evalkit.engine.plan import Pass

HEAD_ROWS = 128
"""Rows of the vocabulary projection at a time: the only logits that ever exist, [128, vocabulary]."""


class _TreePass(TreeState):
    def attend(
        self, layer: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None
    ) -> torch.Tensor:
        return attend_tree(self, layer, query, key, value, scale)


@dataclass(frozen=True)
class Reading:
    """What the reads of a pass gave, in the order of ``Pass.read_*``: log-probabilities in nats [reads] and
    whether the target was the arg-max [reads].
    """

    logprob: np.ndarray
    greedy: np.ndarray


class TreeRunner:
    """Runs passes one after another; holds the path between them."""

    def __init__(self, model: Any, device: torch.device) -> None:
        self._model = model
        self._body = model.base_model
        self._head = model.get_output_embeddings()
        self._device = device
        self.stack = KeyValueStack()

    def hidden(self, work: Pass) -> tuple[torch.Tensor, _TreePass]:
        """Hidden states [n, width] of the pass. The held path moves on when the caller commits the state: after
        everything that reads the old path, and only if all of it succeeded.
        """
        state = _TreePass(work, self.stack, self._device)
        with torch.inference_mode(), activate(state):
            tokens = torch.from_numpy(work.tokens.astype(np.int64)).to(self._device)
            positions = torch.from_numpy(work.positions).to(self._device)
            output = self._body(input_ids=tokens[None], position_ids=positions[None], use_cache=False)
        return output.last_hidden_state[0], state

    def read(self, hidden: torch.Tensor, work: Pass) -> Reading:
        """Log-probabilities of the targets of a pass: each distinct row is projected once."""
        index, inverse = np.unique(work.read_index, return_inverse=True)
        logprob = np.empty(len(inverse), dtype=np.float64)
        greedy = np.empty(len(inverse), dtype=bool)
        by_row = np.argsort(inverse, kind="stable")
        bounds = np.searchsorted(inverse[by_row], np.arange(0, len(index) + HEAD_ROWS, HEAD_ROWS))
        with torch.inference_mode():
            for chunk, begin in enumerate(range(0, len(index), HEAD_ROWS)):
                rows = torch.from_numpy(index[begin : begin + HEAD_ROWS]).to(self._device)
                asked = by_row[bounds[chunk] : bounds[chunk + 1]]
                logprob[asked], greedy[asked] = self._log_probabilities(
                    hidden[rows], inverse[asked] - begin, work.read_target[asked]
                )
        return Reading(logprob, greedy)

    def _log_probabilities(
        self, rows: torch.Tensor, which: np.ndarray, targets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        # torch's own log_softmax in float32, as lm-eval calls it: its rounding (1e-5 a token) is part of its numbers.
        logprobs = torch.log_softmax(self._head(rows), dim=-1, dtype=torch.float32)
        best = logprobs.argmax(dim=-1)
        which_t = torch.from_numpy(which).to(self._device)
        targets_t = torch.from_numpy(targets).to(self._device)
        logprob = logprobs[which_t, targets_t]
        return logprob.double().cpu().numpy(), (best[which_t] == targets_t).cpu().numpy()

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Logits [n, vocabulary] in float32 of hidden rows [n, width]; for generation, one row a sequence."""
        with torch.inference_mode():
            return self._head(hidden).float()
