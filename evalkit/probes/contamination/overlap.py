"""Items that a text folder holds, by the rules of three published reports.

``gpt3``  an item is contaminated if any n-gram of it occurs in the folder; n is the 5th percentile of the task's
          lengths in words, at least 8 and at most 13, and n-grams of more than ten documents do not count (Brown et
          al. 2020, arXiv 2005.14165, appendix C). Words are lower-case without punctuation; an item shorter than n is
          looked for whole.
``palm``  if at least 70 % of its 8-grams occur (Chowdhery et al. 2022, arXiv 2204.02311, section 8).
``gpt4``  if any of three substrings of 50 characters, drawn by a seed, occurs; letters and digits alone, of a shorter
          item the whole (OpenAI 2023, arXiv 2303.08774, appendix C). Case is kept.

The texts are question and answers of an item, without the task's template. An item of one word, and for ``gpt4`` one of
fewer than twelve letters, is not looked for.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.probes.contamination.texts import Document, Text, words_of

Rule = Literal["gpt3", "palm", "gpt4"]
LONGEST, SHORTEST, COMMON = 13, 8, 10
PALM_N, PALM_SHARE = 8, 0.7
CHARACTERS, DRAWN = 50, 3
FEWEST, LEAST = 2, 12
"""Words, and letters and digits, below which an item is not looked for: any text may hold it."""
EXCERPT = 160


@dataclass(frozen=True, slots=True)
class Found:
    """An item that a rule finds in the folder: where first, and what was found (shortened)."""

    key: str
    rule: Rule
    place: str
    excerpt: str
    share: float
    """Of the item's n-grams or substrings, those that occur."""


class _Pieces:
    """Runs of words, or of characters, that are looked for. Each is known by as many units at its beginning as the
    largest of ``anchors`` that it has: one look a place and anchor, however many lengths there are.
    """

    def __init__(self, joint: str, anchors: Sequence[int]) -> None:
        self._joint = joint
        self._anchors = sorted(anchors, reverse=True)
        self._by_anchor: dict[int, dict[str, list[str]]] = {one: {} for one in self._anchors}
        self.places: dict[str, list[str]] = {}
        """Of each piece the documents that have it, at most COMMON and one."""

    def want(self, piece: str) -> None:
        """Look for ``piece``, which has as many units as the smallest anchor at least."""
        if piece in self.places:
            return
        self.places[piece] = []
        units = piece.split(self._joint) if self._joint else piece
        anchor = next(one for one in self._anchors if len(units) >= one)
        self._by_anchor[anchor].setdefault(self._joint.join(units[:anchor]), []).append(piece)

    def see(self, place: str, units: Sequence[str] | str) -> None:
        """Look through a document."""
        seen = set()
        for anchor, known in self._by_anchor.items():
            if not known:
                continue
            for begin in range(len(units) - anchor + 1):
                for piece in known.get(self._joint.join(units[begin : begin + anchor]), ()):
                    if piece not in seen and self._is_at(piece, units, begin):
                        seen.add(piece)
        for piece in seen:
            if len(self.places[piece]) <= COMMON:
                self.places[piece].append(place)

    def _is_at(self, piece: str, units: Sequence[str] | str, begin: int) -> bool:
        if isinstance(units, str):
            return units.startswith(piece, begin)
        return self._joint.join(units[begin : begin + piece.count(self._joint) + 1]) == piece


def overlaps(
    tasks: Sequence[tuple[str, Sequence[Text]]], documents: Iterable[Document], seed: int
) -> list[list[Found]]:
    """The contaminated items of each task, by rule; the folder is read once."""
    words, letters = _Pieces(" ", (FEWEST, SHORTEST)), _Pieces("", (LEAST, CHARACTERS))
    prepared = []
    for _, items in tasks:
        split = [words_of(item.whole) for item in items]
        n = _gpt3_length([len(one) for one in split])
        gpt3 = [_windows(one, n) for one in split]
        palm = [_windows(one, PALM_N) for one in split]
        drawn = [_drawn(_letters(item.whole), f"{seed}:{item.key}") for item in items]
        for pieces in (*gpt3, *palm):
            for piece in pieces:
                words.want(piece)
        for pieces in drawn:
            for piece in pieces:
                letters.want(piece)
        rules: tuple[tuple[Rule, list[list[str]]], ...] = (("gpt3", gpt3), ("palm", palm), ("gpt4", drawn))
        prepared.append((items, rules))
    for document in documents:
        words.see(document.place, words_of(document.text))
        letters.see(document.place, _letters(document.text))
    return [
        [
            found
            for rule, pieces in rules
            for item, own in zip(items, pieces, strict=True)
            if (found := _judged(item, rule, own, letters if rule == "gpt4" else words)) is not None
        ]
        for items, rules in prepared
    ]


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))


def _judged(item: Text, rule: Rule, pieces: Sequence[str], known: _Pieces) -> Found | None:
    if not pieces:
        return None
    places = [known.places[one] for one in pieces]
    if rule == "gpt3":
        places = [one if len(one) <= COMMON else [] for one in places]
    hits = [number for number, one in enumerate(places) if one]
    share = len(hits) / len(pieces)
    if not hits or (rule == "palm" and share < PALM_SHARE):
        return None
    return Found(item.key, rule, places[hits[0]][0], pieces[hits[0]][:EXCERPT], share)


def _gpt3_length(lengths: Sequence[int]) -> int:
    fifth = int(np.percentile(lengths, 5)) if lengths else SHORTEST
    return min(max(fifth, SHORTEST), LONGEST)


def _windows(words: Sequence[str], n: int) -> list[str]:
    """Its n-grams; of fewer words the whole."""
    if len(words) < FEWEST:
        return []
    return [" ".join(words[begin : begin + n]) for begin in range(max(len(words) - n + 1, 1))]


def _drawn(text: str, seed: str) -> list[str]:
    if len(text) <= CHARACTERS:
        return [text] if len(text) >= LEAST else []
    draw = random.Random(seed)
    begins = (draw.randrange(len(text) - CHARACTERS + 1) for _ in range(DRAWN))
    return [text[begin : begin + CHARACTERS] for begin in begins]
