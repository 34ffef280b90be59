"""Untrusted text made safe to look at: on a terminal, in a page, in XML."""

from __future__ import annotations

_HIDDEN = frozenset(
    chr(code)
    for code in (
        *(code for code in range(0x20) if code not in (0x09, 0x0A)),
        *range(0x7F, 0xA0),
        *(0x00AD, 0x061C, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
        *range(0xD800, 0xE000),
    )
)
"""Controls (a terminal obeys them, XML forbids them), characters that reorder or hide their neighbours (Unicode
Technical Report 36), and lone surrogates (no file can hold them).
"""


def visible(text: str) -> str:
    """The text with control, reordering and hidden characters shown as code points; line breaks and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    plain = text.replace("\r\n", "\n")
    return "".join(f"⟨U+{ord(mark):04X}⟩" if mark in _HIDDEN else mark for mark in plain)
