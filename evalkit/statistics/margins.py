"""What a gain shows at a margin, and how many items would show more.

A gain is a difference with the better direction up: an `Inference` whose positive values mean that the candidate is
better (`inference.Shifted` by -1 turns a difference around where lower is better).
"""

from __future__ import annotations

import math
from typing import Literal

from evalkit.statistics.inference import Inference, Range

Shown = Literal["pass", "regression"]
POWER = 0.8


def p_worse(gain: Inference, margin: float, *, any_loss: bool = False) -> float:
    """The one-sided p-value of a regression: a loss of more than ``margin`` (``any_loss``: of more than nothing)."""
    return gain.p_value(0.0 if any_loss else -margin, "less")


def shown_at(
    gain: Inference, margin: float, alpha: float, *, any_loss: bool = False, worse: float | None = None
) -> Shown | None:
    """What ``gain`` shows with one-sided tests at ``alpha``: "pass", no loss of ``margin`` or more; "regression", a
    loss of more than it, or with ``any_loss`` of more than nothing (then even a loss within the margin is no pass);
    None where neither is shown. ``worse``: `p_worse` after a correction for several tests.
    """
    worse = p_worse(gain, margin, any_loss=any_loss) if worse is None else worse
    if any_loss and worse <= alpha:
        return "regression"
    if gain.p_value(-margin, "greater") <= alpha:
        return "pass"
    return "regression" if worse <= alpha else None


def detectable(interval: Range | None, alpha: float = 0.05, power: float = POWER) -> float | None:
    """The smallest true difference that items as many as gave ``interval`` (at 1 - alpha) find with ``power``: its half
    width times 1 + z(power) / z(1 - alpha/2), which is (z + z) standard errors (Miller 2024, section 5) where it is
    normal, and no point where no item differs.
    """
    if interval is None:
        return None
    first, second = _scores(alpha, power)
    return (interval[1] - interval[0]) / 2 * (1 + second / first)


def items_needed(
    stderr: float, n: int, gain: float, margin: float, *, width: float | None = None, alpha: float = 0.05,
    power: float = POWER,
) -> int | None:  # fmt: skip
    """About how many items decide at ``margin`` with ``power``, if the gain stays what ``n`` items gave.

    n = ((z(1 - alpha/2) s0 + z(power) s) / |gain + margin|)^2, s the standard deviation of an item's difference and s0
    under the null, where it is at least sqrt(margin (width - margin)) for values that differ by ``width`` at most. None
    where the gain lies at the margin itself, or nothing is known of the spread.
    """
    distance = abs(gain + margin)
    if distance <= 1e-12 or not math.isfinite(distance):
        return None
    reach = _reach(stderr, n, margin, width, alpha, power)
    return max(n + 1, math.ceil((reach / distance) ** 2)) if reach > 0 else None


def margin_enough(
    stderr: float, n: int, gain: float, total: int, *, width: float | None = None, alpha: float = 0.05,
    power: float = POWER,
) -> float:  # fmt: skip
    """The margin at which ``total`` items would show a pass with ``power``, if the gain stays what ``n`` items gave."""
    margin = (width or 0.0) / 2
    for _ in range(60):
        before, margin = margin, max(_reach(stderr, n, margin, width, alpha, power) / math.sqrt(total) - gain, 0.0)
        if abs(margin - before) < 1e-9:
            break
    return margin


def _reach(stderr: float, n: int, margin: float, width: float | None, alpha: float, power: float) -> float:
    """z s0 + z s of one item."""
    first, second = _scores(alpha, power)
    spread = stderr * math.sqrt(n)
    least = math.sqrt(max(margin * (width - margin), 0.0)) if width else 0.0
    return first * max(spread, least) + second * spread


def _scores(alpha: float, power: float) -> Range:
    from scipy.stats import norm

    return float(norm.isf(alpha / 2)), float(norm.ppf(power))
