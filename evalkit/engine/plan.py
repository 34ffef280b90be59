"""The plan: every distinct prefix of a run's token sequences, once, in an order that computes it once.

Sorted lexicographically, the rows of a run are a depth-first walk of their prefix tree: row ``i`` adds exactly the
tokens behind the longest prefix that it shares with the row before it. So the tree needs no node objects: a sorted
order and one shared length a row say everything, and the walk is a single stream of new tokens, the *trunk*, that can
be cut into passes of any size. A pass knows, for each of its tokens, which keys it must attend to:

* its own segment, causally;
* earlier segments of the same pass that lie on its path (`Cross`);
* what was held of its path from earlier passes (`Held`): the walk is depth-first, so what must be held is one path,
  a stack that positions index directly.

Nothing here knows a model. The number of tokens computed equals the number of nodes of the tree (with ``min_share`` 1).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Cross:
    """Tokens [query_begin, query_end) of the pass attend to all of its tokens [key_begin, key_end)."""

    query_begin: int
    query_end: int
    key_begin: int
    key_end: int


@dataclass(frozen=True, slots=True)
class Held:
    """Tokens [query_begin, query_end) of the pass attend to the held positions [0, depth)."""

    query_begin: int
    query_end: int
    depth: int


@dataclass(frozen=True, slots=True)
class Keep:
    """After the pass, its tokens [begin, end) are held at positions [position, position + end - begin)."""

    begin: int
    end: int
    position: int


@dataclass(frozen=True, slots=True)
class Ending:
    """A row whose last token is in this pass; ``pieces`` tile its path: (position, begin, length), with begin -1
    for held positions. Asked for by generation, which copies the path's keys and values into a slot.
    """

    row: int
    pieces: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass over ``tokens`` [n] at ``positions`` [n]; ``segments`` are its causal runs [begin, end).

    Reads, sorted by ``read_index``: the logits of token ``read_index`` of the pass are asked for the
    log-probability of ``read_target``, on behalf of row ``read_row``.
    """

    tokens: Tokens
    positions: Ints
    segments: tuple[tuple[int, int], ...]
    crosses: tuple[Cross, ...]
    held: tuple[Held, ...]
    keeps: tuple[Keep, ...]
    endings: tuple[Ending, ...]
    read_index: Ints
    read_target: Ints
    read_row: Ints


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the walk stands: token ``position`` of sorted row ``rank`` is next, ``trunk`` tokens are done."""

    rank: int = 0
    position: int = 0
    trunk: int = 0


@dataclass(slots=True)
class _Piece:
    """A run of the current path: positions [begin, end), held or at ``source`` in the pass; queries since
    ``open_at`` attend to all of it.
    """

    begin: int
    end: int
    source: int
    open_at: int


_HELD = -1


class PrefixPlan:
    """The prefix tree of ``sequences`` (non-empty token rows) as a sorted walk.

    ``reads[i]`` is (first position, targets): row i asks for targets[k] after its token at position first + k.
    ``min_share``: a branch point is made only where it saves at least that many tokens; sharing less than that
    costs more in extra attention calls than the tokens do. 1 shares everything. ``ending``: the last token of every row
    is computed for it alone, so that equal rows end one by one.
    """

    def __init__(
        self,
        sequences: Sequence[Tokens],
        reads: Sequence[tuple[int, Sequence[int] | Tokens]] | None = None,
        min_share: int = 1,
        ending: bool = False,
    ) -> None:
        self._rows = sequences
        keys = [np.ascontiguousarray(row, dtype=">i4").tobytes() for row in sequences]
        self.order: list[int] = sorted(range(len(sequences)), key=keys.__getitem__)
        del keys
        self._length = [len(sequences[row]) for row in self.order]
        shared = _shared_lengths(sequences, self.order)
        if ending:
            shared = [min(one, length - 1) for one, length in zip(shared, self._length, strict=True)]
        self._shared = _snap(shared, self._length, min_share)
        new = np.array(self._length, dtype=np.int64) - np.array(self._shared, dtype=np.int64)
        self._offset: list[int] = [0, *np.cumsum(new).tolist()] if len(new) else [0]
        self._read_trunk, self._read_target, self._read_row = self._place_reads(reads)

    @property
    def tokens_given(self) -> int:
        """Tokens of all rows, shared or not."""
        return sum(self._length)

    @property
    def tokens_computed(self) -> int:
        """Tokens that the walk computes: the nodes of the tree."""
        return self._offset[-1]

    @property
    def lengths(self) -> Sequence[int]:
        """Tokens of each row, in the walk's order."""
        return self._length

    @property
    def shared(self) -> Sequence[int]:
        """Tokens that each row shares with the row before it in the walk."""
        return self._shared

    @property
    def depth(self) -> int:
        """The longest row: an upper bound of what must be held."""
        return max(self._length, default=0)

    def start(self) -> Cursor:
        """The cursor before the first token."""
        return Cursor(0, self._shared[0] if self._shared else 0, 0)

    def done(self, cursor: Cursor) -> bool:
        """Whether every row has ended."""
        return cursor.rank >= len(self.order)

    def cut(self, cursor: Cursor, budget: int, endings_wanted: int = 0) -> tuple[Pass, Cursor]:
        """The next pass of at most ``budget`` tokens from ``cursor`` on, and the cursor behind it.

        ``endings_wanted`` above 0: record where rows end, and stop after that many. Pure: cutting again from the
        same cursor with a smaller budget is how a pass that did not fit is retried.
        """
        walk = _Walk(cursor.position)
        rank, position = cursor.rank, cursor.position
        endings: list[Ending] = []
        while rank < len(self.order):
            row = self._rows[self.order[rank]]
            walk.retreat(position)
            take = min(self._length[rank] - position, budget - walk.size)
            walk.advance(row, position, take)
            position += take
            if position < self._length[rank]:
                break
            if endings_wanted:
                endings.append(Ending(self.order[rank], walk.path()))
            rank += 1
            position = self._shared[rank] if rank < len(self.order) else 0
            if len(endings) == endings_wanted > 0:
                break
        behind = Cursor(rank, position, cursor.trunk + walk.size)
        return self._finish(walk, cursor, behind, tuple(endings)), behind

    def _finish(self, walk: _Walk, before: Cursor, behind: Cursor, endings: tuple[Ending, ...]) -> Pass:
        walk.retreat(behind.position)
        keeps = walk.keeps()
        walk.retreat(0)
        first, last = np.searchsorted(self._read_trunk, [before.trunk, behind.trunk])
        return Pass(
            tokens=np.concatenate(walk.tokens) if walk.tokens else np.empty(0, np.int32),
            positions=np.concatenate(walk.positions) if walk.positions else np.empty(0, np.int64),
            segments=tuple(walk.segments),
            crosses=tuple(walk.crosses),
            held=tuple(walk.held),
            keeps=keeps,
            endings=endings,
            read_index=self._read_trunk[first:last] - before.trunk,
            read_target=self._read_target[first:last],
            read_row=self._read_row[first:last],
        )

    def _place_reads(self, reads: Sequence[tuple[int, Sequence[int] | Tokens]] | None) -> tuple[Ints, Ints, Ints]:
        """Where in the trunk each read falls: the token at (row, position) belongs to the last row at or before
        it in the walk that did not share that position.
        """
        if not reads:
            empty = np.empty(0, np.int64)
            return empty, empty, empty
        trunk: list[Ints] = []
        targets: list[Ints] = []
        owners: list[Ints] = []
        begins: list[int] = []
        bases: list[int] = []
        for rank, row in enumerate(self.order):
            shared = self._shared[rank]
            while begins and begins[-1] >= shared:
                begins.pop()
                bases.pop()
            if self._length[rank] > shared:
                begins.append(shared)
                bases.append(self._offset[rank] - shared)
            first, wanted = reads[row]
            last = first + len(wanted)
            targets.append(np.asarray(wanted, dtype=np.int64))
            owners.append(np.full(len(wanted), row, dtype=np.int64))
            level = len(begins) - 1 if first >= begins[-1] else bisect_right(begins, first) - 1
            position = first
            while position < last:
                stop = min(last, begins[level + 1]) if level + 1 < len(begins) else last
                trunk.append(np.arange(position, stop, dtype=np.int64) + bases[level])
                position, level = stop, level + 1
        places = np.concatenate(trunk)
        by_place = np.argsort(places, kind="stable")
        return places[by_place], np.concatenate(targets)[by_place], np.concatenate(owners)[by_place]


class _Walk:
    """Builds one pass: the path as pieces, and the attention that each piece is asked for."""

    def __init__(self, depth: int) -> None:
        self.size = 0
        self.tokens: list[Tokens] = []
        self.positions: list[Ints] = []
        self.segments: list[tuple[int, int]] = []
        self.crosses: list[Cross] = []
        self.held: list[Held] = []
        self._pieces = [_Piece(0, depth, _HELD, 0)] if depth else []

    def retreat(self, position: int) -> None:
        """Leave the path behind ``position``."""
        while self._pieces and self._pieces[-1].end > position:
            piece = self._pieces[-1]
            self._close(piece)
            if piece.begin >= position:
                self._pieces.pop()
            else:
                piece.end, piece.open_at = position, self.size

    def advance(self, row: Tokens, position: int, take: int) -> None:
        """Add tokens [position, position + take) of ``row`` as one causal segment."""
        if take <= 0:
            return
        self.tokens.append(np.asarray(row[position : position + take], dtype=np.int32))
        self.positions.append(np.arange(position, position + take, dtype=np.int64))
        self.segments.append((self.size, self.size + take))
        self._pieces.append(_Piece(position, position + take, self.size, self.size + take))
        self.size += take

    def _close(self, piece: _Piece) -> None:
        if piece.open_at >= self.size:
            return
        if piece.source == _HELD:
            self.held.append(Held(piece.open_at, self.size, piece.end))
        else:
            length = piece.end - piece.begin
            self.crosses.append(Cross(piece.open_at, self.size, piece.source, piece.source + length))

    def keeps(self) -> tuple[Keep, ...]:
        """What of the present path was computed in this pass and must be held for the next."""
        return tuple(
            Keep(piece.source, piece.source + piece.end - piece.begin, piece.begin)
            for piece in self._pieces
            if piece.source != _HELD
        )

    def path(self) -> tuple[tuple[int, int, int], ...]:
        return tuple((piece.begin, piece.source, piece.end - piece.begin) for piece in self._pieces)


def _shared_lengths(sequences: Sequence[Tokens], order: Sequence[int]) -> list[int]:
    """Length of the prefix that each row of the sorted order shares with the row before it."""
    shared = [0] * len(order)
    for rank in range(1, len(order)):
        above, row = sequences[order[rank - 1]], sequences[order[rank]]
        most = min(len(above), len(row))
        different = np.asarray(above[:most]) != np.asarray(row[:most])
        first = int(different.argmax()) if most else 0
        shared[rank] = first if most and different[first] else most
    return shared


def _snap(shared: list[int], length: Sequence[int], min_share: int) -> list[int]:
    """Lower the shared lengths whose branch point would save fewer than ``min_share`` tokens.

    Any value up to the true one is correct: the path of a row begins with the path of the row before it.
    """
    if min_share <= 1:
        return shared
    runs = _run_lengths(shared)
    levels = [0]
    for rank, depth in enumerate(shared):
        while levels[-1] > depth:
            levels.pop()
        if depth == levels[-1] or depth == length[rank] or depth == length[rank - 1]:
            continue
        if (depth - levels[-1]) * runs[rank] < min_share:
            shared[rank] = levels[-1]
        else:
            levels.append(depth)
    return shared


def _run_lengths(shared: Sequence[int]) -> list[int]:
    """For each row, how many rows from it on, one after another, share at least as much as it does."""
    runs = [1] * len(shared)
    waiting: list[int] = []
    for rank in range(len(shared) - 1, -1, -1):
        while waiting and shared[waiting[-1]] >= shared[rank]:
            waiting.pop()
        runs[rank] = (waiting[-1] if waiting else len(shared)) - rank
        waiting.append(rank)
    return runs
