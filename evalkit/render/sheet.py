"""Tables for a terminal of any width: numbers stay whole, names part at their joints, prose between words.

Where even the narrowest columns do not fit side by side, those that can be spared go, one after the other; where the
rest does not fit either, each row is written as lines of its own, "column: value".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.table import Table
    from rich.text import Text

MOST = 8
"""Parts of one group that are listed below it; of more, the group's line speaks."""

Kind = Literal["whole", "name", "prose", "line"]

EASY = 18
"""A narrower column of texts is hard to read: columns that can be spared go first."""
LINE = 24
"""The narrowest that a line is cut to."""

_JOINTS = re.compile(r"(?<=[_,/:|+@=-])|(?<=\s)")
_SPACES = re.compile(r"(?<=\s)")


def plain(value: object) -> Text:
    """Text without markup, control characters or direction overrides, whatever it holds."""
    from rich.text import Text

    clean = (
        char if unicodedata.category(char) not in ("Cc", "Cf", "Cs") else "\N{REPLACEMENT CHARACTER}"
        for char in str(value)
    )
    return Text("".join(clean))


@dataclass(frozen=True, slots=True)
class Column:
    """A column: ``whole`` cells (numbers, dates) are never parted, a ``line`` is cut where it does not fit and ends in
    an ellipsis then; ``spare``: above 0 a narrow terminal goes without it, the largest first."""

    title: str
    kind: Kind = "prose"
    right: bool = False
    spare: int = 0


@dataclass(slots=True)
class Sheet:
    """Rows of cells below column titles; renders itself on a rich console as wide as that is."""

    columns: Sequence[Column]
    title: str | None = None
    lines: list[tuple[tuple[str, ...], str, Mapping[int, str]] | None] = field(default_factory=list)
    """A row's cells, its style and that of single cells; None: a rule."""

    def row(self, *cells: object, style: str = "", styles: Mapping[int, str] = MappingProxyType({})) -> None:
        """Add a row; a cell's control characters are shown as replaced. ``styles``: of single cells, by their place."""
        self.lines.append((tuple(plain(cell).plain for cell in cells), style, styles))

    def rule(self) -> None:
        """Add a line between the rows before and behind it."""
        self.lines.append(None)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The table, or blocks of lines where it does not fit."""
        kept = list(range(len(self.columns)))
        while not self._easy(kept, widths := self._widths(kept, options.max_width)):
            spare = [index for index in kept if self.columns[index].spare]
            if not spare:
                break
            kept.remove(max(spare, key=lambda index: self.columns[index].spare))
        if widths is None:
            yield from self._blocks()
        else:
            yield self._table(kept, widths)

    def _cells(self) -> list[tuple[str, ...]]:
        return [line[0] for line in self.lines if line is not None]

    def _easy(self, kept: Sequence[int], widths: Sequence[int] | None) -> bool:
        """Whether no text is parted into pieces that are hard to read."""
        if widths is None:
            return False
        natural = [max(_length(text) for text in (self.columns[at].title, *self._texts(at))) for at in kept]
        return all(width >= min(EASY, whole) for width, whole in zip(widths, natural, strict=True))

    def _texts(self, index: int) -> list[str]:
        return [cells[index] for cells in self._cells()]

    def _widths(self, kept: Sequence[int], available: int) -> list[int] | None:
        """Each kept column's width: the widest that may be parted give way together, none below its longest piece."""
        least, natural = [], []
        for index in kept:
            column = self.columns[index]
            texts = self._texts(index)
            natural.append(max(map(_length, [column.title, *texts])))
            if column.kind == "line":
                least.append(min(natural[-1], LINE))
                continue
            pieces = [piece for text in texts for piece in _pieces(text, column.kind)] + column.title.split(" ")
            least.append(max((_length(piece.rstrip()) for piece in pieces), default=0))
        room = available - 2 * len(kept)
        if sum(least) > room:
            return None
        cap = max(natural, default=0)
        while sum(widths := [max(low, min(high, cap)) for low, high in zip(least, natural, strict=True)]) > room:
            cap -= 1
        return widths

    def _table(self, kept: Sequence[int], widths: Sequence[int]) -> Table:
        from rich import box
        from rich.table import Table

        table = Table(
            box=box.SIMPLE_HEAD,
            title=plain(self.title) if self.title else None,
            title_justify="left",
            pad_edge=False,
            collapse_padding=True,
        )
        columns = [self.columns[index] for index in kept]
        for column, width in zip(columns, widths, strict=True):
            title = "\n".join(_wrapped(column.title, "prose", width))
            table.add_column(
                title, justify="right" if column.right else "left", width=width, no_wrap=True, overflow="fold"
            )
        for line in self.lines:
            if line is None:
                table.add_section()
                continue
            cells, style, own = line
            parted = zip(kept, columns, widths, strict=True)
            table.add_row(
                *(_lines(_wrapped(cells[at], one.kind, width), own.get(at, "")) for at, one, width in parted),
                style=style,
            )
        return table

    def _blocks(self) -> Iterator[Text]:
        if self.title:
            yield plain(self.title)
        first = ""
        for cells in self._cells():
            first = cells[0] or first  # which a table says once for the rows below
            yield plain("")
            for column, text in zip(self.columns, (first, *cells[1:]), strict=True):
                if text := text.strip():
                    yield plain(f"{column.title}: {text}" if column.title else text)


def _lines(parts: Sequence[str], style: str) -> Text:
    from rich.text import Text

    return Text("\n".join(parts), style=style)


def _length(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def _pieces(text: str, kind: Kind) -> list[str]:
    """What a cell may be parted into."""
    if kind == "whole":
        return [text]
    return (_JOINTS if kind == "name" else _SPACES).split(text)


def _wrapped(text: str, kind: Kind, width: int) -> list[str]:
    """The cell's lines; continued names are indented as their first line is."""
    if kind == "line":
        return [_cut(text, width)]
    indent = " " * (len(text) - len(text.lstrip()))
    lines, now = [], ""
    for piece in _pieces(text, kind):
        if now.strip() and _length((now + piece).rstrip()) > width:
            lines.append(now.rstrip())
            now = indent if _length(indent + piece.strip()) <= width else ""
        now += piece
    return [*lines, now.rstrip()]


def _cut(text: str, width: int) -> str:
    """The text's words that fit, and an ellipsis where some do not."""
    if _length(text) <= width:
        return text
    kept = ""
    for piece in _SPACES.split(text):
        if _length(kept + piece.rstrip()) > width - 1:
            break
        kept += piece
    return kept.rstrip(" ,;:.(") + "…"
