"""Judged conversations: a judge with known habits is found out, and what is left is what the script made."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from evalkit.contract.errors import UserError
from evalkit.judge import Judge, arena
from evalkit.judge.chat import Asked, Chat, run
from evalkit.judge.votes import read_votes
from tests.judge.leaning import Leaning
from tests.judge.scripted import judge as scripted

QUESTIONS = 400
LEANING = Leaning(place=0.7, length=1.5, scale=530)


def answers(name: str, quality: float, mean: float, seed: int, n: int = QUESTIONS, spread: float = 250) -> list[Any]:
    """Answers of one turn whose lengths are normal."""
    rng = random.Random(seed)
    rows = []
    for number in range(n):
        text = f"{name} quality={quality} "
        text += "x" * max(0, int(rng.gauss(mean, spread)) - len(text))
        question = f"Question {number}?"
        rows.append(
            {
                "id": number, "category": ("writing", "math")[number % 2], "turn": 1, "question": question,
                "answer": text, "reference": "", "status": "ok", "model": name, "turns": [question],
                "answers": [text],
            }
        )  # fmt: skip
    return rows


def won(place: float, odds: float) -> float:
    """The mean points of a, asked in both orders: a win where both agree, else a tie."""
    forward, backward = (1 / (1 + math.exp(-one)) for one in (place + odds, place - odds))
    return (forward + (1 - backward)) / 2


@pytest.fixture(scope="module")
def found() -> Chat:
    both = {"long": answers("long", 0.0, 900, 1), "short": answers("short", 0.4, 500, 2)}
    return run(Judge(LEANING), both, Asked(("grades", "pairs"), against="short"))


def test_the_place_and_the_length_come_out_as_the_script_made_them(found: Chat) -> None:
    habits = found.habits
    assert habits is not None
    first, longer = habits.first_place, habits.longer
    assert first is not None
    assert longer is not None
    assert first.interval is not None
    odds = [LEANING.odds(row["a"], row["b"]) - 0.7 for row in found.verdicts]
    truth = sum(1 / (1 + math.exp(-(0.7 + one))) + 1 / (1 + math.exp(-(0.7 - one))) for one in odds) / (2 * len(odds))
    assert first.interval[0] < truth < first.interval[1]
    assert first.interval[0] > 0.6
    # In log-odds, free of qualities and lengths: 0.7 for the place, 1.5 tanh(difference / 530) for the length.
    place, length = habits.place, habits.length
    assert place is not None
    assert place.interval is not None
    assert place.interval[0] < 0.7 < place.interval[1]
    assert length is not None
    assert length.interval is not None
    typical = [math.tanh((len(row["a"]) - len(row["b"])) / LEANING.scale) for row in found.verdicts]
    assert length.interval[0] < 1.5 * math.sqrt(sum(one**2 for one in typical) / len(typical)) < length.interval[1]
    assert longer.interval is not None
    assert longer.interval[0] > 0.5
    assert habits.ties is not None
    assert habits.ties.value == 0.0
    assert habits.turned is not None
    assert habits.contradictions == habits.turned == habits.drawn


def test_at_equal_lengths_the_better_model_wins(found: Chat) -> None:
    long, short = found.standings
    assert long.win_rate is not None
    assert long.controlled is not None
    assert long.win_rate.value > 0.5  # by its length
    truth = won(0.7, -0.4)
    assert long.controlled.interval is not None
    assert long.controlled.interval[0] < truth < long.controlled.interval[1]
    assert long.controlled.interval[1] < 0.5
    assert long.controlled.length > 0
    assert (short.win_rate.value if short.win_rate else 0) == pytest.approx(1 - long.win_rate.value)
    assert short.controlled is None
    assert found.ratings is not None
    assert found.controlled is not None
    assert [one.model for one in found.ratings.ratings] == ["long", "short"]
    assert [one.model for one in found.controlled.ratings] == ["short", "long"]
    (effect,) = found.controlled.effects
    assert effect.interval is not None
    assert effect.interval[0] > 0


def test_a_judge_without_habits_has_none() -> None:
    both = {"one": answers("one", 0.3, 600, 3), "two": answers("two", 0.0, 600, 4)}
    fair = run(Judge(Leaning()), both, Asked(("pairs",), against="two"))
    assert fair.habits is not None
    for share in (fair.habits.first_place, fair.habits.longer):
        assert share is not None
        assert share.interval is not None
        assert share.interval[0] < 0.5 < share.interval[1]
    one = fair.standings[0]
    assert one.win_rate is not None
    assert one.win_rate.interval is not None
    assert one.controlled is not None
    assert one.controlled.interval is not None
    assert one.win_rate.interval[0] < won(0, 0.3) < one.win_rate.interval[1]
    assert one.controlled.interval[0] < won(0, 0.3) < one.controlled.interval[1]


def test_grades_by_turn_and_category(found: Chat) -> None:
    graded = found.standings[0].graded
    assert graded is not None
    assert graded.mean is not None
    assert (graded.mean.n, set(graded.categories), set(graded.turns)) == (QUESTIONS, {"writing", "math"}, {1})
    assert graded.mean.value == pytest.approx(5 + 900 / 530, abs=0.2)
    assert found.with_length is not None
    assert found.with_length > 0.8
    assert len(found.grades) == 2 * QUESTIONS


def test_side_by_side_grades_are_relative() -> None:
    both = {"one": answers("one", 2.0, 300, 3, n=10), "two": answers("two", 0.0, 300, 4, n=10)}
    chat = run(Judge(Leaning(place=0.5)), both, Asked(("scores",), against="two"))
    one = chat.standings[0].relative
    assert one is not None
    assert one.value == pytest.approx(7.25 / 5.25)
    assert chat.first_gain == pytest.approx(0.5)
    assert chat.habits is None


def test_an_arena_judges_where_it_learns_most() -> None:
    qualities = (0.0, 0.1, 0.2, 3.0, 6.0)
    models = {f"m{n}": answers(f"m{n}", value, 300, n, n=60, spread=1) for n, value in enumerate(qualities)}
    leaning = Leaning()
    chat = run(Judge(leaning), models, Asked(("pairs",), battles=150, seed=3))
    assert len(chat.verdicts) == 150
    assert leaning.asked == 300
    counts = {(one.a, one.b): one.win_rate.n if one.win_rate else 0 for one in chat.meetings}
    assert chat.ratings is not None
    assert [one.model for one in chat.ratings.ratings][:2] == ["m4", "m3"]
    # Between models that are as good as alike a battle says most; one that is decided beforehand says nothing.
    assert min(counts["m0", "m1"], counts["m1", "m2"]) > 2 * counts["m0", "m4"]
    used = [row["key"] for row in chat.verdicts]
    assert max(used.count(one) for one in set(used)) <= 4  # questions in turn


def test_the_arena_knows_more_than_chance_would() -> None:
    strengths = (0.0, 0.2, 0.4, 2.5, 5.0)
    rng = random.Random(5)

    def verdict(one: arena.Match) -> float:
        return float(rng.random() < 1 / (1 + math.exp(strengths[one.b] - strengths[one.a])))

    pairs = arena.all_pairs(len(strengths))
    questions = {pair: [str(n) for n in range(100)] for pair in pairs}
    chosen = arena.choose(questions, len(strengths), 200, lambda found: [verdict(one) for one in found], seed=1)
    even = [arena.Match(*pairs[n % len(pairs)], str(n)) for n in range(200)]
    evenly = {one: verdict(one) for one in even}

    def spread(points: arena.Points) -> float:
        return float(arena.fitted(points, len(strengths))[1].trace())

    assert spread(chosen) < 0.97 * spread(evenly)


def test_people_are_compared_with_the_judge() -> None:
    both = {"one": answers("one", 9.0, 300, 3, n=4), "two": answers("two", 0.0, 300, 4, n=4)}
    rows = [
        {"question_id": 0, "turn": 1, "model_a": "one", "model_b": "two", "winner": "model_a"},
        {"question_id": 0, "turn": 1, "model_a": "two", "model_b": "one", "winner": "model_b"},
        {"question_id": 1, "model_a": "two", "model_b": "one", "winner": "model_a"},
        {"question_id": 2, "model_a": "one", "model_b": "two", "winner": "tie"},
        {"question_id": 99, "model_a": "one", "model_b": "two", "winner": "tie"},
    ]
    found = run(Judge(Leaning()), both, Asked(("pairs",)), read_votes(rows, "votes")).people
    assert found is not None
    assert found.every is not None
    assert found.decided is not None
    assert found.among is not None
    assert (found.every.share, found.every.n, found.unmatched) == (0.5, 4, 1)
    assert (found.decided.share, found.decided.n) == (pytest.approx(2 / 3), 3)
    assert (found.among.share, found.among.n) == (1.0, 1)
    with pytest.raises(UserError, match="votes: row 1: write question_id"):
        read_votes([{"winner": "a"}], "votes")


@pytest.mark.parametrize(
    ("models", "asked", "said"),
    [
        (1, Asked(("pairs",)), "pairs take two models"),
        (2, Asked(("pairs",), against="x"), "--against x: none of the models"),
        (2, Asked(("pairs",), against="m0", battles=3), "without --against"),
        (3, Asked(("pairs",), battles=1), "take at least 2 battles"),
    ],
)
def test_settings_that_do_not_fit(models: int, asked: Asked, said: str) -> None:
    given = {f"m{n}": answers(f"m{n}", 0.0, 50, n, n=3) for n in range(models)}
    with pytest.raises(UserError, match=said):
        run(scripted({"text": "[[A]]"}), given, asked)


def test_a_silent_judge_leaves_nothing_rated() -> None:
    both = {"one": answers("one", 9.0, 300, 3, n=4), "two": answers("two", 0.0, 300, 4, n=4)}
    chat = run(scripted({"text": "Well."}), both)
    assert chat.unread == {"no verdict": 16}
    assert chat.ratings is None
    assert [one.graded.mean if one.graded else 0 for one in chat.standings] == [None, None]
    assert [one.win_rate for one in chat.standings] == [None, None]
