"""Line searches, checked against the conditions they promise."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.optim import Outcome, grid_search, strong_wolfe


def _more_thuente_1(t):
    return -t / (t**2 + 2.0)


def _more_thuente_2(t):
    return (t + 0.004) ** 5 - 2.0 * (t + 0.004) ** 4


def _oscillating(t):
    return (t - 3.0) ** 2 + 2.0 * torch.sin(5.0 * t) - 12.0 * torch.sin(t)


def _undefined_beyond_one(t):
    return -torch.log(1.0 - t) - 2.0 * t


def _overflowing(t):
    return torch.exp(50.0 * t) / 50.0 - 3.0 * t


FUNCTIONS = {
    "quadratic": lambda t: (t - 3.0) ** 2,
    "quartic": lambda t: (t - 1.0) ** 4 + 0.1 * t**2,
    "more_thuente_1": _more_thuente_1,
    "more_thuente_2": _more_thuente_2,
    "oscillating": _oscillating,
    "undefined_beyond_one": _undefined_beyond_one,
    "overflowing": _overflowing,
}


def _phi(function):
    def phi(t):
        x = torch.tensor(t, dtype=torch.float64)
        slope, value = torch.func.grad_and_value(function)(x)
        return float(value), float(slope), slope[None]

    return phi


@pytest.mark.parametrize("c2", [0.9, 0.1, 1e-3])
@pytest.mark.parametrize("t0", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_conditions_hold(name, t0, c2):
    phi = _phi(FUNCTIONS[name])
    f0, g0, _ = phi(0.0)
    found = strong_wolfe(phi, f0, g0, t0, c1=1e-4, c2=c2)
    value, slope, gradient = phi(found.step)
    assert found.outcome is Outcome.WOLFE
    assert value <= f0 + 1e-4 * found.step * g0
    assert abs(slope) <= c2 * abs(g0)
    assert (found.value, found.slope) == (value, slope)
    assert torch.equal(found.gradient, gradient)
    assert 1 <= found.evaluations <= 25


def test_good_first_trial_takes_one_evaluation():
    found = strong_wolfe(_phi(FUNCTIONS["quadratic"]), 9.0, -6.0, 2.5)
    assert (found.step, found.evaluations) == (2.5, 1)


def test_interpolation_is_exact_on_quadratics():
    found = strong_wolfe(_phi(FUNCTIONS["quadratic"]), 9.0, -6.0, 5.9, c2=0.001)
    assert found.step == pytest.approx(3.0, abs=1e-12)
    assert found.evaluations == 2


def test_approximate_conditions_at_rounding_level():
    # The values are 1 with noise of one unit in the last place; only the slope knows of the minimum at 1.
    def phi(t):
        noise = 2.2e-16 * (-1) ** int(1000 * t)
        return 1.0 + noise, 1e-20 * (t - 1.0), torch.zeros(1)

    found = strong_wolfe(phi, 1.0, -1e-20, 8.0, c2=0.1)
    # where noise happens to lie below the line of sufficient decrease, the conditions proper hold as well
    assert found.outcome in (Outcome.WOLFE, Outcome.APPROXIMATE)
    assert 0.1 * -1e-20 <= found.slope <= (1 - 2e-4) * 1e-20


def test_budget_ends_with_the_best_decrease():
    found = strong_wolfe(lambda t: (-t, -1.0, torch.zeros(1)), 0.0, -1.0, 1.0, max_evaluations=7)
    assert (found.outcome, found.evaluations) == (Outcome.DECREASE, 7)
    assert found.value == -found.step < -1.0


def test_no_decrease():
    found = strong_wolfe(lambda t: (t, 1.0, torch.zeros(1)), 0.0, -1.0, 1.0)
    assert (found.outcome, found.step, found.gradient) == (Outcome.NO_DECREASE, 0.0, None)


def test_nothing_finite():
    found = strong_wolfe(lambda t: (math.nan, math.nan, torch.zeros(1)), 0.0, -1.0, 1.0, max_evaluations=9)
    assert (found.outcome, found.evaluations) == (Outcome.NOT_FINITE, 9)


def test_infinite_slope_is_never_accepted():
    def phi(t):
        return ((t - 1.0) ** 2, math.nan if t > 0.5 else 2.0 * (t - 1.0), torch.zeros(1))

    found = strong_wolfe(phi, 1.0, -2.0, 1.0)
    assert found.step <= 0.5
    assert found.value < 1.0


@pytest.mark.parametrize("slope", [0.0, 1.0, math.nan])
def test_direction_that_does_not_descend(slope):
    found = strong_wolfe(lambda t: pytest.fail("evaluated"), 1.0, slope, 1.0)
    assert (found.outcome, found.evaluations) == (Outcome.NOT_DESCENT, 0)


@pytest.mark.parametrize("t0", [0.0, -1.0, math.inf, math.nan])
def test_first_trial_must_be_positive(t0):
    with pytest.raises(ConfigError, match="t0 = "):
        strong_wolfe(_phi(FUNCTIONS["quadratic"]), 9.0, -6.0, t0)


@pytest.mark.parametrize("minimum", [1.3, 0.5, 0.11, 1e-4])
def test_grid_takes_the_best_point(minimum):
    found = grid_search(lambda t: (t - minimum) ** 2, minimum**2)
    best = min((2.0**-i for i in range(21)), key=lambda t: (t - minimum) ** 2)
    assert (found.step, found.value) == (best, (best - minimum) ** 2)


def test_grid_stops_after_two_rises():
    found = grid_search(lambda t: -t, 0.0)
    assert (found.step, found.evaluations) == (1.0, 3)


def test_grid_keeps_on_while_nothing_is_lower():
    # 1, 1/2, 1/4 rise, all above the start: only much shorter steps are lower.
    found = grid_search(lambda t: 5.0 - t if t > 0.01 else (t - 0.005) ** 2 - 1.0, 0.0)
    assert found.step == 2.0**-8
    assert found.outcome is Outcome.DECREASE


def test_grid_never_accepts_what_is_not_finite():
    found = grid_search(lambda t: math.nan if t > 0.3 else -math.inf if t > 0.2 else -t, 0.0)
    assert found.step == 0.125


@pytest.mark.parametrize(("value", "outcome"), [(2.0, Outcome.NO_DECREASE), (math.nan, Outcome.NOT_FINITE)])
def test_grid_failures(value, outcome):
    found = grid_search(lambda t: value, 1.0)
    assert (found.step, found.value, found.evaluations, found.outcome) == (0.0, 1.0, 21, outcome)
