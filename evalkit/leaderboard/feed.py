"""An Atom feed (RFC 4287) of a board's newest entries."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as xml

from evalkit.leaderboard.rows import value_text
from evalkit.leaderboard.table import Table
from evalkit.text.escape import visible

NAMESPACE = "http://www.w3.org/2005/Atom"
NEWEST = 50


def feed(table: Table, url: str) -> str:
    """The feed as text. ``url``: where the site will stand, or "" (links are then relative)."""
    xml.register_namespace("", NAMESPACE)
    board = table.board
    root = xml.Element(_tag("feed"))
    _add(root, "title", f"{board.title}: new entries")
    _add(root, "id", f"urn:evalkit:board:{board.name}")
    xml.SubElement(root, _tag("link"), rel="alternate", href=url or "index.html")
    if url:
        xml.SubElement(root, _tag("link"), rel="self", href=f"{url}feed.atom")
    _add(xml.SubElement(root, _tag("author")), "name", "evalkit leaderboard")
    measured = [row for row in table.rows if row.status != "published" and row.entry.date]
    measured.sort(key=lambda row: (row.entry.date, row.key), reverse=True)
    _add(root, "updated", _stamp(measured[0].entry.date if measured else ""))
    for row in measured[:NEWEST]:
        item = xml.SubElement(root, _tag("entry"))
        _add(item, "title", row.entry.model.name)
        _add(item, "id", f"urn:evalkit:entry:{row.entry.id}")
        _add(item, "updated", _stamp(row.entry.date))
        xml.SubElement(item, _tag("link"), rel="alternate", href=f"{url}models/{row.key}.html")
        values = [f"{c.title} {value_text(cell)}" for c, cell in zip(board.columns, row.cells, strict=True) if cell]
        _add(item, "summary", (f"Rank {row.rank}. " if row.rank else "") + ", ".join(values))
    xml.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + xml.tostring(root, encoding="unicode") + "\n"


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _add(parent: xml.Element, name: str, text: str) -> None:
    xml.SubElement(parent, _tag(name)).text = visible(text)


def _stamp(date: str) -> str:
    """RFC 3339, which Atom asks for; a date that is known less exactly is the start of its year, month or day."""
    padded = date if len(date) >= 10 else (date or "1970") + "-01-01"[len(date or "1970") - 4 :]
    try:
        moment = datetime.fromisoformat(padded)
    except ValueError:
        moment = datetime(1970, 1, 1, tzinfo=UTC)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
