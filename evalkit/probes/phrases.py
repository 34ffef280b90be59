"""What a reply says of its own knowledge and of what it was asked: rules of ours for English, docs/probes.md.

A reply may say that it does not know (`abstains`), contradict a claim (`refutes`), or say that a thing is not there
(`not_there`). A negation somewhere is none of these: "Tokyo is not located in Europe" contradicts no claim on Norway.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ′`´＇", "'"))
_CONTRACTION = re.compile(
    r"\b(?:(?P<cannot>can't|cant|can not)|(?P<will>wo)n'?t"
    r"|(?P<verb>do|does|did|could|would|should|is|was|are|were|has|have|had)n'?t|(?P<am>i)'?m|(?P<are>we|they|you)'re"
    r"|(?P<is>it|there|that|he|she)'s|(?P<have>i|we)'ve)\b",
    re.IGNORECASE,
)
_TOLD = (
    r"(?:know|recall|remember|say|tell|answer|determine|find|verify|confirm|identify|establish|provide|infer|conclude"
    r"|be (?:sure|certain))"
)
_TOLD_OF = (
    r"(?:known|answered|determined|verified|confirmed|established|identified|inferred|concluded|deduced|said|told|found"
    r"|ascertained|specified)"
)
_HOW = r"(?: (?:really|possibly|currently|honestly|actually|definitively|reliably|exactly|be able to|simply))?"
_DECLINES = re.compile(
    r"\b(?:i|we) (?:do not|did not|cannot|could not|would not|(?:am|are) (?:not able|unable) to)"
    rf"{_HOW} {_TOLD}\b"
    r"|\bi am (?:not (?:(?:entirely|completely|quite|really|so|too|very) )?(?:sure|certain|aware|familiar)|unsure"
    r"|uncertain|unaware|unfamiliar)\b"
    r"|\b(?:have|has|there is|there are) (?:no|not any) (?:\w+ )?(?:information|records?|knowledge|data|idea|comment"
    r"|answer|evidence|clue|details|mention)\b"
    r"|\b(?:not|never) heard of\b|\bno (?:idea|clue)\b|\bunanswerable\b"
    r"|\b(?:not (?:enough|sufficient)|insufficient) (?:information|context|data|evidence|details)\b"
    r"|^\W*(?:(?:the )?answer(?: is|:)? )?(?:unknown|idk|n/?a|not known|not sure|no answer|unsure|uncertain|unclear"
    r"|none known|dunno|not available|not specified|not stated|cannot say|cannot tell|hard to say)\W*$",
    re.IGNORECASE,
)
"""The one who speaks does not know."""
_UNKNOWN = re.compile(
    rf"\b(?:cannot|could not|can never)(?: be)?{_HOW} {_TOLD_OF}\b"
    rf"|\b(?:impossible|not possible|hard|difficult|unable)(?: for (?:me|us|anyone))? to{_HOW} {_TOLD}\b"
    r"|\b(?:nobody|no one) (?:really )?knows\b|\bundetermined\b|\bindeterminate\b"
    r"|\b(?:passage|text|context|article|document|question|story|source|it) (?:does|did) not (?:say|state|mention"
    r"|specify|provide|tell)\b"
    r"|\bnot (?:stated|mentioned|specified|provided|given) (?:in|by) the (?:passage|text|context|article|question)\b"
    r"|\b(?:it|this|that|which|the answer) (?:is|remains|was) (?:unknown|unclear|uncertain|not known|not clear)\b",
    re.IGNORECASE,
)
"""It is not to be known: an answer that abstains, but in a summary what it may report."""


def abstains(text: str) -> bool:
    """Whether a reply says that it does not know, or that it is not to be known (a rule of ours, English; see
    docs/probes.md for its phrases).
    """
    plain = spelled(text)
    return _DECLINES.search(plain) is not None or _UNKNOWN.search(plain) is not None


def declines(text: str) -> bool:
    """Whether the one who speaks does not know. A longer text may report that a thing is unknown."""
    return _DECLINES.search(spelled(text)) is not None


_SENTENCE = re.compile(r"(?<=[.!?;])\s+|\n+")
_NEGATION = re.compile(
    r"\b(?:not|never|no|none|nobody|nothing|neither|nor|cannot|without|hardly|no longer)\b"
    r"|\b(?:fail|refus|declin|den)(?:s|es|ies|ed|ied|ing|ying)? (?:to|that)\b",
    re.IGNORECASE,
)
_VERDICT = re.compile(
    r"^\W*(?:no|nope|false|wrong|incorrect|untrue|not (?:true|so|correct|right))\b\W*(?:$|[,.;:!-])"
    r"|\b(?:premise|question|statement|claim|assumption|sentence|text|that|this|it) (?:(?:is|was|seems|appears|contains"
    r"|rests on|has|makes) )?(?:(?:a|an|simply|just|actually|factually|plainly) )*(?:not (?:true|right|correct|so"
    r"|the case|accurate)|false|incorrect|wrong|mistaken|untrue|inaccurate|error|mistake)\b"
    r"|\b(?:false|mistaken|wrong|incorrect) (?:premise|assumption|claim|statement)\b"
    r"|\byou are (?:mistaken|wrong)\b",
    re.IGNORECASE,
)
_NOT_THERE = re.compile(
    r"\bno such\b|\b(?:do|does|did) not (?:actually |really |seem to |appear to )?exist\b|\bnever existed\b"
    r"|\bnon-?existent\b"
    r"|\b(?:is|are|was|were) not (?:a|an|any) (?:real|actual|known|recogni[sz]ed|existing|country|city|novel|book"
    r"|element|chemical|place|person)\b"
    r"|\bnot (?:real|an? actual|a known)\b|\bfictional\b|\bfictitious\b|\binvented name\b|\bmade[ -]up\b"
    r"|\bthere (?:is|are|was|were) no\b|\bno (?:country|city|novel|book|element|river|king|place|person|thing) (?:is )?"
    r"(?:called|named|known as|by that name)\b|^\W*no\W*$",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"^\W*(?:no\W+)?(?:but |and )?(?:it|that|this|he|she|they)\b", re.IGNORECASE)
_NAME = re.compile(r"[A-Z][\w'-]*(?:(?: of| de| the| von| van)? [A-Z][\w'-]*)*|\d+")
_CORRECTION = re.compile(
    r"\b(?:actually|in fact|instead|rather|but|by|it is|it was|that is|that was|is|was|are|named|called)"
    r"(?: (?:actually|written|by|in fact|called|named|rather|instead|the \w+))* (?=[A-Z0-9])"
)
_RELATIONS = {
    "wrote": ("wrote", "write", "written", "writes", "writer", "author", "authored", "penned", "composed", "work"),
    "capital": ("capital",),
    "symbol": ("symbol", "abbreviation", "abbreviated"),
    "currency": ("currency", "money"),
    "number": ("number",),
}


def negated(sentence: str) -> bool:
    """Whether a sentence denies something, contractions included ("wasn't")."""
    return _NEGATION.search(spelled(sentence)) is not None


def not_there(text: str) -> bool:
    """Whether a reply says that what it was asked about does not exist. A denial of something else is none."""
    return _NOT_THERE.search(spelled(text)) is not None


def refutes(text: str, premise: str, sides: Sequence[str] = ()) -> bool:
    """Whether a reply contradicts the claim ``premise`` ("Tokyo is the capital of Norway"): by a verdict ("No.", "that
    is false"), or by a denial that names both ``sides`` of the claim (its names, where they are not given), or one of
    them and its relation beside a pronoun.
    To say that one does not know, and to deny something else, is none.
    """
    names = list(sides) or [name.split()[-1] for name in _NAME.findall(premise)]
    words = {one for key, group in _RELATIONS.items() if re.search(rf"\b{key}\b", premise) for one in group}
    plain = _UNKNOWN.sub(" ", _DECLINES.sub(" ", spelled(text)))
    for sentence in _SENTENCE.split(plain):
        if _VERDICT.search(sentence):
            return True
        if not _NEGATION.search(sentence):
            continue
        named = sum(_holds(sentence, name) for name in names)
        related = any(_holds(sentence, word) for word in words)
        if named == len(names) or (named and related and _PRONOUN.search(sentence)):
            return True
    return False


def affirms(text: str, answers: Sequence[str]) -> bool:
    """Whether a reply names one of ``answers`` and does not deny it there ("not Oslo", "Oslo is not")."""
    plain = spelled(text)
    for answer in answers:
        for found in re.finditer(rf"(?<!\w){re.escape(answer)}(?!\w)", plain, re.IGNORECASE):
            before, after = plain[: found.start()].split()[-2:], plain[found.end() :].split()[:2]
            if not {"not", "never"} & {word.lower().strip(",.;") for word in (*before, *after)}:
                return True
    return False


def corrects_to_another(text: str, known: str) -> bool:
    """Whether a reply puts a name forward that stands nowhere in ``known`` (the question and all right answers): "it
    was actually written by Jane Austen".
    """
    plain, there = spelled(text), known.lower()
    return any(
        (name := _NAME.match(plain, found.end())) is not None and name[0].split()[-1].lower() not in there
        for found in _CORRECTION.finditer(plain)
    )


def _holds(sentence: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", sentence, re.IGNORECASE) is not None


def spelled(text: str) -> str:
    """On one line, with plain apostrophes and without contractions: "can’t" is "cannot"."""
    return _CONTRACTION.sub(_in_full, " ".join(text.translate(_APOSTROPHES).split()))


def _in_full(match: re.Match[str]) -> str:
    kind, word = str(match.lastgroup), match[str(match.lastgroup)]
    return {"cannot": "cannot", "will": "will not", "verb": f"{word} not"}.get(kind, f"{word} {kind}")
