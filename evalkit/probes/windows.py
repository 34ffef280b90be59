"""Lengths in tokens that follow a model's window, and how far a model reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evalkit.contract.types import MetricResult

LEAST = 512
MOST_STEPS = 6
UNKNOWN = (512, 1024, 2048)
"""Where nothing says how long the window is (most servers)."""
THRESHOLD = 0.856
"""The score that RULER's effective length asks for: Llama2-7B's (chat) at 4,096 tokens, 85.6 (arXiv 2404.06654, table
3).
"""


def ladder(window: int) -> tuple[int, ...]:
    """The powers of two from 512 that fit the window, and the window itself; the six longest of them. Of a window of
    131,072 tokens these are RULER's lengths, 4,096 to 131,072.
    """
    steps = [LEAST]
    while steps[-1] * 2 <= window:
        steps.append(steps[-1] * 2)
    if steps[-1] < window:
        steps.append(window)
    return tuple(step for step in steps if step <= window)[-MOST_STEPS:] or (window,)


def reach(values: Mapping[int, float], threshold: float) -> float:
    """The largest length up to which every length's value is at least the threshold; 0 where the shortest's is not."""
    last = 0
    for length in sorted(values):
        if values[length] < threshold:
            break
        last = length
    return float(last)


def effective(
    by_length: Mapping[int, MetricResult], threshold: float, most: int, n: int, signature: str = ""
) -> MetricResult:
    """The effective length of scores by length; its interval: that of their lower ends to that of the upper."""
    known = {length: one for length, one in by_length.items() if one.value is not None}
    values = {length: one.value or 0.0 for length, one in known.items()}
    ends = {length: one.interval or (values[length], values[length]) for length, one in known.items()}
    interval = None
    if known:
        low = reach({length: end[0] for length, end in ends.items()}, threshold)
        interval = (low, reach({length: end[1] for length, end in ends.items()}, threshold))
    return MetricResult(
        "effective_length",
        "none",
        reach(values, threshold) if known else None,
        None,
        interval,
        n,
        True,
        f"effective_length|threshold:{threshold:g}|ci:inverted|n:{n}{signature}",
        bounds=(0.0, float(most)),
        unit="tokens",
        level="corpus",
    )


def at(name: str, value: int) -> str:
    """The name of a metric at a length or depth: "found_4096"."""
    return f"{name}_{value}"


def values(samples: Sequence[object], key: str) -> list[float | None]:
    """A metric's values by sample."""
    return [sample.metrics.get(key) for sample in samples]  # type: ignore[attr-defined]
