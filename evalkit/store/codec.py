"""How one answer lies on disk: bytes that prove by themselves that they are whole and belong to their key.

SQLite keeps no checksums of its pages, so a flipped bit in a row would be read as a different answer. Each row
therefore carries 8 bytes of BLAKE2b over key and response; a row that does not match is treated as not there. The
response begins with a magic and its length, so that `scan` finds whole rows in a file whose tables are gone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from mmap import mmap
from types import NoneType
from typing import get_args

from evalkit.contract.types import Response, Status, Usage

MAGIC = b"\x00EkR1\x00"
KEY_BYTES = 32
CHECK_BYTES = 8
_HEAD = len(MAGIC) + 4
_encode = json.JSONEncoder(ensure_ascii=False).encode
_WORDS = {None: "null", True: "true", False: "false"}


_TEXT, _COUNT = (str, NoneType), (int,)
_KINDS = (
    (str,),
    (float, int, NoneType),
    (bool, NoneType),
    _TEXT,
    _TEXT,
    _TEXT,
    _COUNT,
    _COUNT,
    _COUNT,
    _TEXT,
    (list,),
    (list,),
)
"""The types of a response's fields, in order; one that was written before a field was added has fewer."""
_PLAIN = _KINDS.index((list,))
_STATUSES = get_args(Status)


def key_bytes(key: str) -> bytes:
    """The 32 bytes of a hex SHA-256. Raises ValueError for anything else."""
    raw = bytes.fromhex(key)
    if len(raw) != KEY_BYTES:
        raise ValueError(f"a request's key is the hex of a SHA-256, not {key!r}")
    return raw


def pack(response: Response) -> bytes:
    """Magic, length (4 bytes, little-endian), and the fields as a JSON array; floats keep every bit.

    The array is put together here because a JSON encoder's set-up for each answer would be half the journal's cost.
    """
    number = response.loglikelihood
    body = (
        f"[{_text(response.status)},{'null' if number is None else repr(float(number))},{_WORDS[response.is_greedy]},"
        f"{_text(response.text)},{_text(response.error)},{_text(response.finish)},"
        f"{int(response.prompt_tokens)},{int(response.output_tokens)},{int(response.truncated)}"
        f"{_later(response)}]"
    )
    try:
        data = body.encode()
    except UnicodeEncodeError:  # lone surrogates: escaped
        data = json.dumps(json.loads(body)).encode()
    return b"".join((MAGIC, len(data).to_bytes(4, "little"), data))


def _later(response: Response) -> str:
    """The fields that came later and most responses lack."""
    thought = f",{_text(response.thought)}"
    values = f",[{','.join(repr(float(value)) for value in response.values)}]"
    if (usage := response.usage) is not None:
        cost = "null" if usage.cost is None else repr(float(usage.cost))
        return f"{thought}{values},[{int(usage.cached_tokens)},{int(usage.reasoning_tokens)},{cost}]"
    if response.values:
        return thought + values
    return "" if response.thought is None else thought


def _text(value: str | None) -> str:
    return "null" if value is None else _encode(value)


def check(key: bytes, packed: bytes) -> bytes:
    """The row's own proof."""
    return hashlib.blake2b(key + packed, digest_size=CHECK_BYTES).digest()


def unpack(key: bytes, proof: bytes, packed: bytes) -> Response | None:
    """The response, or None if the row is damaged or belongs to another key."""
    if not (isinstance(packed, bytes) and isinstance(proof, bytes)) or check(key, packed) != proof:
        return None
    try:
        return _response(json.loads(packed[_HEAD:]))
    except (ValueError, RecursionError):
        return None


def _response(fields: object) -> Response | None:
    """The response that the fields are; None where one is of another kind. The proof is no signature: anyone can write
    a row that matches it.
    """
    if not isinstance(fields, list) or not 0 < len(fields) <= len(_KINDS) or fields[0] not in _STATUSES:
        return None
    if any(type(value) not in kinds for value, kinds in zip(fields, _KINDS, strict=False)):
        return None
    plain, lists = fields[:_PLAIN], fields[_PLAIN:]
    if lists and not all(type(value) is float for value in lists[0]):
        return None
    found = [*plain, *(tuple(one) for one in lists[:1])]
    if len(lists) > 1:
        usage = lists[1]
        if len(usage) != 3 or not type(usage[0]) is type(usage[1]) is int or type(usage[2]) not in (float, NoneType):
            return None
        found.append(Usage(*usage))
    return Response(*found)


def scan(data: bytes | mmap) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(key, proof, packed) of every whole row found anywhere in ``data``.

    SQLite lays a row's columns side by side, and ours begin with key, proof and response; only a row longer than a
    page is split, and is not found this way.
    """
    at = data.find(MAGIC)
    while at >= 0:
        end = at + _HEAD + int.from_bytes(data[at + len(MAGIC) : at + _HEAD], "little")
        start = at - KEY_BYTES - CHECK_BYTES
        if start >= 0 and end <= len(data):
            key, proof, packed = data[start : start + KEY_BYTES], data[at - CHECK_BYTES : at], data[at:end]
            if check(key, packed) == proof:
                yield key, proof, packed
        at = data.find(MAGIC, at + 1)
