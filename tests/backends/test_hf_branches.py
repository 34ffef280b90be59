"""The prefix tree as branches: every row's path is the row, and nothing shared is read twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

import architectures
import tiny_models as tiny

from evalkit.backends.hf.branches import Branch, grow
from evalkit.engine.plan import PrefixPlan

rows_of_few = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=14)


@settings(max_examples=200, deadline=None)
@given(rows=rows_of_few, min_share=st.sampled_from([1, 3, 1000]))
def test_the_branches_of_a_row_are_the_row(rows: list[list[int]], min_share: int) -> None:
    arrays = [np.array(row, dtype=np.int32) for row in rows]
    plan = PrefixPlan(arrays, min_share=min_share)
    read: dict[int, list[int]] = {index: [] for index in range(len(rows))}
    computed = 0
    waiting = [(0, len(rows), 0)]
    while waiting:
        for branch in grow(plan.lengths, plan.shared, *waiting.pop()):
            computed += branch.end - branch.begin
            edge = rows[plan.order[branch.last - 1]][branch.begin : branch.end]
            for index in plan.order[branch.first : branch.last]:
                assert len(read[index]) == min(branch.begin, len(rows[index]))
                read[index] += edge[: len(rows[index]) - branch.begin]
            if not branch.is_leaf:
                waiting.append((branch.rest, branch.last, branch.end))
    assert [read[index] for index in range(len(rows))] == rows
    assert computed <= plan.tokens_computed
    if min_share == 1:
        assert computed == len({tuple(row[: n + 1]) for row in rows for n in range(len(row))})


def test_a_row_that_others_begin_with_is_no_branch_of_its_own() -> None:
    plan = PrefixPlan([np.array(row, dtype=np.int32) for row in ([1, 2], [1, 2, 3], [1, 2, 3], [4])])
    assert grow(plan.lengths, plan.shared, 0, 4, 0) == [Branch(0, 3, 0, 3, 3), Branch(0, 1, 3, 4, 4)]


def _counted(backend: Any, rows: list[Any]) -> tuple[list[float], int]:
    before = backend.meter.computed
    found = [answer.loglikelihood for answer in tiny.answers(backend.score, rows)]
    return found, backend.meter.computed - before


@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("mamba2", "states"),
        ("rwkv", "states"),
        ("lfm2", "states"),
        ("mamba", "states"),
        ("jamba", "states"),
        ("recurrent_gemma", "states"),
    ],
)
def test_what_rows_share_is_read_once_where_a_model_can_go_on(name: str, shares: str) -> None:
    """Eight questions behind one preamble of 40 tokens, four choices of one token each."""
    draw = np.random.default_rng(5).integers(0, tiny.VOCABULARY - 1, 400).tolist()
    made = architectures.made(name)
    rows = [
        tiny.score_row([*draw[:40], *draw[50 + 9 * q : 50 + 9 * q + 3 + q % 4], choice], 43 + q % 4)
        for q in range(8)
        for choice in draw[300:304]
    ]
    backend = tiny.backend(made, name, max_length=128)
    found, computed = _counted(backend, rows)
    questions = sum(3 + q % 4 for q in range(8))
    assert computed == (40 + questions if shares == "states" else 8 * 40 + questions)
    apart = tiny.backend(made, name, max_length=128, share_prefixes=False)
    expected, all_of_it = _counted(apart, rows)
    assert all_of_it == sum(len(row.tokens) - 1 for row in rows)
    assert found == pytest.approx(expected, abs=1e-4)
    assert shares in ("states" if "state" in backend.info.details["plain_sharing"] else "beginnings")
