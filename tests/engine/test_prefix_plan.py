"""The plan against a prefix tree built naively: same tokens once, each attending to exactly its own path."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evalkit.engine.plan import Pass, PrefixPlan

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=12)


def prefixes(rows: list[list[int]]) -> set[tuple[int, ...]]:
    return {tuple(row[:end]) for row in rows for end in range(1, len(row) + 1)}


class Simulator:
    """Runs passes as a model would, but each "key" is the token and position it stands for."""

    def __init__(self) -> None:
        self.stack: dict[int, int] = {}
        self.paths: list[tuple[int, ...]] = []

    def run(self, work: Pass) -> list[tuple[int, ...]]:
        seen: list[list[tuple[int, int]]] = [[] for _ in work.tokens]
        keys = [(int(p), int(t)) for p, t in zip(work.positions, work.tokens, strict=True)]
        for begin, end in work.segments:
            for query in range(begin, end):
                seen[query] += keys[begin : query + 1]
        for cross in work.crosses:
            for query in range(cross.query_begin, cross.query_end):
                seen[query] += keys[cross.key_begin : cross.key_end]
        for held in work.held:
            for query in range(held.query_begin, held.query_end):
                seen[query] += [(position, self.stack[position]) for position in range(held.depth)]
        paths = []
        for query, attended in enumerate(seen):
            attended.sort()
            assert [position for position, _ in attended] == list(range(int(work.positions[query]) + 1))
            paths.append(tuple(token for _, token in attended))
        for keep in work.keeps:
            for index in range(keep.begin, keep.end):
                self.stack[keep.position + index - keep.begin] = int(work.tokens[index])
        return paths


def walk(plan: PrefixPlan, budget: int, endings_wanted: int = 0) -> tuple[list[Pass], list[tuple[int, ...]]]:
    simulator, cursor = Simulator(), plan.start()
    passes, paths = [], []
    while not plan.done(cursor):
        work, cursor = plan.cut(cursor, budget, endings_wanted)
        assert len(work.tokens) <= budget
        passes.append(work)
        paths += simulator.run(work)
    return passes, paths


def arrays(rows: list[list[int]]) -> list[np.ndarray]:
    return [np.array(row, dtype=np.int32) for row in rows]


@given(rows=ROWS, budget=st.integers(1, 30))
@settings(max_examples=300, deadline=None)
def test_every_node_of_the_tree_is_computed_once_on_its_own_path(rows: list[list[int]], budget: int) -> None:
    plan = PrefixPlan(arrays(rows))
    _, paths = walk(plan, budget)
    assert len(paths) == len(set(paths)) == plan.tokens_computed
    assert set(paths) == prefixes(rows)
    assert plan.tokens_given == sum(map(len, rows))


@given(rows=ROWS, budget=st.integers(1, 30), min_share=st.integers(2, 20))
@settings(max_examples=200, deadline=None)
def test_sharing_less_computes_more_but_still_the_right_paths(
    rows: list[list[int]], budget: int, min_share: int
) -> None:
    plan = PrefixPlan(arrays(rows), min_share=min_share)
    _, paths = walk(plan, budget)
    assert set(paths) == prefixes(rows)
    assert plan.tokens_computed >= len(prefixes(rows))


@given(rows=ROWS, budget=st.integers(1, 30), min_share=st.sampled_from([1, 3]), data=st.data())
@settings(max_examples=300, deadline=None)
def test_reads_reach_the_token_that_ends_the_asked_prefix(
    rows: list[list[int]], budget: int, min_share: int, data: st.DataObject
) -> None:
    firsts = [data.draw(st.integers(0, len(row) - 1)) for row in rows]
    reads = [(first, [100 * i + k for k in range(len(rows[i]) - first)]) for i, first in enumerate(firsts)]
    plan = PrefixPlan(arrays(rows), reads, min_share=min_share)
    passes, paths = walk(plan, budget)
    answered, done = [], 0
    for work in passes:
        for index, target, row in zip(work.read_index, work.read_target, work.read_row, strict=True):
            position = firsts[row] + int(target) - 100 * int(row)
            assert paths[done + index] == tuple(rows[row][: position + 1])
            answered.append(int(target))
        done += len(work.tokens)
    assert sorted(answered) == sorted(target for _, targets in reads for target in targets)


@given(rows=ROWS, budget=st.integers(1, 30), wanted=st.integers(1, 4))
@settings(max_examples=200, deadline=None)
def test_endings_tile_the_whole_path_of_every_row(rows: list[list[int]], budget: int, wanted: int) -> None:
    plan = PrefixPlan(arrays(rows))
    simulator, cursor, ended = Simulator(), plan.start(), []
    while not plan.done(cursor):
        work, cursor = plan.cut(cursor, budget, wanted)
        assert len(work.endings) <= wanted
        for ending in work.endings:
            path: list[int] = []
            for position, begin, length in ending.pieces:
                assert position == len(path)
                if begin < 0:
                    path += [simulator.stack[p] for p in range(position, position + length)]
                else:
                    path += work.tokens[begin : begin + length].tolist()
            assert path == rows[ending.row]
            ended.append(ending.row)
        simulator.run(work)
    assert sorted(ended) == list(range(len(rows)))


def test_cutting_again_with_a_smaller_budget_changes_nothing_that_was_done() -> None:
    rows = [[1, 2, 3, 4, 5, 6], [1, 2, 3, 7], [1, 2, 8, 9]]
    plan = PrefixPlan(arrays(rows))
    _, cursor = plan.cut(plan.start(), 4)
    whole, _ = plan.cut(cursor, 100)
    part, middle = plan.cut(cursor, 1)
    rest, _ = plan.cut(middle, 100)
    assert whole.tokens.tolist() == [*part.tokens.tolist(), *rest.tokens.tolist()]


def test_a_shared_few_shot_prefix_is_computed_once() -> None:
    shots = list(range(100, 400))
    rows = [[*shots, *range(1000 * doc, 1000 * doc + 70)] for doc in range(1, 11)]
    plan = PrefixPlan(arrays(rows))
    assert plan.tokens_given == 10 * 370
    assert plan.tokens_computed == 300 + 10 * 70
