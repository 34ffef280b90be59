"""Short answers against lists of right ones: TriviaQA's and SQuAD's official rules, and lm-evaluation-harness's.

The score is the best over all right answers. Each rule normalises both sides in its own way; the differences matter
(TriviaQA turns punctuation into spaces, SQuAD deletes it, lm-eval keeps articles), so each has its own name.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from evalkit.metrics.base import ScoringInput, share_metric
from evalkit.text.patterns import compiled

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_DELETE_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DELETE_DIGITS = str.maketrans("", "", string.digits)
_SPACE_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "‘’´`", " "))


def normalize_triviaqa(text: str) -> str:
    """TriviaQA's: lower case; punctuation and four more quotes become spaces; no articles; single spaces."""
    spaced = text.lower().translate(_SPACE_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", spaced).split())


def normalize_squad(text: str) -> str:
    """SQuAD's: lower case; punctuation deleted; no articles; single spaces."""
    bare = text.lower().translate(_DELETE_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def token_f1(answer: str, right: str) -> float:
    """F1 over the words of two normalised texts; 0 where they share none."""
    words, right_words = answer.split(), right.split()
    common = sum((Counter(words) & Counter(right_words)).values())
    if not common:
        return 0.0
    precision, recall = common / len(words), common / len(right_words)
    return 2 * precision * recall / (precision + recall)


def triviaqa_em_sample(sample: ScoringInput) -> float | None:
    """1 where the answer equals a right one, both normalised."""
    return _best(sample, triviaqa_answers(sample), normalize_triviaqa, lambda answer, right: float(answer == right))


def triviaqa_f1_sample(sample: ScoringInput) -> float | None:
    """The best word F1 over the right answers; two empty texts share nothing, as in the official script."""
    return _best(sample, triviaqa_answers(sample), normalize_triviaqa, token_f1)


def triviaqa_answers(sample: ScoringInput) -> list[str]:
    """The target texts, and all that TriviaQA's own ``answer`` field offers: value, aliases, human answers."""
    answers = texts(sample.target)
    field = sample.document.get("answer")
    if isinstance(field, Mapping):
        for key in ("value", "aliases", "normalized_aliases", "HumanAnswers", "human_answers"):
            answers += texts(field.get(key) or [])
    return answers


def squad_em_sample(sample: ScoringInput) -> float | None:
    """1 where the answer equals a right one, both normalised."""
    return _best(sample, texts(sample.target), normalize_squad, lambda answer, right: float(answer == right))


def squad_f1_sample(sample: ScoringInput) -> float | None:
    """The best word F1 over the right answers; where either is empty, 1 if both are (SQuAD 2.0)."""

    def f1(answer: str, right: str) -> float:
        return token_f1(answer, right) if answer and right else float(answer == right)

    return _best(sample, texts(sample.target), normalize_squad, f1)


def exact_match_sample(sample: ScoringInput) -> float | None:
    """lm-eval's exact_match: 1 where the answer equals any target after what ``args`` ask for.

    In this order: each of ``regexes_to_ignore`` removed, ``ignore_case``, ``ignore_punctuation`` (ASCII, deleted),
    ``ignore_numbers`` (ASCII digits, deleted).
    """
    patterns = [compiled(pattern) for pattern in sample.args.get("regexes_to_ignore") or ()]

    def normalize(text: str) -> str:
        for pattern in patterns:
            text = pattern.sub("", text)
        if sample.args.get("ignore_case"):
            text = text.lower()
        if sample.args.get("ignore_punctuation"):
            text = text.translate(_DELETE_PUNCTUATION)
        if sample.args.get("ignore_numbers"):
            text = text.translate(_DELETE_DIGITS)
        return text

    return _best(sample, texts(sample.target), normalize, lambda answer, right: float(answer == right))


def texts(target: object) -> list[str]:
    """A target as a list of texts: of one text, or a list of them."""
    if isinstance(target, str):
        return [target]
    return [str(text) for text in target] if isinstance(target, Sequence) else [str(target)]


def _best(
    sample: ScoringInput,
    answers: Sequence[str],
    normalize: Callable[[str], str],
    score: Callable[[str, str], float],
) -> float | None:
    """The highest score over the right answers; None without a generated text, 0 without a right answer."""
    if sample.text is None:
        return None
    answer = normalize(sample.text)
    # Many aliases are the same once normalised.
    return max((score(answer, right) for right in {normalize(one) for one in answers}), default=0.0)


_TRIVIAQA = "TriviaQA, evaluation/triviaqa_evaluation.py (Joshi et al. 2017, arXiv 1705.03551)"
_SQUAD = "SQuAD, evaluate-v2.0.py (Rajpurkar et al. 2018, arXiv 1806.03822)"


triviaqa_em = share_metric("triviaqa_em", triviaqa_em_sample, source=_TRIVIAQA, binary=True)
triviaqa_f1 = share_metric("triviaqa_f1", triviaqa_f1_sample, source=_TRIVIAQA)
squad_em = share_metric("squad_em", squad_em_sample, source=_SQUAD, binary=True)
squad_f1 = share_metric("squad_f1", squad_f1_sample, source=_SQUAD)
exact_match = share_metric(
    "exact_match", exact_match_sample, source="lm-evaluation-harness 0.4.13, exact_match", binary=True
)
