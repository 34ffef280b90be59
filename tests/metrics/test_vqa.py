"""VQA accuracy and ANLS by their published formulas, worked out by hand."""

from __future__ import annotations

from itertools import combinations

import pytest

from evalkit.contract import registry
from evalkit.metrics.base import ScoringInput
from evalkit.metrics.vqa import edit_distance, normalize_vqa


def value(metric: str, text: str, target: list[str]) -> float:
    found = registry.load(registry.METRICS, metric)
    return float(found.per_item(ScoringInput(target=target, document={}, text=text)))


def test_answers_are_normalised_as_the_official_script_does() -> None:
    assert normalize_vqa("The  Two dogs.\n") == "2 dogs"
    assert normalize_vqa("dont, wont") == "don't won't"
    assert normalize_vqa("1,000") == "1000"
    assert normalize_vqa("3.5") == "3.5"
    assert normalize_vqa("black/white") == "black white"
    assert normalize_vqa("None") == "0"


@pytest.mark.parametrize("alike", range(11))
def test_vqa_accuracy_is_the_mean_over_nine_of_ten_people(alike: int) -> None:
    people = ["red"] * alike + [f"other {number}" for number in range(10 - alike)]
    by_hand = sum(min(1.0, nine.count("red") / 3) for nine in combinations(people, 9)) / 10
    assert value("vqa_accuracy", " Red.", people) == pytest.approx(by_hand)


def test_unanimous_answers_stand_as_they_are() -> None:
    assert value("vqa_accuracy", "a dog", ["a dog"] * 10) == 0.0  # the script leaves these with their article
    assert value("vqa_accuracy", "a dog", ["a dog"] * 9 + ["cat"]) == 1.0


def test_anls_forgives_slips_up_to_one_half() -> None:
    assert value("anls", "Paris ", ["paris"]) == 1.0
    assert value("anls", "Pariz", ["London", "Paris"]) == pytest.approx(0.8)
    assert value("anls", "abcd", ["abxy"]) == 0.5
    assert value("anls", "abcd", ["axyz"]) == 0.0
    assert value("anls", "", ["x"]) == 0.0
    assert edit_distance("kitten", "sitting") == 3
    assert value("anls", "x" * 100_000, ["short"]) == 0.0
