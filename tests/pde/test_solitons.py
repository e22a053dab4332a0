"""Closed forms of solitons: shape, speed, and what happens when two meet. That they solve their equations is tested
with the equations."""

import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.pde import HirotaSolitons, bbm_soliton, gkdv_soliton


def kdv(*ks, shifts=None):
    waves = [(k, -(k**3)) for k in ks]
    return HirotaSolitons(lambda k, w: k * w + k**4, waves, shifts or [0.0] * len(ks))


def peak(u, t, low=-60.0, high=60.0):
    x = torch.linspace(low, high, 240001, dtype=torch.float64)
    values = u(x, torch.full_like(x, t))
    top = int(values.argmax())
    return float(x[top]), float(values[top])


def test_one_soliton_is_a_hyperbolic_secant():
    x, t = torch.linspace(-5, 5, 101, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    expected = 0.5 * 1.4**2 / torch.cosh(0.5 * (1.4 * x - 1.4**3 * t + 0.2)) ** 2
    torch.testing.assert_close(kdv(1.4, shifts=[0.2]).wave(x, t), expected, rtol=1e-13, atol=1e-15)


def test_the_potential_is_the_integral_of_the_wave():
    x, t = torch.linspace(-6, 6, 24001, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    u = kdv(1.0, 1.6)
    slope = torch.gradient(u.slope(x, t), spacing=(x,))[0]
    torch.testing.assert_close(slope[1:-1], u.wave(x, t)[1:-1], rtol=0, atol=1e-6)


def test_solitons_pass_through_each_other():
    """Heights k^2 / 2 and speeds k^2 before and after; the fast one is moved ahead by ``log(1 / A) / k``."""
    fast, slow = 1.6, 1.0
    u = kdv(fast, slow)
    (before, height), (after, again) = peak(u.wave, -15.0), peak(u.wave, 15.0)
    assert height == pytest.approx(again, rel=1e-6) == pytest.approx(fast**2 / 2, rel=1e-4)
    ahead = after - before - fast**2 * 30.0
    assert ahead == pytest.approx(2 / fast * math.log((fast + slow) / (fast - slow)), abs=2e-3)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, 0.5])
def test_gkdv_height_and_speed(p):
    u = gkdv_soliton(1.5, 1.2, 0.7, p, shift=-3.0)
    (x0, height), (x1, _) = peak(u, 0.0), peak(u, 2.0)
    assert (x0, x1) == pytest.approx((-3.0, 0.0), abs=1e-3)
    assert height**p == pytest.approx(1.5 * (p + 1) * (p + 2) / 2.4, rel=1e-6)


def test_power_one_is_kdv():
    x, t = torch.linspace(-5, 5, 101, dtype=torch.float64), torch.tensor(0.7, dtype=torch.float64)
    torch.testing.assert_close(gkdv_soliton(1.4**2, 6.0, 1.0, 1.0)(x, t), kdv(1.4).wave(x, t), rtol=1e-12, atol=1e-14)


def test_bbm_height_and_speed():
    u = bbm_soliton(2.0, 1.0, 1.5, 0.8, shift=-4.0)
    (x0, height), (x1, _) = peak(u, 0.0), peak(u, 2.0)
    assert (x0, x1) == pytest.approx((-4.0, 0.0), abs=1e-3)
    assert height == pytest.approx(3 * 1.0 / 1.5)


def test_far_from_the_wave_single_precision_is_finite():
    u = kdv(1.0, 1.6)
    x = torch.tensor([-80.0, -20.0, 20.0, 80.0])
    assert bool(torch.isfinite(u.wave(x, torch.zeros(4))).all())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HirotaSolitons(lambda k, w: k * w + k**4, [(1.0, 1.0)], [0.0]), "does not satisfy the dispersion"),
        (lambda: kdv(1.0, 1.0), "no regular common solution"),
        (lambda: kdv(1.0, 1.5, 2.0), "one or two waves"),
        (lambda: kdv(1.0, shifts=[0.0, 1.0]), "1 waves and 2 shifts"),
        (lambda: gkdv_soliton(-1.0, 1.0, 1.0, 2.0), "speed of a soliton must be positive; got -1.0"),
        (lambda: bbm_soliton(0.9, 1.0, 1.0, 1.0), "speed must exceed 1.0; got 0.9"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
