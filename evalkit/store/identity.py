"""The identity of a request: SHA-256 over everything that can change its answer.

A key is the hex SHA-256 of these bytes, in this order:

    b"evalkit/" + kind + b"/1\\n" + canonical JSON header + b"\\n" + body

``kind`` is ``score``, ``generate``, ``rolling`` or ``text``. The header holds the model's fingerprint and the settings
that matter to that kind; canonical JSON holds no raw newline, so header and body cannot run into each other. The body
is the token ids as little-endian int32, or the UTF-8 text (the header says which, and how long it is), or empty. Ids
are packed rather than written as JSON because a run hashes millions of prompts of hundreds of tokens.
"""

from __future__ import annotations

import hashlib
import json
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evalkit.contract.errors import UserError
from evalkit.contract.types import ONLY_IF_SET, Classify, Embed, Generate, Request, Rolling, Sampling, Score

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Tokens = Sequence[int] | npt.NDArray[np.integer[Any]]

_INT32 = "i" if array("i").itemsize == 4 else "l"


def _plain(value: Any) -> Any:
    """JSON's own types for what is not of them; the encoder calls it for nothing else."""
    if is_dataclass(value) and not isinstance(value, type):
        found = ((f, getattr(value, f.name)) for f in fields(value))
        return {f.name: one for f, one in found if one or not f.metadata.get(ONLY_IF_SET)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical JSON")


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_plain
).encode


def canonical(obj: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, UTF-8; equal values give equal bytes.

    Text that UTF-8 cannot hold (lone surrogates) makes the whole value ASCII with escapes, which no other value
    gives. Raises UserError for NaN and infinities, TypeError for what JSON cannot hold.
    """
    try:
        text = _encode(obj)
    except ValueError as error:
        raise UserError(f"NaN or infinity (or a value that contains itself) has no identity: {error}") from None
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(obj, sort_keys=True, separators=(",", ":"), default=_plain).encode()


def without_bytes(value: Any) -> Any:
    """``value`` with the SHA-256 of bytes (a picture's) in place of them; the same object where there are none."""
    if isinstance(value, bytes):
        return {"sha256": hashlib.sha256(value).hexdigest()}
    if isinstance(value, Mapping):
        found = {key: without_bytes(one) for key, one in value.items()}
        return found if any(found[key] is not one for key, one in value.items()) else value
    if isinstance(value, list | tuple):
        parts = [without_bytes(one) for one in value]
        return parts if any(one is not part for one, part in zip(value, parts, strict=True)) else value
    return value


def digest(obj: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of ``obj``."""
    return hashlib.sha256(canonical(obj)).hexdigest()


def pack(tokens: Tokens) -> bytes:
    """Token ids as little-endian int32. Raises OverflowError for an id that needs more."""
    if not isinstance(tokens, Sequence):  # a numpy array: iterating it would be slow
        return tokens.astype("<i4", copy=False).tobytes()
    packed = array(_INT32, tokens)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


@lru_cache(maxsize=64)
def _score_prefix(fingerprint: str) -> Any:
    return hashlib.sha256(b'evalkit/score/1\n{"fingerprint":' + canonical(fingerprint))


def score_key(fingerprint: str, tokens: Tokens, start: int) -> str:
    """Key of a log-likelihood of ``tokens[start:]`` given ``tokens[:start]``.

    Header: ``{"fingerprint":...,"n":len(tokens),"start":start}``; body: the ids.
    """
    state = _score_prefix(fingerprint).copy()
    state.update(b',"n":%d,"start":%d}\n' % (len(tokens), start))
    state.update(pack(tokens))
    return state.hexdigest()


def _key(kind: str, header: Mapping[str, Any], content: Tokens | str | None) -> str:
    body = b""
    if content is not None:
        is_text = isinstance(content, str)
        body = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else pack(content)
        header = {**header, "body": "text" if is_text else "tokens", "n": len(body)}
    return hashlib.sha256(b"evalkit/%s/1\n%s\n%s" % (kind.encode(), canonical(header), body)).hexdigest()


def is_greedy(sampling: Sampling) -> bool:
    """Whether these settings choose tokens without chance (temperature 0 and no backend setting that samples)."""
    extra = dict(sampling.extra)
    return sampling.temperature <= 0 and not extra.get("do_sample") and not extra.get("temperature")


def _sampling(sampling: Sampling, repeat: int) -> dict[str, Any]:
    # Numbers as floats: a temperature of 1 and of 1.0 are one setting.
    extra = [list(pair) for pair in sorted(sampling.extra, key=lambda pair: pair[0])]
    if is_greedy(sampling):
        return {"greedy": True, "extra": extra}
    return {
        "greedy": False,
        "temperature": float(sampling.temperature),
        "top_p": float(sampling.top_p),
        "top_k": int(sampling.top_k),
        "seed": sampling.seed,
        "repeat": repeat,
        "extra": extra,
    }


def generate_key(
    fingerprint: str,
    tokens_or_text: Tokens | str,
    until: Sequence[str],
    max_tokens: int,
    sampling: Sampling,
    repeat: int = 0,
) -> str:
    """Key of a generation. Greedy: seed and ``repeat`` are left out, for they change nothing; sampled: both count."""
    header = {
        "fingerprint": fingerprint,
        "until": list(until),
        "max_tokens": max_tokens,
        "sampling": _sampling(sampling, repeat),
    }
    return _key("generate", header, tokens_or_text)


def rolling_key(
    fingerprint: str, tokens_or_text: Tokens | str, window: int | None = None, prefix: int | None = None
) -> str:
    """Key of a whole text's log-likelihood in disjoint windows of ``window`` tokens, the first after ``prefix``."""
    return _key("rolling", {"fingerprint": fingerprint, "window": window, "prefix": prefix}, tokens_or_text)


def text_key(fingerprint: str, request: Request) -> str:
    """Key of a request to a backend that takes whole requests (no token ids at hand)."""
    header: dict[str, Any] = {"fingerprint": fingerprint, "request": type(request).__name__.lower()}
    if isinstance(request, Rolling):
        return _key("text", header, request.text)
    messages = request.messages
    header["messages"] = None if messages is None else [[m.role, m.content] for m in messages]
    if messages is not None and any(m.images for m in messages):
        shown = ([[one.media_type, hashlib.sha256(one.data).hexdigest()] for one in m.images] for m in messages)
        header["images"] = list(shown)
    if messages is not None and any(m.tools for m in messages):
        header["tools"] = [list(m.tools) for m in messages]
    if isinstance(request, Classify):
        header["pair"], header["labels"] = request.pair, request.labels
        return _key("text", header, request.text)
    if isinstance(request, Embed):
        header["identity"] = request.identity
        return _key("text", header, request.context)
    if isinstance(request, Score):
        header["continuation"] = request.continuation
    elif isinstance(request, Generate):
        header["until"] = list(request.until)
        header["max_tokens"] = request.max_tokens
        header["sampling"] = _sampling(request.sampling, request.repeat)
    return _key("text", header, request.context)
