"""The documents of a split with very many rows: made as they are looked at, from rows that are packed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

from evalkit.contract.errors import UserError
from evalkit.contract.types import Document
from evalkit.store.packed import HELD, Packed
from evalkit.task.rendering import Item, Rendered, Row, row_hash

Render = Callable[[Row, int], Item]


def documents_of(rows: Sequence[Row], render: Render) -> Sequence[Document]:
    """A document for each row; ``render`` makes a row's item."""
    kept: dict[int, Item] = {}
    if len(rows) <= HELD:
        return tuple(
            Document(index, row, row_hash(row), Rendered(render, row, index, kept)) for index, row in enumerate(rows)
        )
    hashes = bytearray()

    def hashed() -> Iterator[Row]:
        for row in rows:
            hashes.extend(bytes.fromhex(row_hash(row)))
            yield row

    return LongDocuments(Packed(hashed()), hashes, render, kept, range(len(rows)))


def gathered(rows: Iterable[Row], by: str, where: str) -> list[Row]:
    """One row for all that have the field ``by`` in common, in the order of their first; its other fields are the lists
    of theirs, and a list in a row counts as several values. UserError (with ``where``) for a row without the field.
    """
    found: dict[Any, dict[str, Any]] = {}
    for place, row in enumerate(rows):
        if by not in row:
            raise UserError(
                f"{where}, row {place + 1}: the field {by!r} is missing, by which dataset.gather joins rows"
            )
        whole = found.setdefault(str(row[by]), {by: row[by]})
        for name, value in row.items():
            if name != by:
                whole.setdefault(name, []).extend(value if isinstance(value, list) else [value])
    return list(found.values())


class LongDocuments(Sequence[Document]):
    """The documents at ``places`` of ``rows``. ``hashes`` has 32 bytes a row."""

    def __init__(
        self, rows: Packed[Row], hashes: bytearray, render: Render, kept: dict[int, Item], places: range
    ) -> None:
        self._rows, self._hashes, self._render, self._kept = rows, hashes, render, kept
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Document: ...
    @overload
    def __getitem__(self, place: slice) -> LongDocuments: ...
    def __getitem__(self, place: int | slice) -> Document | LongDocuments:
        if isinstance(place, slice):
            return LongDocuments(self._rows, self._hashes, self._render, self._kept, self._places[place])
        index = self._places[place]
        return self._made(index, self._rows[index])

    def __iter__(self) -> Iterator[Document]:
        rows: Iterable[Row] = (self._rows[index] for index in self._places)
        if self._places.step == 1:
            rows = self._rows.after(self._places.start)
        return (self._made(index, row) for index, row in zip(self._places, rows, strict=False))

    def _made(self, index: int, row: Row) -> Document:
        digest = self._hashes[32 * index : 32 * (index + 1)].hex()
        return Document(index, row, digest, Rendered(self._render, row, index, self._kept))
