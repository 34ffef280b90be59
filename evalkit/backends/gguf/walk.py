"""Log-likelihoods by a walk over the prefix tree: every shared token is computed once.

A pass of the plan has several segments, each one new branch. Branch i of a pass is sequence i + 1; a token belongs to
all branches whose path goes through it, so llama.cpp computes its keys and values once and each branch sees exactly its
own path. Sequence 0 holds the path from earlier passes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from evalkit.backends.gguf.native import Context
from evalkit.contract.backend import LoglikelihoodResult, LoglikelihoodRow, OnResult, RowResult, no_op
from evalkit.engine.plan import Cursor, Pass, PrefixPlan
from evalkit.perf.clocks import Stopwatch
from evalkit.perf.counters import Meter

HELD = 0
"""The sequence that carries the path from pass to pass."""


def score(
    context: Context,
    rows: Sequence[LoglikelihoodRow],
    n_batch: int,
    done: OnResult,
    share: bool,
    meter: Meter,
    after_pass: Callable[[], None] = no_op,
) -> None:
    """RowResult every row through ``done``. Without ``share`` each row is computed from its first token on."""
    groups = [list(range(len(rows)))] if share else [[index] for index in range(len(rows))]
    for group in groups:
        _walk(context, [rows[index] for index in group], n_batch, partial(_tell, done, group), meter, after_pass)


def _tell(done: OnResult, group: Sequence[int], index: int, result: RowResult | Exception) -> None:
    done(group[index], result)


def _walk(
    context: Context,
    rows: Sequence[LoglikelihoodRow],
    n_batch: int,
    done: OnResult,
    meter: Meter,
    after_pass: Callable[[], None],
) -> None:
    meter.read(sum(len(row.tokens) - 1 for row in rows))
    plan = PrefixPlan([row.tokens[:-1] for row in rows], [(row.start - 1, row.tokens[row.start :]) for row in rows])
    totals = np.zeros(len(rows))
    greedy = np.ones(len(rows), dtype=bool)
    left = np.array([len(row.tokens) - row.start for row in rows])
    context.clear()
    cursor = plan.start()
    while not plan.done(cursor):
        work, behind = _cut(plan, cursor, n_batch, context.sequences - 1)
        watch = Stopwatch()
        _run(context, work, behind.position)
        meter.prefill(len(work.tokens), watch.lap())
        cursor = behind
        for index, target, row in zip(work.read_index, work.read_target, work.read_row, strict=True):
            value, best = log_probability(context.logits(int(index)), int(target))
            totals[row] += value
            greedy[row] &= best
            left[row] -= 1
        for row in np.unique(work.read_row):
            if left[row] == 0:
                done(int(row), _answer(float(totals[row]), bool(greedy[row])))
        after_pass()


def _cut(plan: PrefixPlan, cursor: Cursor, budget: int, branches: int) -> tuple[Pass, Cursor]:
    """The next pass of at most ``budget`` tokens and ``branches`` segments."""
    work, behind = plan.cut(cursor, budget)
    if len(work.segments) > branches:
        work, behind = plan.cut(cursor, work.segments[branches - 1][1])
    return work, behind


def _run(context: Context, work: Pass, keep: int) -> None:
    """Compute a pass, then hold the first ``keep`` positions of its last branch's path."""
    if len(work.tokens) == 0:
        context.cut(HELD, keep)
        return
    members: list[list[int]] = [[] for _ in work.tokens]
    path: list[int] = []  # indices into the pass, by position behind what is held
    held = int(work.positions[0])
    for branch, (begin, end) in enumerate(work.segments, start=1):
        position = int(work.positions[begin])
        if position < held:
            held, path = position, []
        del path[position - held :]
        path.extend(range(begin, end))
        for index in path:
            members[index].append(branch)
    _hold(context, work)
    context.decode(work.tokens, work.positions, members, np.unique(work.read_index).tolist())
    last = len(work.segments)
    context.cut(HELD, 0)
    context.copy(last, HELD)
    for branch in range(1, last + 1):
        context.cut(branch, 0)
    context.cut(HELD, keep)


def _hold(context: Context, work: Pass) -> None:
    """Give each branch what it sees of the held path: sequence 0 as far as its first new token."""
    reach: int | None = None
    for branch, (begin, _) in enumerate(work.segments, start=1):
        position = int(work.positions[begin])
        reach = position if reach is None else min(reach, position)
        context.copy(HELD, branch)
        context.cut(branch, reach)


def log_probability(logits: npt.NDArray[np.float32], target: int) -> tuple[float, bool]:
    """Log-probability in nats of ``target`` under softmax(``logits`` [vocabulary]), and whether it is the arg-max."""
    top = float(logits.max())
    total = float(np.exp(logits - top, dtype=np.float32).sum(dtype=np.float64))
    return float(logits[target]) - top - float(np.log(total)), int(logits.argmax()) == target


def _answer(total: float, greedy: bool) -> LoglikelihoodResult | Exception:
    return (
        LoglikelihoodResult(total, greedy)
        if np.isfinite(total)
        else ArithmeticError("the model's logits are not finite")
    )
