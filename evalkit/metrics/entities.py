"""The overlap of names and numbers between an answer and a reference or the article."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from evalkit.contract.errors import UserError
from evalkit.metrics.base import SHARE, Metric, ScoringInput
from evalkit.metrics.qa import texts

_WORD = re.compile(r"[^\W_]+(?:[-'’.,][^\W_]+)*")
_SENTENCE_END = frozenset('.!?:;"“”()')


def entities(text: str) -> Counter[str]:
    """Names and numbers of a text by a simple rule, lower-cased.

    A number is a word with a digit. A name is a run of words that begin with a capital letter, with nothing but single
    spaces between them. A single capitalised word at the start of a sentence is left out (it may be any word), unless
    the text has it capitalised inside a sentence as well.
    """
    runs: list[tuple[str, bool]] = []
    numbers: list[str] = []
    previous_end = -1
    for match in _WORD.finditer(text):
        word = match[0]
        if any(char.isdigit() for char in word):
            numbers.append(word.lower())
            previous_end = -1
        elif word[0].isupper():
            first = _begins(text, match.start())
            if runs and previous_end >= 0 and text[previous_end : match.start()] == " ":
                runs[-1] = (f"{runs[-1][0]} {word.lower()}", False)
            else:
                runs.append((word.lower(), first))
            previous_end = match.end()
        else:
            previous_end = -1
    inside = {name for name, first in runs if not first}
    return Counter([name for name, first in runs if not first or name in inside] + numbers)


def _begins(text: str, at: int) -> bool:
    """Whether a sentence begins at ``at``: nothing but white space, a new line, or the end of one before it."""
    while at > 0 and text[at - 1].isspace():
        at -= 1
        if text[at] == "\n":
            return True
    return at == 0 or text[at - 1] in _SENTENCE_END


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


entity_overlap = Metric(
    name="entity_overlap",
    kind="text",
    per_item=entity_sample,
    unit="share",
    bounds=SHARE,
    higher_is_better=True,
    source="evalkit: docs/metrics.md, after Nan et al. 2021, arXiv 2102.09130, entity-level consistency",
    prepare=entity_prepare,
)
