"""Boards, looks at growing data, and several tasks as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evalkit.statistics.margins import shown_at
from evalkit.statistics.ranks import (
    Pairwise,
    Ranks,
    joint_alpha,
    paired_covariance,
    rank_intervals,
    ranks_of_pairs,
    ranks_of_wins,
)
from evalkit.statistics.sequential import Boundary, Levels, Look
from evalkit.statistics.shares import PairedShares
from verdicts.clustered import as_pair
from verdicts.commands import ALPHA, decide_several, flips, outcome_of_flips, shown_of_flips, tails_of_flips
from verdicts.drawing import ALARM, MARGIN, PASS, Effort, Vector, most
from verdicts.single import binomial


def boards(effort: Effort) -> Iterator[str]:
    yield "Equal models that answered the same items: how often one is ranked lower than the first (limit 0.055)."
    yield ""
    yield "| Models | Items | Joint intervals, paired | Joint, as independent | Each pair at 95 %, as independent |"
    yield "|--:|--:|--:|--:|--:|"
    for count, n in ((5, 500), (20, 500), (20, 50), (50, 500)):
        generator, runs = effort.generator("board", count, n), effort.of(8)
        rates = np.zeros(3)
        for run in range(runs):
            table = _answers(generator, count, n, 0.0)
            scores, own = table.mean(axis=1), table.var(axis=1, ddof=1) / n
            joint = _paired_ranks(table)
            apart = rank_intervals(scores, np.diag(own), freedom=n - 1, draws=1000, seed=run)
            gap = scores.max() - scores
            each = gap > 1.96 * np.sqrt(own + own[scores.argmax()])
            rates += (max(joint.best) > 1, max(apart.best) > 1, bool(each.any()))
        first, second, third = rates / runs
        yield f"| {count} | {n} | {most(first, ALARM, runs)} | {most(second, ALARM, runs)} | {third:.3f} |"


def win_rates(effort: Effort) -> Iterator[str]:
    yield "Ranks by mean win rate of models that answered the same 500 items of every column. Equal ones: how often one"
    yield "is ranked lower than the first (limit 0.055). Others lie this far apart in every column: how many ranks a"
    yield "model may have, and how often the true rank of one is not among them (limit 0.055)."
    yield ""
    yield "| Models | Columns | Equal: ranked lower | 2 points apart: ranks | Wrong | 10 points apart: ranks | Wrong |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for count, columns in ((2, 1), (2, 5), (5, 5), (8, 10)):
        cells = []
        for apart in (0.0, 0.02, 0.1):
            generator, runs = effort.generator("wins", count, columns, apart), effort.of(max(1, count * columns / 20))
            wrong, width = 0, 0.0
            for _ in range(runs):
                found = ranks_of_wins([_compared(_answers(generator, count, 500, apart)) for _ in range(columns)])
                true = np.arange(count) + 1
                wrong += (
                    max(found.best) > 1
                    if not apart
                    else bool(((np.array(found.best) > true) | (np.array(found.worst) < true)).any())
                )
                width += float(np.mean(np.array(found.worst) - found.best)) + 1
            cells.append(most(wrong / runs, ALARM, runs))
            cells[-1] = f"{width / runs:.2f} | {cells[-1]}" if apart else cells[-1]
        yield f"| {count} | {columns} | " + " | ".join(cells) + " |"


def _answers(generator: np.random.Generator, count: int, n: int, apart: float) -> Vector:
    """Right and wrong of models, the first the best, on the same items of unlike ease."""
    ease = generator.random(n)
    draws = np.where(generator.random((count, n)) < 0.5, ease, generator.random((count, n)))
    return (draws < (0.9 if apart else 0.6) - apart * np.arange(count)[:, None]).astype(float)


SCENARIOS = (
    ("none", 0.0, 0.1),
    ("the margin", 0.02, 0.1),
    ("the margin, nothing gained", 0.02, 0.02),
    ("twice the margin", 0.04, 0.1),
    ("10 points", 0.1, 0.2),
    ("broken: 30 points", 0.3, 0.4),
)
"""True loss and share of flipped items."""
CEILING = 2000


def _paired_ranks(table: Vector) -> Ranks:
    """As a board ranks: every pair's own decision, at the level that holds for all of them."""
    found = _compared(table)
    return ranks_of_pairs(found.gaps, found.p_values, joint_alpha(found.covariance, draws=1000))


def _compared(table: Vector) -> Pairwise:
    count, n = table.shape
    gained = (table[:, None] > table[None]).sum(axis=2)
    p_values = np.ones((count, count))
    for i in range(count):
        for j in range(i):
            p_values[i, j] = p_values[j, i] = flips(int(gained[i, j]), int(gained[j, i]), n).difference.p_value
    exact = np.zeros((count, count), dtype=bool)
    return Pairwise((gained - gained.T).astype(float), p_values, paired_covariance(table), exact)


def looks(effort: Effort) -> Iterator[str]:
    yield f"`evalkit check` of one task: margin 2 points, 10 % of the items flip, at most {CEILING:,} items."
    yield "Limits: 0.025 for passes at a loss of the margin or more, and for regressions at one of the margin or less."
    yield "Where any loss fails (`fail_on: any_loss`), the regression's limit is at no loss."
    yield ""
    yield "| Looks | True loss | Pass | Regression | Neither | Mean items | Any loss: pass | Regression | Mean items |"
    yield "|--:|:--|--:|--:|--:|--:|--:|--:|--:|"
    for count in (5, 10, 20):
        for name, loss, rate in SCENARIOS:
            runs = effort.of(1 / 4)
            parts = []
            for any_loss in (False, True):
                tally, used = _checked(
                    effort.generator("looks", name), runs, [(loss, rate)], _levels(count, 1), any_loss
                )
                passed, worse = tally["pass"] / runs, tally["regression"] / runs
                good = most(passed, 0.025, runs) if loss >= MARGIN else f"{passed:.3f}"
                bad = most(worse, 0.025, runs) if loss <= (0 if any_loss else MARGIN) else f"{worse:.3f}"
                neither = "" if any_loss else f" | {tally[None] / runs:.3f}"
                parts.append(f"{good} | {bad}{neither} | {used / runs:,.0f}")
            yield f"| {count} | {name} | " + " | ".join(parts) + " |"


def looks_uncorrected(effort: Effort) -> Iterator[str]:
    yield "What `evalkit check` is for: the plain test (2.5 % each time) at every look, until it decides. Margin 2"
    yield f"points, 10 % of the items flip, at most {CEILING:,} items; limit 0.025."
    yield ""
    yield "| Looks | Passes at a loss of the margin | Regressions at a loss of the margin |"
    yield "|--:|--:|--:|"
    for count in (1, 4, 20):
        runs = effort.of(1 / 4)
        plain = Look(1.0, 1.96, 0.025, 0.025)
        levels = [((k + 1) / count, Levels(plain, plain)) for k in range(count)]
        tally, _ = _checked(effort.generator("uncorrected", count), runs, [(MARGIN, 0.1)], levels, False)
        passed, worse = (most(tally[word] / runs, 0.025, runs) for word in ("pass", "regression"))
        yield f"| {count} | {passed} | {worse} |"


def looks_at_several(effort: Effort) -> Iterator[str]:
    yield f"`evalkit check` of several tasks that must all pass, each of at most {CEILING:,} items, 20 looks. Limits as"
    yield "above, of the whole: a pass where a task lost the margin, a regression where none lost more."
    yield ""
    yield "| Tasks | True loss | Pass | Regression | Neither | Mean items a task |"
    yield "|--:|:--|--:|--:|--:|--:|"
    for tasks in (3, 10):
        for name, losses in (
            ("none", [0.0] * tasks),
            ("the margin in one", [0.02, *[0.0] * (tasks - 1)]),
            ("the margin in all", [0.02] * tasks),
            ("twice the margin in one", [0.04, *[0.0] * (tasks - 1)]),
            ("30 points in one", [0.3, *[0.0] * (tasks - 1)]),
        ):
            runs = effort.of(tasks / 6)
            generator = effort.generator("several looks", tasks, name)
            tally, used = _checked(
                generator, runs, [(loss, max(0.1, 1.3 * loss)) for loss in losses], _levels(20, tasks), False
            )
            passed, worse = tally["pass"] / runs, tally["regression"] / runs
            good = most(passed, 0.025, runs) if max(losses) >= MARGIN else f"{passed:.3f}"
            bad = most(worse, 0.025, runs) if max(losses) <= MARGIN else f"{worse:.3f}"
            yield f"| {tasks} | {name} | {good} | {bad} | {tally[None] / runs:.3f} | {used / runs / tasks:,.0f} |"


def _checked(
    generator: np.random.Generator,
    runs: int,
    tasks: list[tuple[float, float]],
    levels: list[tuple[float, Levels]],
    any_loss: bool,
) -> tuple[dict[str | None, int], int]:
    """How often looks at tasks with a (true loss, share of flips) end in what; all items that were asked."""
    tally: dict[str | None, int] = {"pass": 0, "regression": 0, None: 0}
    used = 0
    for _ in range(runs):
        counts, passed, outcome = np.zeros((len(tasks), 3), dtype=int), [False] * len(tasks), None
        for fraction, level in levels:
            for place, (loss, rate) in enumerate(tasks):
                if passed[place]:
                    continue
                more = round(fraction * CEILING) - int(counts[place].sum())
                counts[place] += generator.multinomial(more, [(rate - loss) / 2, (rate + loss) / 2, 1 - rate])
                gained, lost, still = map(int, counts[place])
                gain = _Cached(gained, lost, gained + lost + still, level.passing.alpha)
                found = level.shown(gain, MARGIN, any_loss=any_loss)
                outcome = "regression" if found == "regression" else outcome
                passed[place] = found == "pass"
            if outcome or all(passed):
                break
        tally[outcome or ("pass" if all(passed) else None)] += 1
        used += int(counts.sum())
    return tally, used


def _levels(count: int, tests: int) -> list[tuple[float, Levels]]:
    """Of the looks that are taken."""
    boundary = Boundary(tests=tests)
    found = [((k + 1) / count, boundary.at((k + 1) / count)) for k in range(count)]
    return [(fraction, level) for fraction, level in found if level is not None]


@dataclass(frozen=True)
class _Cached:
    """A paired difference of shares. Where Tango's p-value, the smaller of the two that are joined, is above ``alpha``
    already, it stands for both; the others are kept from draw to draw.
    """

    gained: int
    lost: int
    n: int
    alpha: float

    def p_value(self, null: float = 0.0, alternative: str = "two-sided") -> float:
        side = 1 if alternative == "greater" else 0
        quick = PairedShares(self.gained, self.lost, self.n).tails(null)[side]
        if quick > self.alpha:
            return quick
        less, more = tails_of_flips(self.gained, self.lost, self.n, null)
        return more if alternative == "greater" else less


def several_tasks(effort: Effort) -> Iterator[str]:
    yield "An unchanged model (10 % of the items flip) at a margin of 2 points: how often it passes. Where every task"
    yield "must pass, from exact sums over one task's outcomes; the average's from draws."
    yield ""
    yield "| Tasks | Items each | Every task must pass | Their average must pass |"
    yield "|--:|--:|--:|--:|"
    for n in (200, 500, 1000):
        alone = sum(mass for gained, lost, mass in flip_masses(n, 0.05, 0.05)
                    if shown_of_flips(gained, lost, n, 0.02) == "pass")  # fmt: skip
        for tasks in (1, 3, 5, 10):
            generator, runs = effort.generator("several", tasks, n), effort.of(2 + tasks * n / 2000)
            passed = 0
            for _ in range(runs):
                pairs = [as_pair(generator.choice([1.0, -1.0, 0.0], size=n, p=[0.05, 0.05, 0.9])) for _ in range(tasks)]
                found = decide_several([a for a, _ in pairs], [b for _, b in pairs])
                passed += shown_at(found.gain, 0.02, ALPHA / 2) == "pass"
            yield f"| {tasks} | {n} | {alone**tasks:.4f} | {alone if tasks == 1 else passed / runs:.4f} |"


def gate(effort: Effort) -> Iterator[str]:
    yield "Margin 2 points, 10 % of the items flip. Wrong are a regression where the loss is the margin or less,"
    yield f"a pass where it is the margin or more (limit {PASS:.3f}), and with `fail_on: any_loss` a regression where"
    yield "there is none."
    yield ""
    yield "| True loss | Items | 0: pass | 1: regression | 3: cannot tell | 1 with any loss |"
    yield "|:--|--:|--:|--:|--:|--:|"
    for loss in (0.0, 0.01, 0.02, 0.03, 0.05, 0.1):
        for n in (200, 1000, 2000, 5000):
            generator, runs = effort.generator("gate", loss, n), effort.of(1 + n / 2000)
            counts = generator.multinomial(n, [(0.1 - loss) / 2, (0.1 + loss) / 2, 0.9], size=runs)
            found = [outcome_of_flips(int(b), int(c), n, 0.02) for b, c, _ in counts]
            strict = sum(outcome_of_flips(int(b), int(c), n, 0.02, "any_loss") == "regression" for b, c, _ in counts)
            passed, worse, unclear = (found.count(one) / runs for one in ("pass", "regression", "inconclusive"))
            good = most(passed, PASS, runs) if loss >= 0.02 else f"{passed:.3f}"
            bad = most(worse, PASS, runs) if loss <= 0.02 else f"{worse:.3f}"
            any_loss = most(strict / runs, PASS, runs) if loss == 0 else f"{strict / runs:.3f}"
            yield f"| {100 * loss:g} points | {n:,} | {good} | {bad} | {unclear:.3f} | {any_loss} |"


def flip_masses(n: int, gain: float, loss: float) -> Iterator[tuple[int, int, float]]:
    """(gained, lost, probability) of all outcomes that are not too rare to count: the lost ones are binomial, and of
    the rest the gained ones.
    """
    losses, reach = binomial(n, loss), 1e-7
    for lost in np.flatnonzero(losses > reach):
        gains = binomial(n - int(lost), gain / (1 - loss))
        for gained in np.flatnonzero(gains > reach / losses[lost]):
            yield int(gained), int(lost), float(losses[lost] * gains[gained])
