import itertools
import math

import pytest
import torch

from kjet.data.solvers import (
    black_scholes_call,
    dalembert,
    heat_mode,
    kdv_soliton,
    kdv_two_soliton,
    kovasznay,
    lshape_singular,
    plane_wave,
    taylor_green,
)
from kjet.errors import ConfigError

TOLERANCE = 1e-9  # rounding of up to three nested reverse passes in float64, on values of order one to ten


def points(*bounds, n=100):
    """Random coordinates, one leaf for each (low, high)."""
    generator = torch.Generator().manual_seed(7)
    unit = torch.rand(len(bounds), n, generator=generator, dtype=torch.float64)
    return [(low + (high - low) * row).requires_grad_() for (low, high), row in zip(bounds, unit, strict=True)]


def d(u, *by):
    for x in by:
        (u,) = torch.autograd.grad(u.sum(), x, create_graph=True)
    return u


@pytest.mark.parametrize("reynolds", [20.0, 40.0, 100.0])
def test_kovasznay(reynolds):
    x, y = points((-0.5, 1.0), (-0.5, 1.5))
    u, v, p = kovasznay(x, y, reynolds)
    residuals = [
        u * d(u, x) + v * d(u, y) + d(p, x) - (d(u, x, x) + d(u, y, y)) / reynolds,
        u * d(v, x) + v * d(v, y) + d(p, y) - (d(v, x, x) + d(v, y, y)) / reynolds,
        d(u, x) + d(v, y),
    ]
    assert all(r.abs().max() < TOLERANCE for r in residuals)


@pytest.mark.parametrize("nu", [0.01, 1.0])
def test_taylor_green(nu):
    x, y, t = points((0, 6), (0, 6), (0, 1))
    u, v, p = taylor_green(x, y, t, nu)
    residuals = [
        d(u, t) + u * d(u, x) + v * d(u, y) + d(p, x) - nu * (d(u, x, x) + d(u, y, y)),
        d(v, t) + u * d(v, x) + v * d(v, y) + d(p, y) - nu * (d(v, x, x) + d(v, y, y)),
        d(u, x) + d(v, y),
    ]
    assert all(r.abs().max() < TOLERANCE for r in residuals)


@pytest.mark.parametrize(
    "solution",
    [
        lambda x, t: kdv_soliton(x, t, speed=2.3, position=-1.0),
        lambda x, t: kdv_two_soliton(x, t, k=(0.8, 1.5), shift=(1.0, -2.0)),
        lambda x, t: kdv_two_soliton(x, t, k=(1.5, 0.8)),
    ],
)
def test_kdv(solution):
    x, t = points((-10, 10), (-2, 2))
    u = solution(x, t)
    assert u.abs().max() > 0.1
    assert (d(u, t) + 6 * u * d(u, x) + d(u, x, x, x)).abs().max() < TOLERANCE


def test_two_solitons_part_into_two():
    """Long before the meeting each is a single soliton; the order of the wave numbers does not matter."""
    x = torch.linspace(-60, 60, 2001, dtype=torch.float64)
    t = torch.tensor(-20.0, dtype=torch.float64)
    u = kdv_two_soliton(x, t, k=(0.8, 1.4))
    top = [float(u[(x > low) & (x < high)].max()) for low, high in ((-60, -30), (-25, 0))]
    assert top[0] == pytest.approx(1.4**2 / 2, abs=2e-3)  # grid spacing 0.06: within 1e-3 of the crest
    assert top[1] == pytest.approx(0.8**2 / 2, abs=2e-3)
    assert torch.allclose(u, kdv_two_soliton(x, t, k=(1.4, 0.8)), atol=1e-14)
    assert torch.isfinite(kdv_two_soliton(1e4 * x, t)).all()


def test_black_scholes():
    s, t = points((60, 150), (0.0, 0.9))
    r, sigma = 0.05, 0.3
    c = black_scholes_call(s, t, strike=100.0, rate=r, sigma=sigma, maturity=1.0)
    residual = d(c, t) + sigma**2 / 2 * s**2 * d(c, s, s) + r * s * d(c, s) - r * c
    assert residual.abs().max() < 1e-9


def test_black_scholes_limits_have_finite_slopes():
    s = torch.tensor([0.0, 80.0, 100.0, 130.0], dtype=torch.float64, requires_grad=True)
    t = torch.ones(4, dtype=torch.float64, requires_grad=True)
    value = black_scholes_call(s, t)
    assert value.tolist() == [0.0, 0.0, 0.0, 30.0]
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(value.sum(), (s, t)))
    almost = black_scholes_call(s.detach(), t.detach() - 1e-12)
    assert torch.allclose(almost, value.detach(), atol=1e-4)  # at the money it grows as sqrt of the time left


def test_plane_wave():
    x, y, z = points((0, 1), (0, 1), (0, 1))
    k = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)
    u = plane_wave(torch.stack([x, y, z], dim=-1), k, phase=0.4)
    assert (d(u, x, x) + d(u, y, y) + d(u, z, z) + 14 * u).abs().max() < TOLERANCE


@pytest.mark.parametrize("k", [1, 3])
def test_heat_mode(k):
    x, t = points((0, 1), (0, 1))
    u = heat_mode(x, t, nu=0.3, k=k)
    assert (d(u, t) - 0.3 * d(u, x, x)).abs().max() < TOLERANCE
    assert heat_mode(torch.tensor([0.0, 1.0]), torch.zeros(2), nu=0.3, k=k).abs().max() < 1e-6


def test_dalembert():
    x, t = points((-2, 2), (0, 1))
    c = 1.7
    u = dalembert(x, t, c, lambda x: torch.exp(-(x**2)), torch.sin)
    assert (d(u, t, t) - c**2 * d(u, x, x)).abs().max() < TOLERANCE
    start = torch.zeros_like(x).requires_grad_()
    u0 = dalembert(x, start, c, lambda x: torch.exp(-(x**2)), torch.sin)
    assert torch.allclose(u0, torch.exp(-(x**2)))
    assert torch.allclose(d(u0, start), torch.cos(x))


def test_lshape_singular_is_harmonic_and_vanishes_on_the_corner_sides():
    x, y = points((-1, 1), (-1, 1), n=400)
    inside = ((x < 0) | (y > 0)) & (x**2 + y**2 > 0.01)
    u = lshape_singular(x, y)
    assert (d(u, x, x) + d(u, y, y))[inside].abs().max() < TOLERANCE
    side, zero = torch.linspace(0, 1, 11, dtype=torch.float64), torch.zeros(11, dtype=torch.float64)
    assert lshape_singular(side, zero).abs().max() < 1e-12
    assert lshape_singular(zero, -side).abs().max() < 1e-12
    assert (u[inside] > 0).all()


def test_dtype_is_kept():
    x = torch.linspace(0.1, 0.9, 5)
    for function, arguments in [
        (kovasznay, (x, x)),
        (taylor_green, (x, x, x, 0.1)),
        (kdv_soliton, (x, x)),
        (kdv_two_soliton, (x, x)),
        (black_scholes_call, (100 * x, x)),
        (heat_mode, (x, x, 0.1)),
        (lshape_singular, (x, x)),
    ]:
        found = function(*arguments)
        for part in itertools.chain(found if isinstance(found, tuple) else (found,)):
            assert part.dtype == torch.float32
            assert part.shape == (5,)


def test_wrong_parameters_are_refused():
    x = torch.zeros(1)
    for call in (
        lambda: kdv_soliton(x, x, speed=0.0),
        lambda: kdv_two_soliton(x, x, k=(1.0, 1.0)),
        lambda: black_scholes_call(x, x, sigma=0.0),
        lambda: dalembert(x, x, 0.0, torch.sin),
        lambda: kdv_soliton(x, x, speed=math.nan),
    ):
        with pytest.raises(ConfigError):
            call()
