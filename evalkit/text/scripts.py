"""Words of texts in any script, for metrics whose own tokenizer knows the letters a to z only."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=1)
def _patterns() -> tuple[Any, Any, Any]:
    import regex

    # Scripts that put no spaces between words (Unicode Standard Annex 29, 4): each character is a word, with its marks.
    unspaced = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]\p{M}*+"
    words = regex.compile(rf"{unspaced}|(?:(?!{unspaced})[\p{{L}}\p{{N}}]\p{{M}}*+)+")
    return words, regex.compile(r"\p{L}"), regex.compile(r"\p{Latin}")


def words(text: str) -> list[str]:
    """The words of a text, lower-cased and composed (NFC): runs of letters, marks and digits; single characters in
    scripts that write without spaces.
    """
    found: list[str] = _patterns()[0].findall(unicodedata.normalize("NFC", text).lower())
    return found


def mostly_latin(text: str) -> bool:
    """Whether at least half of a text's letters are Latin, or it has none."""
    _, letter, latin = _patterns()
    return 2 * len(latin.findall(text)) >= len(letter.findall(text))


class Tokenizer:
    """`words` as the package rouge-score takes a tokenizer."""

    def tokenize(self, text: str) -> list[str]:
        """The words of ``text``."""
        return words(text)
