"""Few-shot draws: lm-eval's sequence, the first ones, one draw for all."""

from __future__ import annotations

import random

import pytest

from evalkit.contract.errors import UserError
from evalkit.task.fewshot import only, sampler

POOL = [{"i": index} for index in range(20)]


def test_random_advances_one_generator() -> None:
    draw = sampler("random", POOL, 3, 1234, False, "toy")
    reference = random.Random(1234)
    for _ in range(4):
        assert draw({"i": 99}) == reference.sample(POOL, 3)


def test_random_without_itself_draws_one_more() -> None:
    draw = sampler("random", POOL, 3, 7, True, "toy")
    reference = random.Random(7)
    for row in POOL:
        expected = [one for one in reference.sample(POOL, 4) if one != row][:3]
        drawn = draw(row)
        assert drawn == expected
        assert row not in drawn


def test_repeats_of_the_document_are_replaced() -> None:
    pool = [{"i": 0}] * 5 + [{"i": 1}, {"i": 2}]
    for seed in range(20):
        drawn = sampler("random", pool, 2, seed, True, "toy")({"i": 0})
        assert sorted(one["i"] for one in drawn) == [1, 2]


def test_first_and_fixed() -> None:
    assert sampler("first_n", POOL, 2, 1, False, "toy")(POOL[0]) == POOL[:2]
    assert sampler("first_n", POOL, 2, 1, True, "toy")(POOL[0]) == POOL[1:3]
    draw = sampler("fixed", POOL, 4, 1234, False, "toy")
    assert draw(POOL[0]) == draw(POOL[5]) == random.Random(1234).sample(POOL, 4)


def test_more_than_there_are() -> None:
    with pytest.raises(UserError, match="toy: 21 few-shot examples asked for, but there are only 20"):
        sampler("random", POOL, 21, 1, False, "toy")
    draw = sampler("random", POOL, 20, 1, True, "toy")
    assert len(draw({"i": 99})) == 20
    with pytest.raises(UserError, match="without the evaluated item there are only 19"):
        draw(POOL[3])


def test_no_shots_need_no_pool() -> None:
    assert sampler("random", [], 0, 1, True, "toy")({"i": 1}) == []


def test_only_some_rows_may_be_examples() -> None:
    pool = [{"n": number} for number in range(5)]
    assert only(pool, (3, 1), "here") == [pool[3], pool[1]]
    assert only(pool, (), "here") is pool
    with pytest.raises(UserError, match=r"here: there is no row 5 among the 5"):
        only(pool, (1, 5), "here")
