"""The attention of a pass in a few calls for all its segments, for GPUs (`kernels.packed`).

One causal call covers every segment's own keys. What segments see of earlier ones (`Cross`) is laid out in levels:
the queries of a level do not overlap, so that one call serves a level whatever the number of its branches; trees of
tasks have one level or two. The keys of a level are gathered once for all queries that see them, never once a query.
The held path is one dense call. Everything that a layer needs beside its tensors is made once a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from evalkit.backends.hf.kernels import Pair, Rule, Runs, flash, packed
from evalkit.backends.hf.transfer import upload
from evalkit.engine.plan import Cross, Held, Pass

Rows = slice | torch.Tensor
"""Places in a pass: a stretch of it, or their indices."""


@dataclass(frozen=True)
class Level:
    """Crosses of different queries: the places of the queries and of the keys they see, and the runs of both."""

    queries: Rows
    query_runs: Runs
    keys: Rows
    key_runs: Runs


@dataclass(frozen=True)
class Packing:
    """A pass laid out for `attend_packed`."""

    own: Runs
    levels: tuple[Level, ...]
    held: tuple[Held, ...]

    @classmethod
    def of(cls, work: Pass, device: torch.device) -> Packing:
        """The layout of ``work``, whose segments tile its tokens."""
        own = Runs.of(tuple(end - begin for begin, end in work.segments), device)
        return cls(own, tuple(_level(crosses, device) for crosses in levels(work.crosses)), work.held)


def levels(crosses: Sequence[Cross]) -> list[list[Cross]]:
    """``crosses`` in as few groups as possible whose queries do not overlap, each in the order of its queries."""
    found: list[list[Cross]] = []
    for cross in sorted(crosses, key=lambda one: (one.query_begin, -one.query_end)):
        level = next((one for one in found if one[-1].query_end <= cross.query_begin), None)
        if level is None:
            found.append([cross])
        else:
            level.append(cross)
    return found


def _level(crosses: Sequence[Cross], device: torch.device) -> Level:
    queries = [(cross.query_begin, cross.query_end) for cross in crosses]
    keys = [(cross.key_begin, cross.key_end) for cross in crosses]
    return Level(_rows(queries, device), _runs(queries, device), _rows(keys, device), _runs(keys, device))


def _runs(stretches: Sequence[tuple[int, int]], device: torch.device) -> Runs:
    return Runs.of(tuple(end - begin for begin, end in stretches), device)


def _rows(stretches: Sequence[tuple[int, int]], device: torch.device) -> Rows:
    if all(before[1] == after[0] for before, after in pairwise(stretches)):
        return slice(stretches[0][0], stretches[-1][1])
    return upload(np.concatenate([np.arange(begin, end) for begin, end in stretches]), device)


def attend_packed(
    packing: Packing,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    rule: Rule,
    path: Callable[[int], Pair],
) -> torch.Tensor:
    """Attention of one pass: query [1, heads, n, d] -> [1, n, heads, d]. ``path``: the held keys and values
    [1, kv_heads, depth, d] at positions [0, depth). ``rule`` has neither window nor cap.
    """
    rows, keys, values = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    output, total = packed(rows, keys, values, packing.own, packing.own, True, rule.scale)
    for level in packing.levels:
        seen = (rows[level.queries], keys[level.keys], values[level.keys])
        part = packed(*seen, level.query_runs, level.key_runs, False, rule.scale)
        _merge(output, total, level.queries, *part)
    for held in packing.held:
        stretch = slice(held.query_begin, held.query_end)
        late, sums = flash(query[:, :, stretch], *path(held.depth), False, rule.scale)
        _merge(output, total, stretch, late[0].transpose(0, 1), sums[0])
    return rule.sunk(output, total).unsqueeze(0)


def _merge(output: torch.Tensor, total: torch.Tensor, rows: Rows, part: torch.Tensor, sums: torch.Tensor) -> None:
    """Merge ``part`` [m, heads, d] with log-sum-exp ``sums`` [heads, m] into ``output`` [n, heads, d] and ``total``
    [heads, n] at ``rows``; see `evalkit.backends.hf.attention` for the formula.
    """
    before, known = output[rows], total[:, rows]
    share = torch.sigmoid(sums - known).transpose(0, 1).unsqueeze(-1)
    if isinstance(rows, slice):
        before.lerp_(part, share.to(part.dtype))
        torch.logaddexp(known, sums, out=known)
    else:
        output.index_copy_(0, rows, torch.lerp(before, part, share.to(part.dtype)))
        total.index_copy_(1, rows, torch.logaddexp(known, sums))
