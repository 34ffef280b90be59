"""The overlap of names and numbers between an answer and a reference or the article."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import ScoringInput, share_metric
from evalkit.metrics.qa import texts

_WORD = re.compile(r"(?:[^\W\d_]\.){2,}(?![^\W_])|[^\W_]+(?:[-'’.,][^\W_]+)*")
_SENTENCE_END = frozenset('.!?:;"“”()')
_TITLE = re.compile(
    r"dr|mr|mrs|ms|mx|prof|st|gen|lt|col|sgt|cpt|capt|cmdr|maj|sen|rep|gov|rev|hon|pres|messrs|mme|mlle|mgr|fr|sr|jr|adm"
    r"|amb|insp|supt"
)
"""Before a name, with a period: part of no name, and no sentence's end."""
_SHORT = re.compile(
    r"(?:Inc|Ltd|Co|Corp|Bros|Mt|Ft|Ave|Blvd|Rd|No|Dept|Univ|Fig|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|Mon|Tue|Wed"
    r"|Thu|Fri|Sat|Sun|Vol|Eds?|[A-Z]|vs|cf|al|pp|vol|approx|(?:[A-Za-z]\.)+[A-Za-z])"
)
"""With a period: mostly within a sentence; single letters are initials, letters with periods acronyms."""
_OPENER = re.compile(
    r"the|an?|this|that|these|those|its?|he|she|they|we|i|you|his|her|their|our|my|there|here|in|on|at|by|for|from|with|to"
    r"|of|as|but|and|or|so|if|when|while|after|before|during|since|although|however|then|now|one|some|many|most|all|no|not"
    r"|who|what|why|how|which|where|yet|still"
)
"""Capitalised, these begin a sentence and no name."""
_ACRONYM = re.compile(r"(?:[^\W\d_]\.){2,}")


def entities(text: str) -> Counter[str]:
    """Names and numbers of a text by a simple rule, lower-cased.

    A number is a word with a digit. A name is a run of words that begin with a capital letter, with nothing but single
    spaces between them. A single capitalised word at the start of a sentence is left out (it may be any word), unless
    the text has it capitalised inside a sentence as well. The period of a title ("Dr. Moreau"), of an initial
    ("J. Moreau"), of an acronym ("U.S. Army") or of another abbreviation ends no sentence; titles and the function word
    that opens a sentence are part of no name, and acronyms are compared without periods.
    """
    runs: list[tuple[str, bool]] = []
    numbers: list[str] = []
    previous_end = -1
    for match in _WORD.finditer(text):
        word, end = match[0], match.end()
        acronym = word[0].isupper() and _ACRONYM.fullmatch(word) is not None
        name = word.replace(".", "").lower() if acronym else word.lower()
        if any(char.isdigit() for char in word):
            numbers.append(word.lower())
            previous_end = -1
        elif word[0].isupper() and not (_TITLE.fullmatch(name) and text[end : end + 1] == "."):
            joined = runs and previous_end >= 0 and text[previous_end : match.start()] == " "
            if joined and not _opens(text, previous_end, name):
                before, first = runs[-1]
                runs[-1] = (name if first and _OPENER.fullmatch(before) else f"{before} {name}", False)
            else:
                runs.append((name, _begins(text, match.start(), name)))
            initial = len(word) == 1 and text[end : end + 2] == ". "
            previous_end = end + 1 if initial else end
        else:
            previous_end = -1
    inside = {name for name, first in runs if not first}
    return Counter([name for name, first in runs if not first or name in inside] + numbers)


def _opens(text: str, at: int, name: str) -> bool:
    """Whether ``name``, behind the period at ``at`` - 1, begins a sentence rather than goes on with an acronym."""
    return text[at - 1 : at] == "." and _OPENER.fullmatch(name) is not None


def _begins(text: str, at: int, name: str) -> bool:
    """Whether a sentence begins at ``at``: nothing but white space, a new line, or the end of one before it."""
    while at > 0 and text[at - 1].isspace():
        at -= 1
        if text[at] == "\n":
            return True
    return at == 0 or (text[at - 1] in _SENTENCE_END and not (text[at - 1] == "." and _abbreviated(text, at - 1, name)))


def _abbreviated(text: str, period: int, name: str) -> bool:
    """Whether the period belongs to an abbreviation, so that ``name`` behind it need not begin a sentence."""
    begin = period
    while begin > 0 and period - begin < 12 and (text[begin - 1].isalpha() or text[begin - 1] == "."):
        begin -= 1
    word = text[begin:period]
    title = word[:1].isupper() and _TITLE.fullmatch(word.lower()) is not None
    return title or (bool(_SHORT.fullmatch(word)) and not _OPENER.fullmatch(name))


def entity_sample(sample: ScoringInput) -> float | None:
    """F1 over the different names and numbers of the answer and of the best reference.

    ``args: {part: precision}`` gives the share of the answer's that are in the reference (what is not there may be
    made up), ``recall`` the share of the reference's that the answer has; ``against: FIELD`` takes a field of the
    document (the article) for reference. None where the sides have no entity to compare.
    """
    if sample.text is None:
        return None
    field = sample.args.get("against")
    references = texts(sample.target) if field is None else texts(sample.document.get(str(field), ""))
    answer = set(entities(sample.text))
    found = [_overlap(answer, set(entities(one)), str(sample.args.get("part", "f1"))) for one in references]
    return max((one for one in found if one is not None), default=None)


def _overlap(answer: set[str], reference: set[str], part: str) -> float | None:
    common = len(answer & reference)
    if part == "precision":
        return common / len(answer) if answer else None
    if part == "recall":
        return common / len(reference) if reference else None
    return 2 * common / (len(answer) + len(reference)) if answer or reference else None


def entity_prepare(args: Mapping[str, Any]) -> None:
    """UserError for an unknown part."""
    if args.get("part", "f1") not in ("f1", "precision", "recall"):
        raise UserError(f"metric entity_overlap: part is {args['part']!r}; choose f1, precision or recall")


entity_overlap = share_metric(
    "entity_overlap",
    entity_sample,
    source="evalkit: docs/metrics.md, after Nan et al. 2021, arXiv 2102.09130, entity-level consistency",
    prepare=entity_prepare,
)
