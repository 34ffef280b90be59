"""Token ids of a batch of requests, and a folder that keeps them: the second run of the same prompts does not
tokenise them again.

What is kept depends on the texts and the tokenizer alone: the context window and what happens to long prompts are
applied afterwards, so that they need not be part of the key. A kept file is never an answer: one that is missing,
damaged or of another key costs time and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evalkit.contract.backend import Tokens
from evalkit.contract.errors import UserError
from evalkit.contract.types import Generate, Request, Rolling, Score
from evalkit.store import kept
from evalkit.store.files import replacing
from evalkit.store.identity import canonical

WORTH_CHARACTERS = 200_000
"""Fewer are tokenised in less time than it takes to keep them."""


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Rows of token ids of different lengths: row i is ``tokens[offsets[i]:offsets[i + 1]]``."""

    tokens: Tokens
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> Ragged:
        """The rows, one behind the other."""
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(np.fromiter(chain.from_iterable(rows), np.int32, int(offsets[-1])), offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, place: int) -> Tokens:
        return self.tokens[self.offsets[place] : self.offsets[place + 1]]


@dataclass(frozen=True, slots=True, eq=False)
class Encodings:
    """Request i is ``heads[head_of[i]]`` (its context, prompt or text), then ``tails[i]`` (its continuation, empty for
    a request without one). A context that several requests share is there once.
    """

    heads: Ragged
    head_of: npt.NDArray[np.int32]
    tails: Ragged

    def head(self, place: int) -> Tokens:
        """Context of request ``place``."""
        return self.heads[self.head_of[place]]

    def tail(self, place: int) -> Tokens:
        """Continuation of request ``place``."""
        return self.tails[place]


class EncodingCache:
    """Encodings in ``folder``, one file a batch, named by a hash over ``identity`` (of tokenizer, its settings and the
    rules by which requests become ids: plain JSON values) and the batch's texts.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], limit: int = kept.LIMIT) -> None:
        self._folder = folder
        self._head = b"evalkit/encodings/1\n" + canonical(identity) + b"\n"
        self._limit = limit

    def through(self, requests: Sequence[Request], make: Callable[[], Encodings]) -> Encodings:
        """The kept encodings of ``requests``, or those that ``make`` gives, which are then kept."""
        if sum(map(_characters, requests)) < WORTH_CHARACTERS:
            return make()
        file = self._folder / f"{self.key(requests)}.npz"
        found = _read(file, len(requests))
        if found is not None:
            return found
        made = make()
        with suppress(UserError):  # a full or read-only disk costs time, not correctness
            self._keep(file, made)
        return made

    def key(self, requests: Iterable[Request]) -> str:
        """SHA-256 (hex) over the identity and what of ``requests`` becomes token ids, in order.

        Each text goes in once, after its length; where it comes again its number stands for it.
        """
        state = hashlib.sha256(self._head)
        numbers: dict[str, int] = {}
        for request in requests:
            state.update(type(request).__name__.encode())
            for text in _texts(request):
                if (number := numbers.get(text)) is not None:
                    state.update(b"#%d;" % number)
                    continue
                numbers[text] = len(numbers)
                raw = text.encode("utf-8", "surrogatepass")
                state.update(b":%d;" % len(raw))
                state.update(raw)
        return state.hexdigest()

    def _keep(self, file: Path, made: Encodings) -> None:
        with replacing(file) as temporary, temporary.open("wb") as out:
            np.savez(
                out,
                heads=_narrow(made.heads.tokens),
                head_offsets=made.heads.offsets,
                head_of=made.head_of,
                tails=_narrow(made.tails.tokens),
                tail_offsets=made.tails.offsets,
            )
        kept.shrink([self._folder], self._limit)


def _read(file: Path, requests: int) -> Encodings | None:
    """The encodings in ``file``; None where there are none. A file that cannot be read is removed."""
    try:
        with np.load(file, allow_pickle=False) as parts:
            heads = Ragged(parts["heads"].astype(np.int32), parts["head_offsets"])
            found = Encodings(heads, parts["head_of"], Ragged(parts["tails"].astype(np.int32), parts["tail_offsets"]))
        if not _is_whole(found, requests):
            raise ValueError("its parts do not fit each other")
    except FileNotFoundError:
        return None
    except Exception:  # numpy, zipfile and zlib each have their own for a damaged file
        with suppress(OSError):
            file.unlink()
        return None
    kept.used(file)
    return found


def _is_whole(found: Encodings, requests: int) -> bool:
    for part in (found.heads, found.tails):
        ends = part.offsets
        if ends.ndim != 1 or len(ends) < 1 or ends[0] != 0 or ends[-1] != len(part.tokens) or (np.diff(ends) < 0).any():
            return False
    places = found.head_of
    inside = len(places) == 0 or (int(places.min()) >= 0 and int(places.max()) < len(found.heads))
    return len(found.tails) == len(places) == requests and inside


def _narrow(tokens: Tokens) -> npt.NDArray[Any]:
    """Two bytes a token where the vocabulary allows it."""
    return tokens.astype(np.uint16) if len(tokens) and tokens.min() >= 0 and tokens.max() < 1 << 16 else tokens


def _texts(request: Request) -> tuple[str, ...]:
    if isinstance(request, Score):
        return (request.context, request.continuation)
    if isinstance(request, Generate):
        return (request.context,)
    assert isinstance(request, Rolling)
    return (request.text,)


def _characters(request: Request) -> int:
    return sum(map(len, _texts(request)))
