"""Untrusted text inside Markdown tables and code blocks."""

from __future__ import annotations

from evalkit.text.escape import visible

_BACKSLASHED = frozenset("\\`*_[]{}~|!")
_REFERENCES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "@": "&#64;"}


def inline(value: object) -> str:
    """One line that no Markdown reader takes for markup, a link, HTML or the end of a table cell."""
    text = " ".join(visible(str(value)).split())
    escaped = "".join("\\" + mark if mark in _BACKSLASHED else _REFERENCES.get(mark, mark) for mark in text)
    # GitHub turns bare addresses into links; a character reference in them prevents it.
    return escaped.replace("://", "&#58;//").replace("www.", "www&#46;")


def code_block(value: object) -> str:
    """A fenced block whose fence is longer than any run of backticks inside."""
    text = visible(str(value)).replace("\r", "")
    longest = current = 0
    for mark in text:
        current = current + 1 if mark == "`" else 0
        longest = max(longest, current)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
