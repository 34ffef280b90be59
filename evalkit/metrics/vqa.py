"""Short answers about pictures: VQA accuracy over ten people's answers (VQA, TextVQA), and ANLS (DocVQA).

VQA accuracy (Antol et al. 2015, arXiv 1505.00468, and the official script, vqaEval.py): an answer is right as far as
three of ten people gave it, min(n / 3, 1), averaged over the ten sets that leave one person out; both sides are
normalised: punctuation, number words, articles, contractions. Where all ten people said the same, the script leaves
their answer as it stands, and so does this.

ANLS (Biten et al. 2019, arXiv 1905.13648): 1 less the edit distance over the longer length, at best over the right
answers, without regard to case and white space; 0 below one half, as the challenge's script has it (by the paper's
formula one half itself is 0 too).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.metrics.base import ScoringInput, share_metric
from evalkit.metrics.qa import texts

ENOUGH = 3
"""People who gave an answer, from which on it is right."""
THRESHOLD = 0.5
"""Likeness below which ANLS takes an answer for another one."""
MOST_PERIODS = int(re.UNICODE)
"""The official script hands this flag over as the number of periods to remove: 32 at the most."""

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_BETWEEN_DIGITS = re.compile(r"\d,\d")
_PERIOD = re.compile(r"\.(?!\d)")
_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {word: str(number) for number, word in enumerate(_WORDS.split())} | {"none": "0"}
_ARTICLES = frozenset(("a", "an", "the"))
_SHORT = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
    someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're
    there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've
    when's where'd where's where've who'd who'd've who'll who's who've won't would've wouldn't wouldn't've y'all
    y'all'll you'd you'd've you'll you're you've
"""


def _misspelt(word: str) -> list[str]:
    """A contraction with one of its apostrophes forgotten."""
    return [word[:place] + word[place + 1 :] for place, mark in enumerate(word) if mark == "'"]


_CONTRACTIONS = {wrong: word for word in _SHORT.split() for wrong in _misspelt(word)} | {
    "somebody'd": "somebodyd",  # as the script has it
    "yall'd've": "y'all'd've",
    "y'alld've": "y'all'd've",
    "y'all'dve": "y'all'd've",
}


def normalize_vqa(text: str) -> str:
    """The official script's normalisation of an answer."""
    given = text.replace("\n", " ").replace("\t", " ").strip()
    found, thousands = given, _BETWEEN_DIGITS.search(given) is not None
    for mark in _PUNCTUATION:
        alone = thousands or f"{mark} " in given or f" {mark}" in given
        found = found.replace(mark, "" if alone else " ")
    found = _PERIOD.sub("", found, count=MOST_PERIODS)
    words = (_NUMBERS.get(word, word) for word in found.lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def vqa_accuracy_sample(sample: ScoringInput) -> float | None:
    """VQA accuracy of the answer against the target, people's answers (ten, or as many as there are)."""
    if sample.text is None:
        return None
    people = [answer.replace("\n", " ").replace("\t", " ").strip() for answer in texts(sample.target)]
    if len(set(people)) > 1:
        people = [normalize_vqa(answer) for answer in people]
    if not people:
        return 0.0
    answer = normalize_vqa(sample.text)
    alike = people.count(answer)
    # Without one of those who gave it, one fewer did.
    fewer, all_of_them = min(1.0, (alike - 1) / ENOUGH), min(1.0, alike / ENOUGH)
    return (alike * fewer + (len(people) - alike) * all_of_them) / len(people)


def anls_sample(sample: ScoringInput) -> float | None:
    """The best likeness of the answer to a right one; 0 below one half."""
    if sample.text is None:
        return None
    answer = " ".join(sample.text.lower().split())
    return max((_likeness(answer, " ".join(right.lower().split())) for right in texts(sample.target)), default=0.0)


def _likeness(answer: str, right: str) -> float:
    longest = max(len(answer), len(right))
    if longest == 0:
        return 1.0
    if abs(len(answer) - len(right)) / longest > 1 - THRESHOLD:
        return 0.0
    found = 1 - edit_distance(answer, right) / longest
    return found if found >= THRESHOLD else 0.0


def edit_distance(one: Sequence[object], other: Sequence[object]) -> int:
    """Levenshtein's: insertions, deletions and replacements that make one of the other."""
    row = list(range(len(other) + 1))
    for number, item in enumerate(one, 1):
        before, row[0] = row[0], number
        for place, against in enumerate(other, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (item != against))
    return row[-1]


vqa_accuracy = share_metric(
    "vqa_accuracy", vqa_accuracy_sample, source="VQA, vqaEval.py (Antol et al. 2015, arXiv 1505.00468)"
)
anls = share_metric("anls", anls_sample, source="ANLS (Biten et al. 2019, arXiv 1905.13648), threshold 0.5")
