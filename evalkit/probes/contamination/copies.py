"""Near-copies: among the evaluated items, and between them and those that few-shot examples are drawn from.

Near-duplicates have a Jaccard similarity of at least 0.8 between their sets of 5-grams of words (as Lee et al. 2022,
arXiv 2107.06499, have it for training data): candidates by MinHash and its banded index (package datasketch), each
checked exactly. Likeness is ROUGE-L, whose F-measure Self-Instruct keeps below 0.7 (Wang et al. 2023, arXiv
2212.10560): every pair is looked at, those whose words in common cannot reach 0.7 by their counts alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np

from evalkit.contract.errors import MissingExtra
from evalkit.probes.contamination.texts import Text, words_of

Kind = Literal["same", "near", "like"]
SHINGLE, JACCARD, PERMUTATIONS = 5, 0.8, 128
BAND_THRESHOLD = 0.7
"""What the index is built for, below JACCARD so that few pairs above it are missed."""
ROUGE_L = 0.7
AT_ONCE = 256
EXCERPT = 160
MOST_WORDS = 2000
"""Of a text that is compared by ROUGE-L: the longest common subsequence takes the square of it."""


@dataclass(frozen=True, slots=True)
class Copy:
    """Two texts alike: ``key`` is an evaluated item's, ``other`` that of an item of the pool, or of an earlier
    evaluated item (``within``). ``value``: Jaccard similarity, or ROUGE-L's F-measure; 1 for the same text.
    """

    key: str
    other: str
    kind: Kind
    value: float
    within: bool
    excerpt: str


def require() -> None:
    """MissingExtra without datasketch."""
    if find_spec("datasketch") is None:
        raise MissingExtra("finding near-duplicates", "datasketch", "contamination")


def repeated(items: Sequence[Text]) -> Iterator[Copy]:
    """Evaluated items whose words are those of an earlier one."""
    first: dict[str, Text] = {}
    for item in items:
        earlier = first.setdefault(" ".join(words_of(item.whole)), item)
        if earlier is not item:
            yield Copy(item.key, earlier.key, "same", 1.0, True, item.question[:EXCERPT])


def near(items: Sequence[Text], pool: Sequence[Text]) -> Iterator[Copy]:
    """Of each evaluated item the nearest item of the pool, where it is a near-duplicate. Raises
    MissingExtra without datasketch.
    """
    require()
    from datasketch import MinHash, MinHashLSH

    shingles = [_shingles(one.whole) for one in pool]
    index = MinHashLSH(threshold=BAND_THRESHOLD, num_perm=PERMUTATIONS)
    for number, mark in enumerate(MinHash.generator([_bytes(one) for one in shingles], num_perm=PERMUTATIONS)):
        index.insert(number, mark)
    own = [_shingles(one.whole) for one in items]
    marks = MinHash.generator([_bytes(one) for one in own], num_perm=PERMUTATIONS)
    for item, mine, mark in zip(items, own, marks, strict=True):
        places = sorted(index.query(mark))
        alike = [(len(mine & shingles[place]) / len(mine | shingles[place]), place) for place in places]
        value, place = max(alike, default=(0.0, 0), key=lambda one: (one[0], -one[1]))
        if value >= JACCARD:
            kind: Kind = "same" if words_of(item.whole) == words_of(pool[place].whole) else "near"
            yield Copy(item.key, pool[place].key, kind, value, False, item.question[:EXCERPT])


def _shingles(text: str) -> frozenset[str]:
    words = words_of(text)
    return frozenset(" ".join(words[begin : begin + SHINGLE]) for begin in range(max(len(words) - SHINGLE + 1, 1)))


def _bytes(shingles: frozenset[str]) -> list[bytes]:
    return [one.encode() for one in sorted(shingles)]


def like(items: Sequence[Text], pool: Sequence[Text]) -> Iterator[Copy]:
    """Of each evaluated item the most similar question of the pool by ROUGE-L, where that is at least ROUGE_L."""
    if not items or not pool:
        return
    own, others = ([words_of(one.question)[:MOST_WORDS] for one in part] for part in (items, pool))
    queries, table = _counted(own, others)
    lengths = np.array([len(one) for one in others])
    for begin in range(0, len(own), AT_ONCE):
        common = (queries[begin : begin + AT_ONCE] @ table.T).tocsr()
        for place in range(common.shape[0]):
            words, row = own[begin + place], common.getrow(place)
            best = _most_alike(words, others, row.indices, 2 * row.data / (len(words) + lengths[row.indices]))
            if best is not None:
                item = items[begin + place]
                yield Copy(item.key, pool[best[1]].key, "like", best[0], False, item.question[:EXCERPT])


def _most_alike(
    words: Sequence[str], others: Sequence[Sequence[str]], places: np.ndarray, bound: np.ndarray
) -> tuple[float, int] | None:
    """The largest F-measure of at least ROUGE_L, looked for from the largest bound on."""
    best: tuple[float, int] | None = None
    for number in np.argsort(-bound, kind="stable"):
        least = ROUGE_L if best is None else best[0]
        if bound[number] < least or (best is not None and bound[number] <= least):
            break
        other = others[places[number]]
        value = 2 * _common(words, other) / (len(words) + len(other))
        if value >= ROUGE_L and (best is None or value > best[0]):
            best = (value, int(places[number]))
    return best


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, by bit sets (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    state = full
    for word in other:
        if met := places.get(word, 0) & state:
            state = (state + met | state - met) & full
    return len(one) - state.bit_count()


def _counted(*parts: Sequence[Sequence[str]]) -> list[Any]:
    """A sparse matrix of each part, with a column for each word's first, second, ... occurrence in a text: the product
    of two rows is the number of words in common.
    """
    import scipy.sparse as sparse

    numbers: dict[tuple[str, int], int] = {}
    found = []
    for texts in parts:
        indices: list[int] = []
        ends = [0]
        for words in texts:
            seen: dict[str, int] = {}
            for word in words:
                seen[word] = seen.get(word, 0) + 1
                indices.append(numbers.setdefault((word, seen[word]), len(numbers)))
            ends.append(len(indices))
        found.append((np.ones(len(indices), dtype=np.int32), indices, ends))
    return [sparse.csr_matrix(one, shape=(len(one[2]) - 1, max(len(numbers), 1)), dtype=np.int32) for one in found]
