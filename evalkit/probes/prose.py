"""Plain prose made by templates from a seed: haystacks and irrelevant passages that no model has seen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

_PEOPLE = (
    "the baker", "the old gardener", "a young carpenter", "the ferryman", "her neighbour", "the clerk",
    "a travelling tailor", "the miller", "his cousin", "the schoolteacher", "the night porter", "a retired sailor",
    "the librarian", "the potter",
)  # fmt: skip
_DEEDS = (
    "walked along the river", "mended a wooden fence", "carried a basket of apples", "waited for the morning boat",
    "swept the stone steps", "read a long letter", "planted a row of beans", "painted the garden gate",
    "looked for a lost glove", "counted the empty jars", "fed the grey geese", "folded the clean linen",
    "climbed the low hill", "repaired a broken chair", "listened to the rain", "opened the kitchen window",
)  # fmt: skip
_PLACES = (
    "near the mill", "behind the market hall", "by the harbour wall", "under the chestnut trees", "in the narrow lane",
    "beside the quiet pond", "at the edge of the meadow", "close to the old bridge", "in front of the bakery",
    "on the way to the fields", "outside the village school", "next to the stables",
)  # fmt: skip
_TIMES = (
    "In the morning", "Late in the afternoon", "After the rain", "Before supper", "On a cold day", "That week",
    "When the wind had dropped", "Towards evening", "At the end of the month", "As always", "Around noon",
    "Last spring",
)  # fmt: skip
_REMARKS = (
    "Nobody thought it strange.", "The weather stayed mild.", "It took longer than expected.", "A dog barked far away.",
    "The clouds moved slowly.", "There was little to say about it.", "The road was empty.", "It smelled of wet grass.",
    "Some leaves had already fallen.", "The light was soft.", "Nothing else happened.", "The bell was silent.",
)  # fmt: skip


def sentences(seed: int) -> Iterator[str]:
    """Sentences without end; the same seed gives the same ones."""
    draw = random.Random(f"prose/{seed}")
    while True:
        who, deed, where = draw.choice(_PEOPLE), draw.choice(_DEEDS), draw.choice(_PLACES)
        yield f"{draw.choice(_TIMES)} {who} {deed} {where}."
        if draw.random() < 0.4:
            yield draw.choice(_REMARKS)


def passage(seed: int, count: int) -> str:
    """A paragraph of ``count`` sentences."""
    return " ".join(islice(sentences(seed), count))


_ONSETS = (
    "b",
    "br",
    "d",
    "dr",
    "f",
    "g",
    "gl",
    "k",
    "kr",
    "l",
    "m",
    "n",
    "p",
    "qu",
    "r",
    "s",
    "st",
    "t",
    "th",
    "v",
    "z",
)
_VOWELS = ("a", "e", "i", "o", "u", "ae", "ei", "ou")
_CODAS = ("", "l", "n", "r", "s", "th", "x", "nd", "rn", "sk")


def invented(draw: random.Random, syllables: int = 2) -> str:
    """A name that no one bears, so far as syllables drawn by chance can promise it."""
    made = "".join(draw.choice(_ONSETS) + draw.choice(_VOWELS) for _ in range(syllables)) + draw.choice(_CODAS)
    return made.capitalize()


def invented_names(draw: random.Random, count: int, syllables: int = 3) -> tuple[str, ...]:
    """``count`` different invented names."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[invented(draw, syllables)] = None
    return tuple(found)


@lru_cache(maxsize=8)
def vocabulary(seed: int, count: int) -> tuple[str, ...]:
    """``count`` everyday words that the prose is made of, in an order of the seed's."""
    words = {
        word.strip(".,").lower()
        for group in (_PEOPLE, _DEEDS, _PLACES, _REMARKS)
        for text in group
        for word in text.split()
    }
    known = sorted(word for word in words if len(word) > 3)
    random.Random(f"words/{seed}").shuffle(known)
    return tuple(known[:count])
