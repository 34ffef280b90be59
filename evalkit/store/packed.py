"""Long sequences held small: compressed blocks of JSON, opened one at a time.

A run of a million items would hold a million rows, prompts, answers and scores as objects, some kilobytes an item. What
JSON gives back exactly (texts, numbers, lists, objects) is packed; a block with anything else in it stays as it is.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")

HELD = 50_000
"""Items of a task up to which everything is held as objects: some tens of megabytes."""
BLOCK = 512
"""Values that are packed, and opened, together."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_decode = json.JSONDecoder().decode
_EXACT = frozenset({str, int, float, bool, type(None)})


def _same(value: Any) -> Any:
    return value


class Packed(Sequence[T], Generic[T]):
    """A sequence that grows at its end. ``pack`` makes a value plain (lists and objects of texts and numbers),
    ``unpack`` makes it again: equal, but another object at every reading.
    """

    def __init__(
        self,
        values: Iterable[T] = (),
        pack: Callable[[T], Any] = _same,
        unpack: Callable[[Any], T] = _same,
    ) -> None:
        self._pack, self._unpack = pack, unpack
        self._blocks: list[bytes | list[T]] = []
        self._last: list[T] = []
        self._opened: tuple[int, list[T]] = (-1, [])
        self.extend(values)

    def extend(self, values: Iterable[T]) -> None:
        """Add ``values`` at the end."""
        for value in values:
            self._last.append(value)
            if len(self._last) == BLOCK:
                self._blocks.append(self._shut(self._last))
                self._last = []

    def _shut(self, block: list[T]) -> bytes | list[T]:
        packed = [self._pack(value) for value in block]
        if not _exact(packed):
            return block
        try:
            return zlib.compress(_encode(packed).encode(), 1)
        except (ValueError, RecursionError):  # an integer with more digits than Python writes; too deep
            return block

    def _open(self, number: int) -> list[T]:
        if number == len(self._blocks):
            return self._last
        block = self._blocks[number]
        if isinstance(block, list):
            return block
        opened = self._opened
        if opened[0] != number:
            opened = number, [self._unpack(value) for value in _decode(zlib.decompress(block).decode())]
            self._opened = opened
        return opened[1]

    def __len__(self) -> int:
        return len(self._blocks) * BLOCK + len(self._last)

    @overload
    def __getitem__(self, place: int) -> T: ...
    @overload
    def __getitem__(self, place: slice) -> list[T]: ...
    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        if place < 0:
            place += len(self)
        if not 0 <= place < len(self):
            raise IndexError(place)
        return self._open(place // BLOCK)[place % BLOCK]

    def __iter__(self) -> Iterator[T]:
        return self.after(0)

    def after(self, begin: int) -> Iterator[T]:
        """The values from place ``begin`` on; each block is opened once."""
        for number in range(begin // BLOCK, len(self._blocks) + 1):
            yield from islice(self._open(number), max(0, begin - number * BLOCK), None)


def _exact(value: Any) -> bool:
    """Whether JSON gives ``value`` back as it is: of these very types, not of their subclasses."""
    kind = type(value)
    if kind is list:
        return all(type(one) in _EXACT or _exact(one) for one in value)
    if kind is dict:
        return all(type(key) is str and (type(one) in _EXACT or _exact(one)) for key, one in value.items())
    return kind in _EXACT
