"""Scaling laws: known laws are found again, and intervals hold the truth as often as they say."""

import numpy as np
import pytest
from scipy import stats

from evalkit.contract.errors import UserError
from evalkit.statistics.scaling import scaling_law

SIZES = [0.07e9, 0.16e9, 0.41e9, 1.0e9, 1.4e9, 2.8e9, 6.9e9, 12e9]


def test_a_law_without_noise_is_found_again() -> None:
    # The parameters of the model's size in Hoffmann et al. 2022, equation 10.
    values = [1.69 + 406.4 * size**-0.34 for size in SIZES]
    found = scaling_law(SIZES, values, floor=True)
    assert (found.floor, found.exponent) == (pytest.approx(1.69, rel=1e-4), pytest.approx(0.34, rel=1e-4))
    assert found.factor == pytest.approx(406.4, rel=1e-3)
    assert found.at(70e9) == pytest.approx(1.69 + 406.4 * 70e9**-0.34, rel=1e-5)
    plain = scaling_law(SIZES, [3 * size**-0.1 for size in SIZES])
    assert (plain.floor, plain.factor, plain.exponent) == (0, pytest.approx(3), pytest.approx(0.1))


def test_a_line_of_logarithms_is_scipys() -> None:
    values = [3.1, 2.9, 2.61, 2.45, 2.44, 2.3, 2.13, 2.05]
    line = stats.linregress(np.log(SIZES), np.log(values))
    half = stats.t.ppf(0.975, len(SIZES) - 2) * line.stderr
    found = scaling_law(SIZES, values)
    assert found.exponent_interval == pytest.approx((-line.slope - half, -line.slope + half))


@pytest.mark.parametrize("floor", [False, True])
def test_intervals_hold_the_exponent_as_often_as_they_say(floor: bool) -> None:
    draw = np.random.default_rng(7)
    sizes = np.geomspace(1.0, 1000.0, 12)
    truth = (1.5 if floor else 0.0) + 2.0 * sizes**-0.3
    held = 0
    for _ in range(100):
        noisy = truth + draw.normal(0, 0.004, len(sizes)) if floor else truth * np.exp(draw.normal(0, 0.02, len(sizes)))
        interval = scaling_law(sizes.tolist(), noisy.tolist(), floor=floor).exponent_interval
        held += interval is not None and interval[0] <= 0.3 <= interval[1]
    # 95 % of 100, give or take three standard errors.
    assert 88 <= held <= 100


def test_what_fits_no_law_is_told() -> None:
    with pytest.raises(UserError, match=r"at least 3 different sizes.*\(got 2\)"):
        scaling_law([1, 2, 2], [1, 2, 3])
    with pytest.raises(UserError, match="must be above 0"):
        scaling_law([1, 2, 3], [1, 0, 1])
    assert scaling_law([1, 2, 4], [3, 2, 1.5]).exponent_interval is not None
    assert scaling_law([1, 2, 4, 8], [3, 2, 1.5, 1.3], floor=True).n == 4
