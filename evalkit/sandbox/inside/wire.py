"""How a program under test and the process that tests it speak: values as JSON, with marks for what JSON lacks.

Values are rebuilt as plain ones of the built-in types, so that an object whose ``==`` always says yes arrives as a
handle that equals nothing. Nothing that arrives is run.
"""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Callable
from typing import Any

LONGEST = 1 << 26
"""Bytes of a message."""
Keep = Callable[[Any], Any]
"""Makes a mark of an object that cannot cross as a value, or raises TypeError."""


class Ended(BaseException):
    """The other side is gone, or speaks nonsense."""


class Channel:
    """Messages over two file descriptors: four bytes of length, then JSON."""

    def __init__(self, reading: int, writing: int, keep: Keep, found: Keep) -> None:
        self._reading, self._writing, self._keep, self._found = reading, writing, keep, found

    @classmethod
    def of_standard(cls, keep: Keep, found: Keep) -> Channel:
        """Over standard input and output, which from now on are empty for everybody else."""
        channel = cls(os.dup(0), os.dup(1), keep, found)
        nothing = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        return channel

    def send(self, message: Any) -> None:
        digits = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)
        try:
            text = json.dumps(encode(message, self._keep)).encode()
        finally:
            sys.set_int_max_str_digits(digits)
        if len(text) > LONGEST:
            raise ValueError(f"a value of {len(text)} bytes is too large")
        left = memoryview(len(text).to_bytes(4, "big") + text)
        try:
            while left:
                left = left[os.write(self._writing, left) :]
        except OSError:
            raise Ended from None

    def receive(self) -> Any:
        length = int.from_bytes(self._read(4), "big")
        if length > LONGEST:
            raise Ended
        text = self._read(length)
        digits = sys.get_int_max_str_digits()
        sys.set_int_max_str_digits(0)
        try:
            return decode(json.loads(text), self._found)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Ended from None
        finally:
            sys.set_int_max_str_digits(digits)

    def _read(self, count: int) -> bytes:
        parts, left = [], count
        while left:
            part = os.read(self._reading, min(left, 1 << 20))
            if not part:
                raise Ended
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def encode(value: Any, keep: Keep) -> Any:
    """A value as JSON has it: lists and plain values as they are, everything else an object with one key."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, list):
        return [encode(one, keep) for one in value]
    if isinstance(value, tuple):
        return {"t": [encode(one, keep) for one in value]}
    if isinstance(value, dict):
        kind = "o" if type(value).__name__ == "OrderedDict" else "d"
        return {kind: [[encode(key, keep), encode(one, keep)] for key, one in value.items()]}
    if isinstance(value, set | frozenset):
        return {"s" if isinstance(value, set) else "f": [encode(one, keep) for one in value]}
    if isinstance(value, bytes | bytearray):
        return {"b": value.hex()}
    if isinstance(value, complex):
        return {"c": [value.real, value.imag]}
    if isinstance(value, range):
        return {"r": [value.start, value.stop, value.step]}
    for base in (int, float, str):
        if isinstance(value, base):
            return base(value) if type(base(value)) is base else base.__str__(value)
    return _rare(value, keep)


def _rare(value: Any, keep: Keep) -> Any:
    kind = type(value)
    name = getattr(value, "__name__", "") if isinstance(value, type) else ""
    if name and getattr(builtins, name, None) is value:
        return {"y": name}
    if kind.__module__ == "numpy" and hasattr(value, "tolist"):
        if not getattr(value, "ndim", 0):
            return encode(value.tolist(), keep)
        return {"a": [str(value.dtype), encode(value.tolist(), keep)]}
    if kind.__module__ == "collections" and kind.__name__ == "deque":
        return {"q": [encode(one, keep) for one in value]}
    if kind.__module__ in ("decimal", "fractions") and kind.__name__ in ("Decimal", "Fraction"):
        return {"n": [kind.__name__, str(value)]}
    if kind.__module__ == "datetime" and kind.__name__ in ("date", "datetime", "time"):
        return {"T": [kind.__name__, value.isoformat()]}
    return keep(value)


def decode(value: Any, found: Keep) -> Any:
    """The value that `encode` wrote; ValueError, KeyError or TypeError for anything else."""
    if isinstance(value, list):
        return [decode(one, found) for one in value]
    if not isinstance(value, dict):
        return value
    ((mark, inner),) = value.items()
    if mark in ("d", "o"):
        pairs = [(decode(key, found), decode(one, found)) for key, one in inner]
        if mark == "d":
            return dict(pairs)
        from collections import OrderedDict

        return OrderedDict(pairs)
    if mark in "tsfq" and len(mark) == 1:
        parts = [decode(one, found) for one in inner]
        if mark == "q":
            from collections import deque

            return deque(parts)
        return {"t": tuple, "s": set, "f": frozenset}[mark](parts)
    if mark == "b":
        return bytes.fromhex(inner)
    if mark == "c":
        return complex(*inner)
    if mark == "r":
        return range(*inner)
    return _rarely(mark, inner, found)


def _rarely(mark: str, inner: Any, found: Keep) -> Any:
    if mark == "n":
        from decimal import Decimal
        from fractions import Fraction

        return {"Decimal": Decimal, "Fraction": Fraction}[inner[0]](inner[1])
    if mark == "T":
        import datetime

        kinds: dict[str, Any] = {"date": datetime.date, "datetime": datetime.datetime, "time": datetime.time}
        return kinds[inner[0]].fromisoformat(inner[1])
    if mark == "y":
        named = getattr(builtins, inner)
        return named if isinstance(named, type) else None
    if mark == "a":
        listed = decode(inner[1], found)
        try:
            import numpy
        except ImportError:
            return listed
        return numpy.array(listed, dtype=numpy.dtype(inner[0])) if numpy.dtype(inner[0]).kind in "biufcSU" else listed
    return found({mark: inner})
