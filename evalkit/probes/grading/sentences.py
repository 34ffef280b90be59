"""Texts as sentences and comparable words, for graders."""

from __future__ import annotations

import re

WORD = re.compile(r"\d+(?:[.,]\d+)*|\w+(?:['’]\w+)?", re.UNICODE)
_SENTENCE = re.compile(r"(?<=[.!?])[\"'”’)]*\s+|\n+")
SMALL = frozenset(
    WORD.findall(
        "a an the and or but of in on at by to for from with as is was are were be been being it its this that "
        "these those he she they his her their them who which what when where how why has have had not no nor "
        "never also after before into than then there so would will can could may might do does did one two all "
        "some more most very about over under up out if because while during i we you my our your him us me s t"
    )
)
_TO_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty"
)
_NUMBERS = {word: str(value) for value, word in enumerate(_TO_TWENTY.split())} | {
    "thirty": "30",
    "forty": "40",
    "fifty": "50",
    "sixty": "60",
    "hundred": "100",
    "thousand": "1000",
}


def sentences(text: str) -> list[str]:
    """Sentences with at least one word."""
    return [part.strip() for part in _SENTENCE.split(text) if WORD.search(part)]


def stem(word: str) -> str:
    """A word's comparable form: lower case, number words as digits, without the commonest English endings."""
    low = word.lower().replace("’", "'").removesuffix("'s")
    if low in _NUMBERS:
        return _NUMBERS[low]
    if low[:1].isdigit():
        return low.replace(",", "").rstrip(".")
    for ending in ("ing", "ed", "es", "s"):
        if len(low) > len(ending) + 3 and low.endswith(ending):
            return low.removesuffix(ending)
    return low
