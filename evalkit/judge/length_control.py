"""AlpacaEval's length-controlled win rate over several models that were judged against one baseline.

Dubois et al. 2024 (arXiv 2404.04475): the log-odds that a model's answer to a question x is preferred are

    theta + phi tanh(d / sd(d)) + psi gamma(x)

with d the difference of both answers' lengths in characters and gamma(x) the question's difficulty, which all models
share; the controlled rate is the mean over the questions of the chance with d = 0. As there, gamma comes first, from a
joint fit of all models with psi = 1, and is held while each model gets its theta, phi and psi. The authors' own gamma
and the weights of their regularization stand in files of their release; here gamma has a standard normal prior, and is
left out (psi = 0) where fewer than three models tell what a question's difficulty is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalkit.judge.style import fit_logistic, half_widths, logistic
from evalkit.statistics.inference import LEVEL, Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

LEAST_MODELS = 3
RESAMPLES = 200
FEWEST = 5
"""Questions below which nothing is said."""


@dataclass(frozen=True, slots=True)
class Preferred:
    """One judged answer: ``points`` (1 preferred, 0 not, a half for a tie) and ``longer``, its length less the
    baseline's, in characters.
    """

    question: str
    points: float
    longer: int


@dataclass(frozen=True, slots=True)
class LengthControlled:
    """``rate`` with its 95 % interval over questions: of the intercept, as `style.controlled` has it, or, where the
    difficulty counts, by a bootstrap of the rate's log-odds (None where it says nothing). ``raw``: the win rate as it
    is. ``length``: phi, log-odds from equal lengths to much longer; ``difficulty``: psi.
    """

    rate: float
    interval: Range | None
    raw: float
    length: float
    difficulty: float
    n: int


def length_controlled(
    judged: Mapping[str, Sequence[Preferred]], seed: int = 1234
) -> dict[str, LengthControlled | None]:
    """By model; None where verdicts are too few, all alike, or go wholly with the lengths."""
    difficulty = _difficulty(judged) if len(judged) >= LEAST_MODELS else {}
    return {model: _controlled(rows, difficulty, seed) for model, rows in judged.items()}


def _controlled(rows: Sequence[Preferred], difficulty: Mapping[str, float], seed: int) -> LengthControlled | None:
    x, gamma, y = _table(rows, difficulty)
    whole = _fit(x, gamma, y)
    if whole is None:
        return None
    if whole.psi:
        ends = _drawn(x, gamma, y, whole.rate, seed)
    else:
        half = half_widths(whole.table, y, whole.beta, [one.question for one in rows])
        ends = None if half is None else (logistic(whole.beta[0] - half[0]), logistic(whole.beta[0] + half[0]))
    return LengthControlled(whole.rate, ends, float(y.mean()), whole.phi, whole.psi, len(y))


def _drawn(x: Vector, gamma: Vector, y: Vector, rate: float, seed: int) -> Range | None:
    """The interval by the spread of the rate's log-odds over draws of questions, with Student's t of the questions less
    the parameters; None where most draws say nothing.
    """
    import numpy as np
    from scipy.stats import t

    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(0, len(y), len(y))
        found = _fit(x[chosen], gamma[chosen], y[chosen])
        if found is not None and 0 < found.rate < 1:
            draws.append(math.log(found.rate / (1 - found.rate)))
    if len(draws) <= RESAMPLES / 2 or len(y) <= 3 or not 0 < rate < 1:
        return None
    half = float(t.ppf((1 + LEVEL) / 2, len(y) - 3)) * float(np.std(draws, ddof=1))
    middle = math.log(rate / (1 - rate))
    return logistic(middle - half), logistic(middle + half)


def _table(rows: Sequence[Preferred], difficulty: Mapping[str, float]) -> tuple[Vector, Vector, Vector]:
    """(tanh of the scaled difference of lengths, difficulty, points), a row each."""
    import numpy as np

    longer = np.array([one.longer for one in rows], dtype=float)
    scale = longer.std() or max(abs(longer).max(), 1.0)
    gamma = np.array([difficulty.get(one.question, 0.0) for one in rows])
    return np.tanh(longer / scale), gamma, np.array([one.points for one in rows])


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    rate: float
    phi: float
    psi: float
    beta: Vector
    table: Vector


def _fit(x: Vector, gamma: Vector, y: Vector) -> _Fitted | None:
    import numpy as np

    if len(y) < FEWEST or (y == y[0]).all():
        return None
    columns = [np.ones(len(y))]
    places = {}
    for name, column in (("phi", x), ("psi", gamma)):
        if column.std() > 1e-9:
            places[name] = len(columns)
            columns.append(column)
    table = np.column_stack(columns)
    if np.linalg.matrix_rank(table) < table.shape[1] or (beta := fit_logistic(table, y)) is None:
        return None
    psi = float(beta[places["psi"]]) if "psi" in places else 0.0
    rate = float(np.mean([logistic(float(beta[0]) + psi * float(one)) for one in gamma]))
    return _Fitted(rate, float(beta[places["phi"]]) if "phi" in places else 0.0, psi, beta, table)


def _difficulty(judged: Mapping[str, Sequence[Preferred]]) -> dict[str, float]:
    """gamma by question: the maximum of the joint likelihood with psi = 1 and a standard normal prior on gamma."""
    import numpy as np
    from scipy.optimize import minimize

    models = list(judged)
    questions = list(dict.fromkeys(one.question for rows in judged.values() for one in rows))
    place = {question: index for index, question in enumerate(questions)}
    m = np.concatenate([np.full(len(judged[model]), index) for index, model in enumerate(models)])
    q = np.array([place[one.question] for model in models for one in judged[model]])
    tables = [_table(judged[model], {}) for model in models]
    x, y = np.concatenate([one[0] for one in tables]), np.concatenate([one[2] for one in tables])
    k = len(models)

    def cost(values: Vector) -> tuple[float, Vector]:
        theta, phi, gamma = values[:k], values[k : 2 * k], values[2 * k :]
        z = theta[m] + phi[m] * x + gamma[q]
        gap = 1 / (1 + np.exp(-z)) - y
        loss = float((np.logaddexp(0, z) - y * z).sum() + (gamma**2).sum() / 2)
        # A slight ridge keeps a model that always wins from running away.
        loss += float((theta**2).sum() + (phi**2).sum()) * 0.005
        slope = np.concatenate(
            [
                np.bincount(m, gap, k) + 0.01 * theta,
                np.bincount(m, gap * x, k) + 0.01 * phi,
                np.bincount(q, gap, len(questions)) + gamma,
            ]
        )
        return loss, slope

    found = minimize(cost, np.zeros(2 * k + len(questions)), jac=True, method="L-BFGS-B").x[2 * k :]
    return {question: float(found[index]) for question, index in place.items()}
