"""The scheduler and the cutting of units, with nothing but numbers."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from evalkit.engine.executors.scheduler import MAX_LOSSES, Scheduler
from evalkit.engine.plan import PrefixPlan
from evalkit.engine.units import Unit, split


def unit(*rows: int, tokens: int = 0) -> Unit:
    return Unit(rows, tokens or len(rows))


def test_large_units_go_first_and_every_row_is_settled_once():
    scheduler = Scheduler([unit(0, tokens=5), unit(1, 2, tokens=50), unit(3, tokens=20)])
    assert scheduler.take("a") == unit(1, 2, tokens=50)
    assert scheduler.take("b") == unit(3, tokens=20)
    assert [scheduler.answer(row) for row in (1, 3, 1)] == [True, True, False]
    assert scheduler.finish("b") == ()
    assert scheduler.take("b") == unit(0, tokens=5)
    assert scheduler.answer(0)
    assert scheduler.answer(2)
    assert scheduler.done


def test_a_lost_workers_unanswered_rows_go_to_the_next():
    scheduler = Scheduler([unit(0, 1, 2, 3, tokens=40)])
    scheduler.take("a")
    scheduler.answer(0)
    assert scheduler.lose("a") == ()
    assert scheduler.take("b") == Unit((1, 2, 3), 30, losses=1)


def test_rows_that_take_their_workers_down_are_given_up():
    scheduler = Scheduler([unit(0, 1)])
    for n in range(MAX_LOSSES - 1):
        scheduler.take(n)
        assert scheduler.lose(n) == ()
    scheduler.take("last")
    scheduler.answer(1)
    assert scheduler.lose("last") == (0,)
    assert scheduler.done


def test_a_unit_that_does_not_fit_comes_again_in_halves():
    scheduler = Scheduler([unit(*range(4), tokens=8)])
    scheduler.take("a")
    assert scheduler.halve("a") == ()
    assert scheduler.take("a") == unit(0, 1, tokens=4)
    assert scheduler.halve("a") == ()
    assert scheduler.take("a") == unit(0, tokens=2)
    assert scheduler.halve("a") == (0,)
    assert not scheduler.done


def test_an_idle_worker_takes_the_later_half_of_a_slow_ones_rest():
    scheduler = Scheduler([unit(*range(8), tokens=80)])
    scheduler.take("slow")
    scheduler.answer(0)
    scheduler.answer(1)
    copy = scheduler.take("idle")
    assert copy is not None
    assert copy.rows == (5, 6, 7)
    for row in copy.rows:
        assert scheduler.answer(row)
    assert scheduler.obsolete("idle")
    assert not scheduler.obsolete("slow")
    scheduler.finish("idle")
    copy = scheduler.take("idle")
    assert copy is not None
    assert copy.rows == (3, 4)  # 2 is at work, and so on until a worker that hangs has nothing left
    assert scheduler.take("third").rows == (2,)  # nobody computes a row a third time
    assert scheduler.take("fourth") is None
    assert scheduler.lose("slow") == ()  # others have all of it
    for row in (2, 3, 4):
        scheduler.answer(row)
    assert scheduler.done


def test_rows_without_an_answer_are_given_up_unless_another_has_them():
    scheduler = Scheduler([unit(0, 1)])
    scheduler.take("a")
    scheduler.take("copy")
    assert scheduler.finish("copy") == ()
    assert scheduler.finish("a") == (0, 1)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_every_row_is_answered_or_given_up_once(seed):
    draw = random.Random(seed)
    rows = list(range(draw.randint(1, 60)))
    cuts = sorted({0, len(rows), *(draw.randrange(len(rows)) for _ in range(5))})
    scheduler = Scheduler([unit(*rows[a:b]) for a, b in pairwise(cuts)])
    busy: dict[int, Unit] = {}
    settled: list[int] = []
    for _ in range(10_000):
        if scheduler.done:
            break
        worker = draw.randrange(4)
        if worker not in busy:
            work = scheduler.take(worker)
            if work is not None:
                busy[worker] = work
            continue
        event = draw.random()
        if event < 0.8:
            settled += [row for row in busy[worker].rows[: draw.randint(0, 4)] if scheduler.answer(row)]
            if scheduler.obsolete(worker):
                settled += scheduler.finish(worker)
                del busy[worker]
        else:
            settled += (scheduler.lose if event < 0.9 else scheduler.halve)(worker)
            del busy[worker]
    assert scheduler.done
    assert sorted(settled) == rows


def sequences(groups: int, members: int, prefix: int, own: int) -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    heads = [draw.integers(0, 50_000, prefix, dtype=np.int32) for _ in range(groups)]
    rows = [np.concatenate([head, draw.integers(0, 50_000, own, dtype=np.int32)]) for head in heads * members]
    draw.shuffle(rows)
    return rows


def test_units_are_whole_prefix_groups():
    rows = sequences(groups=40, members=10, prefix=300, own=30)
    units = split(rows, workers=2)
    assert sorted(row for part in units for row in part.rows) == list(range(400))
    assert len(units) >= 8
    assert sum(part.tokens for part in units) == PrefixPlan(rows).tokens_computed  # no prefix is computed twice
    assert max(part.tokens for part in units) < 2.5 * min(part.tokens for part in units)


def test_a_group_larger_than_a_unit_is_cut_at_the_price_of_its_prefix():
    rows = sequences(groups=1, members=2_000, prefix=500, own=20)
    units = split(rows, workers=2)
    assert len(units) >= 8
    once = PrefixPlan(rows).tokens_computed
    assert once < sum(part.tokens for part in units) <= once + 500 * len(units)


def test_what_a_row_will_generate_counts():
    rows = sequences(groups=1, members=64, prefix=1, own=10)
    assert len(split(rows, 2)) == 1
    assert len(split(rows, 2, extra=[500] * 64)) >= 8
    assert split([], 3) == []
