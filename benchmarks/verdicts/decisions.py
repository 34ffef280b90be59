"""Boards, looks at growing data, and several tasks as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evalkit.statistics.choice import average_difference_for
from evalkit.statistics.ranks import paired_covariance, rank_intervals
from evalkit.statistics.sequential import design, verdict_at
from evalkit.statistics.shares import PairedShares
from verdicts.clustered import as_pair
from verdicts.drawing import ALARM, Effort, most
from verdicts.pairs import paired_tails


def boards(effort: Effort) -> Iterator[str]:
    yield "Equal models that answered the same items: how often one is ranked lower than the first (limit 0.055)."
    yield ""
    yield "| Models | Items | Joint intervals, paired | Joint, as independent | Each pair at 95 %, as independent |"
    yield "|--:|--:|--:|--:|--:|"
    for count, n in ((5, 500), (20, 500), (20, 50), (50, 500)):
        generator, runs = effort.generator("board", count, n), effort.of(8)
        rates = np.zeros(3)
        for run in range(runs):
            ease = generator.random(n)
            draws = np.where(generator.random((count, n)) < 0.5, ease, generator.random((count, n)))
            table = (draws < 0.6).astype(float)
            scores, own = table.mean(axis=1), table.var(axis=1, ddof=1) / n
            joint = rank_intervals(scores, paired_covariance(table), freedom=n - 1, draws=1000, seed=run)
            apart = rank_intervals(scores, np.diag(own), freedom=n - 1, draws=1000, seed=run)
            gap = scores.max() - scores
            each = gap > 1.96 * np.sqrt(own + own[scores.argmax()])
            rates += (max(joint.best) > 1, max(apart.best) > 1, bool(each.any()))
        first, second, third = rates / runs
        yield f"| {count} | {n} | {most(first, ALARM, runs)} | {most(second, ALARM, runs)} | {third:.3f} |"


def looks(effort: Effort) -> Iterator[str]:
    ceiling, margin, flips = 2000, 0.02, 0.1
    yield f"Margin 2 points, {flips:.0%} of the items flip, at most {ceiling:,} items, 10 looks (every 200 items)."
    yield "Limits: 0.025 for passes at a loss of the margin or more, and for regressions at a loss of the margin or"
    yield "less. Where any loss fails, the regression's limit is at no loss."
    yield ""
    yield "| True loss | Pass | Regression | Neither | Mean items | With any loss: pass | Regression | Mean items |"
    yield "|:--|--:|--:|--:|--:|--:|--:|--:|"
    plan = design([(k + 1) / 10 for k in range(10)])
    for name, loss, rate in (
        ("none", 0.0, flips),
        ("the margin", margin, flips),
        ("the margin, nothing gained", margin, margin),
        ("twice the margin", 2 * margin, flips),
        ("10 points", 0.1, 0.2),
        ("broken: 30 points", 0.3, 0.4),
    ):
        runs = effort.of(1 / 4)
        parts = []
        for any_loss in (False, True):
            generator, tally, used = effort.generator("looks", name), {"pass": 0, "regression": 0, None: 0}, 0
            for _ in range(runs):
                gained, lost, n = 0, 0, 0
                for look in plan:
                    more = round(look.fraction * ceiling) - n
                    up, down, _ = generator.multinomial(more, [(rate - loss) / 2, (rate + loss) / 2, 1 - rate])
                    gained, lost, n = gained + int(up), lost + int(down), n + more
                    found = verdict_at(look, _Cached(gained, lost, n, look.alpha), margin, any_loss=any_loss)
                    if found:
                        break
                tally[found] += 1
                used += n
            passed, worse = tally["pass"] / runs, tally["regression"] / runs
            good = most(passed, 0.025, runs) if loss >= margin else f"{passed:.3f}"
            bad = most(worse, 0.025, runs) if loss <= (0 if any_loss else margin) else f"{worse:.3f}"
            neither = "" if any_loss else f" | {tally[None] / runs:.3f}"
            parts.append(f"{good} | {bad}{neither} | {used / runs:,.0f}")
        yield f"| {name} | " + " | ".join(parts) + " |"


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
        less, more = paired_tails(self.gained, self.lost, self.n, null)
        return more if alternative == "greater" else less


def several_tasks(effort: Effort) -> Iterator[str]:
    yield "An unchanged model (10 % of the items flip) at a margin of 2 points: how often it passes."
    yield ""
    yield "| Tasks | Items each | Every task must pass | Their average must pass |"
    yield "|--:|--:|--:|--:|"
    for tasks, n in ((1, 200), (3, 200), (3, 1000), (10, 500)):
        generator, runs = effort.generator("several", tasks, n), effort.of(2)
        every = average = 0
        for _ in range(runs):
            differences = [generator.choice([1.0, -1.0, 0.0], size=n, p=[0.05, 0.05, 0.9]) for _ in range(tasks)]
            pairs = [as_pair(one) for one in differences]
            every += all(
                paired_tails(int((one > 0).sum()), int((one < 0).sum()), n, -0.02)[1] <= 0.025 for one in differences
            )
            found = average_difference_for([a for a, _ in pairs], [b for _, b in pairs], binary=True)
            average += found.p_value(-0.02, "greater") <= 0.025
        yield f"| {tasks} | {n} | {every / runs:.4f} | {average / runs:.4f} |"
