"""Encoding long prompts piece by piece, each distinct piece once.

A run encodes the same few-shot examples thousands of times. A text may be cut between a letter or digit and a line
break without changing its encoding if no token of the vocabulary spans such a place: every tokenizer that builds
tokens by merging neighbours (BPE) or chooses a segmentation into vocabulary items (Unigram) then works on both sides
apart. Whether a tokenizer is of that kind is decided by its vocabulary and tried out on texts made to break it; one
that is not (for example because it puts a space before every text) encodes whole texts as always.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

Encode = Callable[[Sequence[str], "bool | None"], list[list[int]]]

CUT = re.compile(r"(?<=[A-Za-z0-9])(?=\n)")
SPANNING = re.compile(r"[A-Za-z0-9](\n|Ċ|<0x0A>)")
"""A token that spans a cut, written as text or in the byte-level alphabet."""

LONGEST_MEMORY = 200_000
"""Distinct pieces remembered; the memory is emptied when it is full."""

TRIALS = (
    "A\nB",
    "The quick brown fox\n\nQuestion: who?\nA. one\nB. two  \n C. three\r\nAnswer: 4\n",
    " leading space\n\ttab\n\n\n  many\nCafé 北京\nnaïve 😀\nx1\n\n\n\n9 8\n\x0bodd\n'll\n's end",
    "a\n" * 7 + "b\n\n" * 5 + "def f(x):\n    return x\n\n\nclass A:\n        pass",
    "Ends with a break\n",
)


class PieceEncoder:
    """Encodes texts through ``encode``, by pieces where that is exact."""

    def __init__(self, tokenizer: Any, encode: Encode) -> None:
        self._encode = encode
        self._known: dict[str, list[int]] = {}
        self.exact = self._is_exact(tokenizer)

    def __call__(self, texts: Sequence[str], special: bool | None) -> list[list[int]]:
        """Token ids of each text, equal to ``encode(texts, special)``."""
        if not self.exact:
            return self._encode(texts, special)
        cut = [CUT.split(text) for text in texts]
        if len(self._known) > LONGEST_MEMORY:
            self._known.clear()
        new = [piece for piece in dict.fromkeys(chain.from_iterable(cut)) if piece not in self._known]
        if new:
            self._known.update(zip(new, self._encode(new, False), strict=True))
        front, back = self._frame(special)
        return [[*front, *chain.from_iterable(map(self._known.__getitem__, pieces)), *back] for pieces in cut]

    def _frame(self, special: bool | None) -> tuple[list[int], list[int]]:
        """The special tokens before and after a text."""
        bare, framed = self._encode(["x"], False)[0], self._encode(["x"], special)[0]
        at = next((i for i in range(len(framed)) if framed[i : i + len(bare)] == bare), None)
        if at is None:
            raise ValueError("special tokens are not a frame around the text")
        return framed[:at], framed[at + len(bare) :]

    def _is_exact(self, tokenizer: Any) -> bool:
        if not getattr(tokenizer, "is_fast", False):
            return False
        if any(SPANNING.search(token) for token in tokenizer.get_vocab()):
            return False
        self.exact = True
        try:
            return all(self(TRIALS, special) == self._encode(TRIALS, special) for special in (None, True, False))
        except ValueError:
            return False
        finally:
            self._known.clear()
