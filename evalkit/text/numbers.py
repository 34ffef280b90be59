"""Numbers as people read them: one rule each for scores, p-values, times, sizes and counters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.contract.types import SHARE_UNIT

MISSING = "–"
MINUS = "−"


def unit(of_metric: str) -> str:
    """A metric's unit as it is written behind its numbers: "%" for shares, which are shown in percent."""
    return "%" if of_metric in (SHARE_UNIT, "percent") else of_metric


def score(value: float | None, proportion: bool) -> str:
    """A metric's value: "63.4" for a share of 0.634 (in percent), else four significant digits."""
    if value is None:
        return MISSING
    if not math.isfinite(value):
        return str(value)
    text = f"{100 * value:.1f}" if proportion else _significant(value)
    return text.replace("-", MINUS)


def mean(value: float | None, decimals: int = 1) -> str:
    """A mean over columns, with as many decimals as its board's numbers have."""
    return MISSING if value is None else f"{value:.{decimals}f}".replace("-", MINUS)


def signed(value: float, proportion: bool) -> str:
    """A difference with its sign, in percentage points for shares; one that rounds to zero gets more digits, so that an
    interval's end shows on which side of zero it lies.
    """
    text = score(abs(value), proportion)
    if proportion and abs(value) > 1e-9 and not text.strip("0."):
        text = f"{100 * abs(value):.1g}" if abs(value) >= 1e-7 else "0.00001"
    return text if not text.strip("0.") else (MINUS if value < 0 else "+") + text


def interval(bounds: tuple[float, float] | None, proportion: bool, plus: bool = False) -> str:
    """An interval as "61.2 to 65.5"; with ``plus`` both bounds carry their sign."""
    if bounds is None:
        return MISSING
    write = signed if plus else score
    return f"{write(bounds[0], proportion)} to {write(bounds[1], proportion)}"


def level(share: float) -> str:
    """An interval's level in percent, "95" or "98.1678"; one just below 100 gets the digits that tell."""
    return next(text for digits in (6, 10, 17) if (text := f"{100 * share:.{digits}g}") != "100" or share == 1)


def p_value(value: float) -> str:
    """A p-value: two significant digits, or "<0.001"."""
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def _significant(value: float) -> str:
    """Four significant digits without an exponent where that is short."""
    if value != 0 and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3e}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


_UNITS = (
    ("_bytes", 1.0, "bytes"),
    ("_gb", 1e9, "bytes"),
    ("_mb", 1e6, "bytes"),
    ("_seconds", 1.0, "seconds"),
    ("_ms", 1e-3, "seconds"),
    ("_per_s", 1.0, "/s"),
    ("_per_second", 1.0, "/s"),
    ("_s", 1.0, "seconds"),
    ("_joules", 1.0, "J"),
    ("_j", 1.0, "J"),
    ("_wh", 1.0, "Wh"),
    ("_watts", 1.0, "W"),
    ("_w", 1.0, "W"),
    ("_usd", 1.0, "USD"),
)


def counter(name: str, value: Any) -> str:
    """A performance counter by the unit that its name (a dotted path) ends in; raw values as median, n and range."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: MISSING}[value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        numbers = sorted(item for item in value if isinstance(item, int | float) and math.isfinite(item))
        if not numbers or len(numbers) != len(value):
            return ", ".join(str(item) for item in value) or MISSING
        middle = numbers[len(numbers) // 2]
        low, mid, high = (counter(name, item) for item in (numbers[0], middle, numbers[-1]))
        return f"{mid} (median of {len(numbers)}; {low} to {high})"
    if not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return str(value)
    for part in reversed(name.lower().split(".")):
        for suffix, scale, unit in _UNITS:
            if f"_{part}".endswith(suffix):
                return _with_unit(value * scale, unit)
    return f"{value:,}" if isinstance(value, int) else _significant(value)


def _with_unit(value: float, unit: str) -> str:
    if unit == "bytes":
        for power, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if abs(value) >= power:
                return f"{value / power:.3g} {name}"
        return f"{value:.0f} B"
    if unit == "seconds":
        return seconds(value)
    return f"{_significant(value)}{unit}" if unit.startswith("/") else f"{_significant(value)} {unit}"


def seconds(value: float) -> str:
    """A duration: "850 ms", "12.3 s", "4 min 05 s", "1 h 02 min"."""
    if abs(value) < 1:
        return f"{value * 1000:.3g} ms"
    if abs(value) < 120:
        return f"{value:.3g} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def flatten(values: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """A nested mapping as (path, leaf) pairs in its own order; an empty mapping is a leaf."""
    rows: list[tuple[tuple[str, ...], Any]] = []
    for name, value in values.items():
        path = (*prefix, str(name))
        if isinstance(value, Mapping) and value:
            rows.extend(flatten(value, path))
        else:
            rows.append((path, value))
    return rows
