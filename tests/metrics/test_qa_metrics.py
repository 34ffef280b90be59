"""Short-answer rules: hand-computed values for the official ones, lm-eval's own function for its own."""

from __future__ import annotations

import itertools

import pytest

from evalkit.metrics import qa
from evalkit.metrics.base import ScoringInput


def answered(text: str | None, target: object, document: dict | None = None, **args: object) -> ScoringInput:
    return ScoringInput(target=target, text=text, document=document or {}, args=args)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The Beatles", "beatles"),
        ("A-ha", "ha"),  # the hyphen becomes a space, and "a" is then an article
        ("rock_'n'_roll", "rock n roll"),
        ("  ‘Quoted’ `text´ ", "quoted text"),
        ("U.S.A.", "u s"),
        ("Théâtre", "théâtre"),
        ("an", ""),
        ("...", ""),
        ("ANTHEM", "anthem"),
    ],
)
def test_triviaqa_normalisation(text: str, normal: str) -> None:
    assert qa.normalize_triviaqa(text) == normal


@pytest.mark.parametrize(
    ("text", "normal"),
    [("The U.S.A.!", "usa"), ("A-ha", "aha"), ("rock_'n'_roll", "rocknroll"), ("‘Quoted’", "‘quoted’"), ("the", "")],
)
def test_squad_normalisation(text: str, normal: str) -> None:
    assert qa.normalize_squad(text) == normal


def test_triviaqa_takes_the_best_over_all_aliases_and_the_value() -> None:
    document = {"answer": {"value": "Mercury (element)", "aliases": ["Quicksilver"], "normalized_aliases": ["hg"]}}
    assert qa.triviaqa_em_sample(answered("the quick-silver", [], document)) == 0.0
    assert qa.triviaqa_em_sample(answered("HG.", [], document)) == 1.0
    assert qa.triviaqa_em_sample(answered("mercury element", ["nothing"], document)) == 1.0
    # Words of the answer: mercury, is, it; of the nearest right one: mercury, element. P 1/3, R 1/2.
    assert qa.triviaqa_f1_sample(answered("mercury is it", [], document)) == pytest.approx(0.4)


def test_triviaqa_empty_answers() -> None:
    assert qa.triviaqa_em_sample(answered("", ["Paris"])) == 0.0
    assert qa.triviaqa_f1_sample(answered("", ["Paris"])) == 0.0
    # Both sides empty once normalised: equal, yet without a word in common.
    assert qa.triviaqa_em_sample(answered("the", ["!!!"])) == 1.0
    assert qa.triviaqa_f1_sample(answered("the", ["!!!"])) == 0.0


def test_no_text_is_not_scored() -> None:
    assert qa.triviaqa_em_sample(answered(None, ["x"])) is None
    assert qa.exact_match_sample(answered(None, ["x"])) is None


def test_squad_rules() -> None:
    assert qa.squad_em_sample(answered("the Eiffel Tower.", ["Eiffel Tower", "Tour Eiffel"])) == 1.0
    # cat sat on mat / cat on mat: P 3/4, R 1.
    assert qa.squad_f1_sample(answered("The cat sat on the mat", ["a cat on a mat"])) == pytest.approx(6 / 7)
    assert qa.squad_f1_sample(answered("a", ["the"])) == 1.0
    assert qa.squad_f1_sample(answered("", ["word"])) == 0.0


TEXTS = ["The Answer", "the answer.", "answer", "", "42 %", "Straße", "a  b", "An apple a day", "É!", "'quoted'"]


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"ignore_case": True},
        {"ignore_case": True, "ignore_punctuation": True},
        {"ignore_numbers": True},
        {"ignore_case": True, "regexes_to_ignore": [r"\b(?:The |the |An |A |The |a |an )"]},
        {"regexes_to_ignore": [",", r"\$", r"(?s).*#### ", r"\.$"], "ignore_punctuation": True},
    ],
)
def test_exact_match_equals_lm_eval(args: dict) -> None:
    from lm_eval.api.metrics import exact_match_hf_evaluate

    for text, targets in itertools.product(TEXTS, itertools.combinations(TEXTS, 2)):
        theirs = exact_match_hf_evaluate([text] * len(targets), list(targets), **args)["exact_match"]
        assert qa.exact_match_sample(answered(text, list(targets), **args)) == float(theirs > 0), (text, targets)
