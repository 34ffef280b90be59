"""The small languages inside settings: "a,b", "key=value,key=value", "50:random", "0,1234,1234,1234"."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.text.reading import parse_json


def words(text: str) -> list[str]:
    """ "a, b,,c" as ["a", "b", "c"]."""
    return [part.strip() for part in text.split(",") if part.strip()]


def key_values(flag: str, text: str) -> dict[str, Any]:
    """ "a=1,b=[1,2],c=x" or a JSON object as a mapping; values are Python literals where they read as one.

    Raises UserError that names the flag and the part that is no key=value.
    """
    if text.lstrip().startswith("{"):
        try:
            return dict(parse_json(text))
        except ValueError as error:
            raise UserError(f"{flag}: not valid JSON ({error}): write key=value,key=value or a JSON object") from None
    result = {}
    for part in _split(text):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            raise UserError(f"{flag}: {part[:60]!r} is not key=value: write {flag} key=value,key=value")
        result[key.strip()] = literal(value.strip())
    return result


def literal(text: str) -> Any:
    """A number, boolean, list or quoted string as Python reads it; else the text itself."""
    named = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in named:
        return named[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):  # as it is documented to raise
        return text


def _split(text: str) -> Iterable[str]:
    """Split at commas outside brackets and quotes."""
    start = depth = 0
    quote = ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "[({":
            depth += 1
        elif char in "])}":
            depth -= 1
        elif char == "," and depth <= 0:
            yield from filter(str.strip, [text[start:index]])
            start = index + 1
    yield from filter(str.strip, [text[start:]])


def limit(flag: str, text: str) -> tuple[float, bool]:
    """ "20", "0.1", "50:random" as (limit, random). Raises UserError for zero, negatives and broken counts."""
    number, _, mode = text.partition(":")
    hint = "write a count (20), a share below 1 (0.1), or either with :random (50:random)"
    if mode not in ("", "random"):
        raise UserError(f"{flag} {text}: {mode!r} is unknown after the colon: {hint}")
    try:
        value = float(number)
    except ValueError:
        raise UserError(f"{flag} {text}: not a number: {hint}") from None
    if not 0 < value < float("inf"):
        raise UserError(f"{flag} {text}: must be above 0: {hint}, or leave it out for all documents")
    if value > 1 and value != int(value):
        raise UserError(f"{flag} {text}: a count must be whole: {hint}")
    return value, mode == "random"


def seed(flag: str, text: str) -> int:
    """ "7", or lm_eval's four seeds "python,numpy,torch,fewshot", of which the last governs few-shot draws."""
    parts = words(text)
    if len(parts) == 3:  # lm_eval fills the missing few-shot seed with its default
        parts.append("1234")
    if len(parts) not in (1, 4):
        raise UserError(f"{flag} {text}: write one number, or four: python,numpy,torch,fewshot")
    if parts[-1].lower() == "none":
        raise UserError(f"{flag} {text}: the few-shot seed cannot be None, a run must be repeatable: give a number")
    try:
        return int(parts[-1])
    except ValueError:
        raise UserError(f"{flag} {text}: {parts[-1]!r} is not a whole number") from None


def batch_size(flag: str, text: str) -> int | str:
    """A number, or "auto" (lm_eval's "auto:4" means the same: our planner needs no second try)."""
    if text.partition(":")[0] == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise UserError(f"{flag} {text}: write a positive number or auto") from None


class Several(dict[str, Any]):
    """What a reader gives where one text stands for several settings."""


def limit_settings(flag: str, text: str) -> Several:
    """ "20", "0.1", "50:random" as the settings limit and, where it says so, limit_random."""
    value, random = limit(flag, text)
    return Several({"limit": value, **({"limit_random": True} if random else {})})


def chosen_samples(flag: str, text: str) -> dict[str, list[Any]]:
    """Documents by task: JSON text, or a file of it, or a .jsonl of {"task", "doc_id" or "doc_hash"}. UserError for
    what is none of these.
    """
    hint = 'write {"boolq": [0, 5]}, or lines of {"task": "boolq", "doc_id": 0}'
    try:
        if not text.lstrip().startswith("{"):
            path = Path(text)
            content = path.read_text("utf-8")
            if path.suffix in (".jsonl", ".ndjson"):
                return _by_task(flag, [parse_json(line) for line in content.splitlines() if line.strip()], hint)
            text = content
        found = parse_json(text)
    except OSError as error:
        raise UserError(f"{flag} {text}: cannot be read: {error.strerror or error}: {hint}") from None
    except ValueError as error:
        raise UserError(f"{flag}: not valid JSON ({error}): {hint}") from None
    if not isinstance(found, dict) or not all(isinstance(one, list) and one for one in found.values()):
        raise UserError(f"{flag}: must be lists by task: {hint}")
    return found


def _by_task(flag: str, rows: list[Any], hint: str) -> dict[str, list[Any]]:
    chosen: dict[str, list[Any]] = {}
    for number, row in enumerate(rows, 1):
        which = row.get("doc_hash") or row.get("doc_id") if isinstance(row, dict) else None
        which = row.get("doc_id") if which is None and isinstance(row, dict) else which
        if which is None or not isinstance(row.get("task"), str):
            raise UserError(f"{flag}: row {number} names no task with a doc_id or doc_hash: {hint}")
        chosen.setdefault(row["task"], []).append(which)
    return chosen


def template(flag: str, text: str) -> bool | str:
    """The words "true" and "false" as booleans; anything else is a template's name."""
    return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)


def listed(flag: str, text: str) -> list[str]:
    """ "a,b" as a list."""
    return words(text)


def single(flag: str, text: str) -> list[str]:
    """One text as a list of it."""
    return [text]
