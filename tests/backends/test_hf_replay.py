"""A resumed run repeats the unbroken run's passes: equal to the last bit, at little more than what was missing."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import tiny_models as tiny

from evalkit.backends.hf import replay
from evalkit.contract.backend import LoglikelihoodRow, RowResult
from evalkit.engine.plan import PrefixPlan


def rows(seed: int, groups: int = 9, members: int = 6) -> list[LoglikelihoodRow]:
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(groups):
        head = draw.integers(0, 60, int(draw.integers(1, 40)))
        for _ in range(members):
            own = draw.integers(0, 60, int(draw.integers(2, 25)))
            tokens = np.concatenate([head, own]).astype(np.int32)
            found.append(LoglikelihoodRow(tokens, int(draw.integers(1, len(tokens)))))
    return found


def walk(backend, asked, known=(), stop_after: int | None = None) -> dict[int, RowResult]:
    """Answers by place, in the order in which they came; those behind ``stop_after`` never came."""

    class Stop(BaseException):
        pass

    answers: dict[int, RowResult] = {}

    def done(place: int, answer) -> None:
        answers[place] = answer
        if len(answers) == stop_after:
            raise Stop

    with suppress(Stop):
        backend.score(asked, done, known=known)
    return answers


@pytest.mark.parametrize("kept", [1, 7, 20, 33, 47, 53])
def test_a_resumed_score_is_the_unbroken_one_to_the_last_bit(kept):
    asked = rows(kept)
    backend = tiny.backend(tiny.model("llama"), batch_size=1)
    whole = walk(backend, asked)
    assert len(whole) == len(asked)
    first = walk(backend, asked, stop_after=kept)
    assert first == {place: whole[place] for place in first}
    missing = [place for place in range(len(asked)) if place not in first]
    before = backend.meter.computed
    rest = walk(backend, [asked[place] for place in missing], known=[asked[place] for place in first])
    assert {missing[place]: answer for place, answer in rest.items()} == {place: whole[place] for place in missing}
    alone = PrefixPlan([asked[place].tokens[:-1] for place in missing], min_share=4).tokens_computed
    longest = max(len(row.tokens) for row in asked)
    assert backend.meter.computed - before <= alone + replay.SPARE_PASSES * longest


def test_scattered_rows_are_planned_by_themselves():
    asked = rows(3, groups=40)
    backend = tiny.backend(tiny.model("llama"), batch_size=2)
    whole = walk(backend, asked)
    missing = list(range(0, len(asked), 17))
    before = backend.meter.computed
    rest = walk(
        backend,
        [asked[place] for place in missing],
        known=[row for place, row in enumerate(asked) if place not in missing],
    )
    assert [rest[n].loglikelihood for n in range(len(missing))] == pytest.approx(
        [whole[place].loglikelihood for place in missing], abs=1e-4
    )
    alone = PrefixPlan([asked[place].tokens[:-1] for place in missing], min_share=4).tokens_computed
    longest = max(len(row.tokens) for row in asked)
    assert backend.meter.computed - before <= alone + replay.SPARE_PASSES * 2 * longest


def test_all_wanted_is_the_whole_walk():
    asked = rows(5)
    plan = PrefixPlan([row.tokens[:-1] for row in asked], [(row.start - 1, row.tokens[row.start :]) for row in asked])
    spans, tokens = replay.needed(plan, 30, np.ones(len(asked), dtype=bool))
    assert tokens == plan.tokens_computed
    assert [end for _, end in spans[:-1]] == [begin for begin, _ in spans[1:]]
    assert replay.needed(plan, 30, np.zeros(len(asked), dtype=bool)) == ([], 0)
