"""How an answer looks beside what it says: its length and its Markdown; and verdicts with the looks held equal.

Length control after Dubois et al. 2024 (arXiv 2404.04475), style control after Chatbot Arena's: a logistic regression
of the verdict on the differences between both answers, whose intercept is what is left where they look alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from evalkit.statistics.inference import LEVEL, Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

Control = Literal["length", "markdown"]
MARKDOWN = ("headers", "lists", "bold")
_HEADER = re.compile(r"^ {0,3}#{1,6}\s+\S", re.MULTILINE)
_ITEM = re.compile(r"^\s{0,12}(?:[-*+•]|\d{1,3}[.)])\s+\S", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_FAR = 15.0
"""Log-odds beyond which a fit runs away: features and verdicts go wholly together."""


@dataclass(frozen=True, slots=True)
class Style:
    """``length`` in characters; counts of headers, list items and bold spans outside code blocks."""

    length: int
    headers: int
    lists: int
    bold: int


def style_of(text: str) -> Style:
    """The looks of an answer."""
    prose = _CODE.sub("", text)
    return Style(len(text), *(len(pattern.findall(prose)) for pattern in (_HEADER, _ITEM, _BOLD)))


@dataclass(frozen=True, slots=True)
class Controlled:
    """The win rate of two answers that look alike, and its interval (None where the fit says nothing)."""

    rate: float
    interval: Range | None
    covariates: tuple[str, ...]
    effects: dict[str, float]
    """Log-odds a typical difference (root mean square) of each; positive favours the answer that has more of it."""


def covariates(pairs: Sequence[tuple[Style, Style]], controls: Sequence[Control]) -> tuple[tuple[str, ...], Matrix]:
    """Names and scaled differences (first minus second) where there are any, shape (pairs, covariates).

    Of length tanh((l1 - l2) / sd), as Dubois et al. have it; of a count (c1 - c2) / (c1 + c2), as Chatbot Arena has it.
    They are divided by the root of their mean square and not centred, so that 0 is "alike".
    """
    import numpy as np

    names: list[str] = []
    columns: list[Matrix] = []
    if "length" in controls:
        lengths = np.array([one.length - other.length for one, other in pairs], dtype=float)
        names.append("length")
        columns.append(np.tanh(lengths / (lengths.std() or max(abs(lengths).max(), 1.0))))
    if "markdown" in controls:
        tables = [(asdict(one), asdict(other)) for one, other in pairs]
        for name in MARKDOWN:
            names.append(name)
            columns.append(np.array([_share(one[name], other[name]) for one, other in tables]))
    kept = [place for place, column in enumerate(columns) if column.any()]
    found = [columns[place] / np.sqrt((columns[place] ** 2).mean()) for place in kept]
    table = np.column_stack(found) if found else np.zeros((len(pairs), 0))
    return tuple(names[place] for place in kept), table


def _share(one: int, other: int) -> float:
    return (one - other) / (one + other) if one + other else 0.0


def controlled(
    pairs: Sequence[tuple[Style, Style]], points: Sequence[float], groups: Sequence[str], controls: Sequence[Control]
) -> Controlled | None:
    """The first side's win rate at equal looks. ``points``: 1, 0, a half for ties; ``groups``: the pairs' questions.

    The interval is of the intercept, by the larger of the model's variance (with Pearson's dispersion, for ties vary
    less than wins and losses) and the sandwich's over questions (CR1; Liang and Zeger 1986), with Student's t of the
    questions less the parameters. None for fewer than four pairs, for verdicts that are all alike, where the sides
    do not differ, where they always differ alike, and where covariates and verdicts go wholly together: then nothing
    can be said of answers that look alike.
    """
    import numpy as np

    y = np.asarray(points, dtype=float)
    if len(y) < 4 or (y == y[0]).all():
        return None
    names, table = covariates(pairs, controls)
    if not names:
        return None
    x = np.column_stack([np.ones(len(y)), table])
    beta = fit_logistic(x, y) if np.linalg.matrix_rank(x) == x.shape[1] else None
    if beta is None:
        return None
    half = half_widths(x, y, beta, groups)
    interval = None
    if half is not None:
        interval = (logistic(float(beta[0] - half[0])), logistic(float(beta[0] + half[0])))
    effects = {name: float(value) for name, value in zip(names, beta[1:], strict=True)}
    return Controlled(logistic(float(beta[0])), interval, names, effects)


def half_widths(x: Matrix, y: Matrix, beta: Matrix, groups: Sequence[str]) -> Matrix | None:
    """Half the 95 % interval of each coefficient of a logistic regression, as `controlled` says; None where there are
    no more groups than coefficients.
    """
    import numpy as np
    from scipy.stats import t

    p = 1 / (1 + np.exp(-x @ beta))
    bread = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)
    labels = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    count, freedom = len(labels), len(labels) - x.shape[1]
    if freedom < 1:
        return None
    scores = np.zeros((count, x.shape[1]))
    np.add.at(scores, [labels[group] for group in groups], x * (y - p)[:, None])
    robust = bread @ (scores.T @ scores) @ bread * (count / (count - 1) * (len(y) - 1) / (len(y) - x.shape[1]))
    spread = float(((y - p) ** 2 / (p * (1 - p))).sum()) / (len(y) - x.shape[1])
    found: Matrix = float(t.ppf((1 + LEVEL) / 2, freedom)) * np.sqrt(
        np.maximum(robust.diagonal(), spread * bread.diagonal())
    )
    return found


def logistic(value: float) -> float:
    """1 / (1 + exp(-value))."""
    return 1 / (1 + math.exp(-value)) if value > -700 else 0.0


def fit_logistic(x: Matrix, y: Matrix) -> Matrix | None:
    """Maximum likelihood of logistic regression by Newton's method; None where there is no finite maximum."""
    import numpy as np

    beta = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ beta))
        try:
            step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (y - p))
        except np.linalg.LinAlgError:
            return None
        beta = beta + np.clip(step, -2, 2)
        if np.abs(x @ beta).max() > _FAR:
            return None
        if np.abs(step).max() < 1e-10:
            return beta
    return None
