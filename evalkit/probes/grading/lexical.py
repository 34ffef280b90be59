"""The lexical grader: are the words of a text to be found in its source? It understands nothing.

A sentence's score is the mean of two shares: of its content words, how many stand in the source, and how many stand in
the two neighbouring sentences of it that hold most of them. What shows a contradiction or an invention brings it below
one half: a number or a name (a word with a capital inside the sentence) that the source lacks; a negation that the
source's nearest sentence lacks, or the reverse; a word whose opposite stands there instead. A text's score is that of
its worst sentence. Twisted relations ("Tilsund opened a bakery in Maren Holt") are not seen. What it is worth is
measured: docs/probes.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.contract.grading import SUPPORTED, Claim
from evalkit.probes.grading.sentences import SMALL, WORD, sentences, stem
from evalkit.probes.phrases import negated

VERSION = "2"
"""Raised with every change of a verdict."""
_LOWERED = 0.45
"""What a score is multiplied by where something shows a contradiction: below one half whatever the shares are."""
_OPPOSITES = (
    "open/close opened/closed rise/fall rose/fell win/lose won/lost increase/decrease before/after first/last "
    "more/less more/fewer alive/dead born/died north/south east/west northern/southern eastern/western "
    "arrive/leave arrived/left buy/sell bought/sold accept/reject accepted/rejected start/end started/ended "
    "begin/finish began/finished guilty/innocent legal/illegal male/female man/woman men/women boy/girl "
    "father/mother son/daughter brother/sister husband/wife high/low higher/lower highest/lowest old/young "
    "older/younger oldest/youngest large/small larger/smaller largest/smallest early/late earlier/later "
    "above/below up/down success/failure succeed/fail succeeded/failed allow/forbid allowed/forbidden "
    "support/oppose supported/opposed true/false married/divorced"
)


def _opposites() -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for pair in _OPPOSITES.split():
        one, other = map(stem, pair.split("/"))
        found.setdefault(one, set()).add(other)
        found.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in found.items()}


_OPPOSITE = _opposites()


class Lexical:
    """The grader by words. It takes no arguments."""

    identity = f"lexical:{VERSION}"

    def grade(self, claims: Sequence[Claim]) -> list[float | None]:
        """Of every claim the score of its worst sentence; None for a text without a word."""
        known: dict[str, _Source] = {}
        found: list[float | None] = []
        for claim in claims:
            if claim.source not in known:
                known = {claim.source: _Source(claim.source)}
            parts = sentences(claim.text)
            found.append(min(known[claim.source].score(part) for part in parts) if parts else None)
        return found


def lexical(args: Mapping[str, Any]) -> Lexical:
    """The entry point. UserError for any argument."""
    if args:
        raise UserError(f"grader lexical: there is no argument {sorted(args)[0]!r}; it takes none")
    return Lexical()


def is_supported(sentence: str, source: str) -> bool:
    """The lexical verdict on one text."""
    (score,) = Lexical().grade([Claim(source, sentence)])
    return score is not None and score >= SUPPORTED


class _Source:
    """A source's words, by sentence."""

    def __init__(self, text: str) -> None:
        parts = sentences(text)
        self._stems = [{stem(word) for word in WORD.findall(part)} for part in parts]
        self._denied = [negated(part) for part in parts]
        self._known = set().union(*self._stems)
        pairs = zip(self._stems, self._stems[1:], strict=False)
        self._windows = [*self._stems, *(one | other for one, other in pairs)]

    def score(self, sentence: str) -> float:
        found = WORD.findall(sentence)
        content = [stem(word) for word in found if word.lower() not in SMALL]
        if not content:
            return 1.0
        if not self._known:
            return 0.0
        best = max(self._windows, key=lambda window: sum(word in window for word in content))
        share = (self._share(content, self._known) + self._share(content, best)) / 2
        return share * (_LOWERED if self._contradicts(found, content, best, sentence) else 1.0)

    @staticmethod
    def _share(content: Sequence[str], known: set[str]) -> float:
        return sum(word in known for word in content) / len(content)

    def _contradicts(self, found: Sequence[str], content: Sequence[str], best: set[str], sentence: str) -> bool:
        hard = [
            word
            for place, word in enumerate(found)
            if word[0].isdigit() or (place and word[0].isupper() and word != "I")
        ]
        if any(stem(word) not in self._known for word in hard):
            return True
        if any(word not in best and _OPPOSITE.get(word, frozenset()) & best for word in content):
            return True
        counts = [sum(word in stems for word in content) for stems in self._stems]
        nearest = counts.index(max(counts))
        # Where no sentence says most of it, their negations say nothing of this one.
        return counts[nearest] >= len(content) / 2 and negated(sentence) != self._denied[nearest]
