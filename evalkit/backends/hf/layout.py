"""Which calls attention over a pass takes, segment by segment, and what a window leaves of them.

A layer with a window sees only the last so many tokens. Queries of a pass stand at many positions, so that of a
stretch of keys (their own segment, an earlier one, the held path) some see all, some the end and some nothing. Queries
are taken in short runs; each run gets the keys that any of it sees, and a mask where not all of it sees all of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from evalkit.backends.hf.transfer import upload
from evalkit.engine.plan import Ints, Pass

SMALL_SEGMENT = 96
"""Segments up to this many tokens are batched with others of the same length."""

BLOCK = 256
"""Queries of a masked run at most: a longer one would be given more keys that most of it does not see."""


@dataclass(frozen=True, slots=True)
class Call:
    """Queries [begin, end) of a pass over keys [first, last): places in the pass, or positions of the held path.
    ``mask`` [queries, keys] is added to the scores.
    """

    begin: int
    end: int
    first: int
    last: int
    causal: bool = False
    mask: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Segments of one length as one call: ``index`` [segments, length] are their places."""

    index: torch.Tensor
    mask: torch.Tensor | None = None
    """[length, length] in place of causality."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The calls of a pass: what segments see of themselves, of earlier ones, and of the held path."""

    own: tuple[Call, ...]
    batches: tuple[Batch, ...]
    crosses: tuple[Call, ...]
    held: tuple[Call, ...]

    @classmethod
    def of(cls, work: Pass, window: int | None, dtype: torch.dtype, device: torch.device) -> Layout:
        """The calls of ``work``; masks have the type ``dtype`` of the queries."""
        maker = _Maker(work.positions, window, dtype, device)
        own: list[Call] = []
        batches: list[Batch] = []
        by_length: dict[int, list[int]] = defaultdict(list)
        for begin, end in work.segments:
            if end - begin > SMALL_SEGMENT:
                own += maker.own(begin, end)
            else:
                by_length[end - begin].append(begin)
        for length, begins in by_length.items():
            if len(begins) == 1:
                own += maker.own(begins[0], begins[0] + length)
            else:
                starts = torch.tensor(begins, device=device)
                index = starts[:, None] + torch.arange(length, device=device)
                batches.append(Batch(index, maker.band(length)))
        crosses = [
            call
            for cross in work.crosses
            for call in maker.before(cross.query_begin, cross.query_end, cross.key_begin, cross.key_end)
        ]
        held = [call for one in work.held for call in maker.held(one.query_begin, one.query_end, one.depth)]
        return cls(tuple(own), tuple(batches), tuple(crosses), tuple(held))


class _Maker:
    """Cuts calls to a window."""

    def __init__(self, positions: Ints, window: int | None, dtype: torch.dtype, device: torch.device) -> None:
        self._positions = positions
        self._window = window
        self._dtype = dtype
        self._device = device

    def own(self, begin: int, end: int) -> list[Call]:
        """A segment over itself."""
        if self._window is None or end - begin <= self._window:
            return [Call(begin, end, begin, end, causal=True)]
        found = []
        for at in range(begin, end, BLOCK):
            stop = min(end, at + BLOCK)
            first = max(begin, at - self._window + 1)
            found.append(Call(at, stop, first, stop, mask=self._band(np.arange(at, stop), first, stop)))
        return found

    def band(self, length: int) -> torch.Tensor | None:
        """The mask of segments of ``length`` over themselves; None where causality is all."""
        if self._window is None or length <= self._window:
            return None
        return self._band(np.arange(length), 0, length)

    def before(self, begin: int, end: int, first: int, last: int) -> list[Call]:
        """Queries over an earlier segment of the pass, all of which stands before them."""
        if self._window is None:
            return [Call(begin, end, first, last)]
        return self._looks(begin, end, first, last, int(self._positions[first]) - first)

    def held(self, begin: int, end: int, depth: int) -> list[Call]:
        """Queries over the held positions [0, depth)."""
        return [Call(begin, end, 0, depth)] if self._window is None else self._looks(begin, end, 0, depth, 0)

    def _looks(self, begin: int, end: int, first: int, last: int, shift: int) -> list[Call]:
        """Calls of those queries [begin, end) that see any of the keys [first, last), whose positions are their
        places plus ``shift``.
        """
        assert self._window is not None
        lowest = self._positions[begin:end] - (self._window - 1) - shift
        found = []
        for start, stop in _runs(lowest < last):
            for at in range(start, stop, BLOCK):
                low = lowest[at : min(stop, at + BLOCK)]
                nearest = max(first, int(low.min()))
                mask = None
                if int(low.max()) > nearest:
                    mask = self._additive(np.arange(nearest, last) < low[:, None])
                found.append(Call(begin + at, begin + at + len(low), nearest, last, mask=mask))
        return found

    def _band(self, queries: Ints, first: int, last: int) -> torch.Tensor:
        assert self._window is not None
        keys, own = np.arange(first, last), queries[:, None]
        return self._additive((keys > own) | (keys <= own - self._window))

    def _additive(self, hidden: npt.NDArray[np.bool_]) -> torch.Tensor:
        mask = upload(np.where(hidden, np.float32(-np.inf), np.float32(0)), self._device)
        return mask.to(self._dtype)


def _runs(wanted: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """The runs [start, stop) of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], wanted, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
