"""The attention of a pass in a few calls for all its segments, for GPUs (`kernels.packed`).

One causal call covers every segment's own keys. What segments see of earlier ones (`Cross`) is laid out in levels:
the queries of a level do not overlap, so that one call serves a level whatever the number of its branches; trees of
tasks have one level or two. The keys of a level are gathered once for all queries that see them, never once a query.
The held path is one dense call. Everything that a layer needs beside its tensors is made once a pass.

In a layer with a window a segment sees the end of its path only: that end is gathered before the segment's own keys,
and one causal call with a window serves many segments (`Windowed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from evalkit.backends.hf.kernels import Pair, Rule, Runs, flash, packed
from evalkit.backends.hf.transfer import upload
from evalkit.engine.plan import Cross, Held, Ints, Pass

Rows = slice | torch.Tensor
"""Places in a pass: a stretch of it, or their indices."""
Path = Callable[[int], Pair]
"""Held keys and values [1, kv_heads, depth, d] at positions [0, depth)."""


@dataclass(frozen=True)
class Level:
    """Crosses of different queries: the places of the queries and of the keys they see, and the runs of both."""

    queries: Rows
    query_runs: Runs
    keys: Rows
    key_runs: Runs


GATHERED = 1 << 16
"""Keys that a call with a window is given at most: what many segments see of one path is copied for each."""


@dataclass(frozen=True)
class Gathered:
    """Segments whose queries are ``queries``, and the places of the keys they see: behind those of the held path from
    position ``Windowed.first`` on, the pass's own.
    """

    queries: slice
    query_runs: Runs
    keys: torch.Tensor
    key_runs: Runs


@dataclass(frozen=True)
class Windowed:
    """A pass laid out for layers with a window: held positions [first, last) are seen by some segment."""

    first: int
    last: int
    groups: tuple[Gathered, ...]

    @classmethod
    def of(cls, work: Pass, window: int, device: torch.device) -> Windowed:
        """The layout of ``work``, whose segments tile its tokens."""
        begins = np.array([begin for begin, _ in work.segments])
        starts = work.positions[begins]
        pieces: list[list[tuple[int, int, int]]] = [[] for _ in begins]  # (position, last position, place; -1: held)
        for held in work.held:
            for one in range(*np.searchsorted(begins, (held.query_begin, held.query_end)).tolist()):
                pieces[one].append((0, held.depth, -1))
        for cross in work.crosses:
            position = int(work.positions[cross.key_begin])
            for one in range(*np.searchsorted(begins, (cross.query_begin, cross.query_end)).tolist()):
                pieces[one].append((position, position + cross.key_end - cross.key_begin, cross.key_begin))
        lowest = [max(0, int(start) - window + 1) for start in starts]
        seen = [(low, part[1]) for low, parts in zip(lowest, pieces, strict=True) for part in parts if part[2] < 0]
        seen = [(low, depth) for low, depth in seen if low < depth]
        first, last = min((low for low, _ in seen), default=0), max((depth for _, depth in seen), default=0)
        keys = []
        for (begin, end), low, parts in zip(work.segments, lowest, pieces, strict=True):
            own = []
            for position, stop, place in sorted(parts):
                at = max(position, low)
                shift = -first if place < 0 else place - position + last - first
                own.append(np.arange(at, max(at, stop)) + shift)
            keys.append(np.concatenate([*own, np.arange(begin, end) + last - first]))
        return cls(first, last, tuple(_groups(work, keys, device)))


def _groups(work: Pass, keys: Sequence[Ints], device: torch.device) -> list[Gathered]:
    found, at = [], 0
    while at < len(keys):
        sizes = np.cumsum([len(one) for one in keys[at:]])
        stop = at + max(1, int(np.searchsorted(sizes, GATHERED, side="right")))
        lengths = tuple(end - begin for begin, end in work.segments[at:stop])
        queries = slice(work.segments[at][0], work.segments[stop - 1][1])
        runs = Runs.of(tuple(len(one) for one in keys[at:stop]), device)
        found.append(Gathered(queries, Runs.of(lengths, device), upload(np.concatenate(keys[at:stop]), device), runs))
        at = stop
    return found


def attend_windowed(
    packing: Windowed, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, rule: Rule, path: Path
) -> torch.Tensor:
    """Attention of one pass in a layer with a window: query [1, heads, n, d] -> [1, n, heads, d]."""
    rows, keys, values = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    if packing.last:
        before = (part[0, :, packing.first :].transpose(0, 1) for part in path(packing.last))
        keys, values = (torch.cat(pair) for pair in zip(before, (keys, values), strict=True))
    output = torch.empty_like(rows)
    for one in packing.groups:
        part, total = packed(
            rows[one.queries], keys[one.keys], values[one.keys], one.query_runs, one.key_runs, True, rule.scale,
            rule.window,
        )  # fmt: skip
        output[one.queries] = rule.sunk(part, total)
    return output.unsqueeze(0)


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
    path: Path,
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
