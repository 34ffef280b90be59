"""Scoring by a model's own forward: rows as branches of their prefix tree, each read once from its node's state."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from evalkit.backends.hf.batches import Batches, Sharing
from evalkit.backends.hf.branches import Branch, grow
from evalkit.backends.hf.continuing import copies
from evalkit.backends.hf.prefix_forward import TreeRunner
from evalkit.backends.hf.tally import Tally
from evalkit.backends.hf.transfer import upload
from evalkit.contract.backend import LoglikelihoodRow
from evalkit.engine.plan import Pass, PrefixPlan

MIN_SHARE = 16
"""Tokens that a branch must save: a call more, and a copy of the state, cost as much."""


class OwnForward:
    """The rows of a run as branches, and the calls that read them."""

    def __init__(
        self, model: Any, device: torch.device, rows: Sequence[LoglikelihoodRow], batches: Batches, tally: Tally
    ) -> None:
        self._model = model
        self._device = device
        self._rows = rows
        self._batches = batches
        self._tally = tally
        self._calling = batches.calling
        self._reader = TreeRunner(model, device, self._calling.head or (lambda logits: logits))
        self._inputs = [row.tokens[:-1] for row in rows]
        self._order, self._lengths, self._shared = self._sorted(batches.sharing)

    def _sorted(self, sharing: Sharing) -> tuple[list[int], Sequence[int], Sequence[int]]:
        """The rows in the tree's order, their lengths, and what each shares with the one before it."""
        if sharing == "nothing":
            lengths = [len(row) for row in self._inputs]
            return list(range(len(lengths))), lengths, [0] * len(lengths)
        most = max(map(len, self._inputs)) + 1
        plan = PrefixPlan(self._inputs, min_share=MIN_SHARE if sharing == "states" else most * len(self._inputs))
        shared = list(plan.shared)
        if sharing == "rows":
            equal = [False, *(one == other for one, other in pairwise(plan.lengths))]
            shared = [
                one if one == length and same else 0
                for one, length, same in zip(shared, plan.lengths, equal, strict=True)
            ]
        return plan.order, plan.lengths, shared

    def branches(self, node: Branch | None = None) -> list[Branch]:
        """What goes on behind a node (None: the root), the longest first."""
        if node is None:
            found = grow(self._lengths, self._shared, 0, len(self._rows), 0)
        else:
            found = grow(self._lengths, self._shared, node.rest, node.last, node.end)
        return sorted(found, key=lambda one: one.begin - one.end)

    def read(self, some: Sequence[Branch], state: Any, keep: bool = False) -> Any:
        """Read branches of one node, whose ``state`` stays as it is; the state behind them if ``keep``."""
        longest = max(one.end - one.begin for one in some)
        tokens = np.zeros((len(some), longest), dtype=np.int64)
        edges = []
        for place, one in enumerate(some):
            edges.append(self._inputs[self._order[one.last - 1]][one.begin : one.end])
            tokens[place, : len(edges[-1])] = edges[-1]
        self._batches.restore()
        with torch.inference_mode():
            found, after = self._calling(self._model, upload(tokens, self._device), copies(state, len(some)), keep)
        work = self._pass(some, longest, np.concatenate(edges))
        self._tally.add(work, self._reader.read(found.flatten(0, 1), work))
        return after

    def _pass(self, some: Sequence[Branch], longest: int, tokens: Any) -> Pass:
        """The call as a pass: what is asked of its tokens [branches * longest]."""
        places, targets, owners = [], [], []
        for place, one in enumerate(some):
            for index in self._order[one.first : one.last]:
                row = self._rows[index]
                begin, end = max(row.start - 1, one.begin), min(len(row.tokens) - 1, one.end)
                if begin < end:
                    places.append(np.arange(begin, end) - one.begin + place * longest)
                    targets.append(row.tokens[begin + 1 : end + 1].astype(np.int64))
                    owners.append(np.full(end - begin, index))
        asked = [np.concatenate(part) if part else np.empty(0, np.int64) for part in (places, targets, owners)]
        return Pass(tokens, np.empty(0, np.int64), (), (), (), (), (), *asked)
