"""Queries as texts: found in a reply, taken apart into tokens, and changed as the official scripts change them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, combinations

_TOKEN = re.compile(
    r"""(?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    |(?P<quoted>'(?:[^']|'')*(?:'|\Z)|"(?:[^"]|"")*(?:"|\Z)|`[^`]*(?:`|\Z)|\[[^\]\n]*\])
    |(?P<word>\w+)
    |(?P<space>\s+)
    |(?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)
_FENCE = re.compile(r"```[ \t]*\w*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_BEGIN = re.compile(r"^[ \t]*(?:select|with)\b", re.IGNORECASE | re.MULTILINE)
_ANYWHERE = re.compile(r"\b(?:select|with)\b", re.IGNORECASE)
_YEAR = re.compile(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", re.IGNORECASE)
_SPACED = (("> =", ">="), ("< =", "<="), ("! =", "!="))


def tokens(query: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of each token: "comment", "quoted" (texts and names in quotes), "word", "space", "sign"."""
    for found in _TOKEN.finditer(query):
        yield str(found.lastgroup), found[0]


def query_of(reply: str) -> str:
    """The query in a reply: of the first fenced block, else from the first line that begins with SELECT or WITH (else
    from the first such word) up to a blank line or a new fence; its first statement. Without any, the reply itself.
    """
    fenced = _FENCE.search(reply)
    text = fenced[1] if fenced is not None else reply
    begin = _BEGIN.search(text) or _ANYWHERE.search(text)
    if begin is not None:
        text = text[begin.start() :]
    if fenced is None:
        text = re.split(r"\n\s*\n|```", text.strip(), maxsplit=1)[0]
    return statement(text)


def statement(text: str) -> str:
    """The first statement of a text, without the semicolon."""
    kept = []
    for kind, token in tokens(text):
        if kind == "sign" and token == ";":
            break
        kept.append(token)
    return "".join(kept).strip()


def spiders(query: str) -> str:
    """A query as taoyds/test-suite-sql-eval runs it: operators closed up, without DISTINCT, its clock in 2020."""
    for apart, together in _SPACED:
        query = query.replace(apart, together)
    bare = "".join(token for kind, token in tokens(query) if kind != "word" or token.lower() != "distinct")
    return _YEAR.sub("2020", bare)


def alternatives(gold: str) -> list[str]:
    """defog-ai/sql-eval's gold queries: several, separated by semicolons; of "SELECT {a, b}" one for each choice of the
    columns in braces, which "GROUP BY {}" repeats.
    """
    found = []
    for one in filter(None, (part.strip() for part in gold.split(";"))):
        begin = one.find("{")
        end = one.find("}", begin + 1)
        if begin < 0 or end < 0:
            found.append(one)
            continue
        columns = one[begin + 1 : end].split(",")
        choices = chain.from_iterable(combinations(columns, size) for size in range(1, len(columns) + 1))
        for chosen in choices:
            shown = ", ".join(chosen)
            found.append(one[:begin] + shown + one[end + 1 :].replace("GROUP BY {}", f"GROUP BY {shown}"))
    return found
