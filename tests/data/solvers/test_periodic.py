import math

import pytest
import torch

from kjet.data.solvers import (
    PeriodicSolution,
    allen_cahn,
    burgers,
    burgers_cole_hopf,
    forced_burgers,
    kdv,
    kdv_soliton,
    kdv_two_soliton,
    kuramoto_sivashinsky,
)
from kjet.errors import ConfigError


def interval(n, length=2.0, low=-1.0):
    return low + length * torch.arange(n, dtype=torch.float64) / n


def test_burgers_is_cole_hopf():
    """-sin(pi x) is odd: the periodic solution vanishes at -1 and 1, as the standard problem asks."""
    x, nu = interval(256), 0.03
    times = torch.tensor([0.0, 0.2, 0.5, 1.0], dtype=torch.float64)
    u = burgers(-torch.sin(math.pi * x), nu, times)
    exact = burgers_cole_hopf(x.expand(4, 256), times[:, None].expand(4, 256), nu)
    assert (u - exact).abs().max() < 1e-9


@pytest.mark.slow
def test_burgers_is_cole_hopf_on_the_standard_case():
    x, nu = interval(2048), 0.01 / math.pi
    times = torch.linspace(0, 1, 41, dtype=torch.float64)
    u = burgers(-torch.sin(math.pi * x), nu, times)
    exact = burgers_cole_hopf(x.expand(41, 2048), times[:, None].expand(41, 2048), nu)
    assert (u - exact).abs().max() < 1e-8


def test_burgers_with_a_viscosity_for_each_sample():
    u0 = -torch.sin(math.pi * interval(64)).expand(2, 64)
    nu = torch.tensor([0.1, 0.3], dtype=torch.float64)
    together = burgers(u0, nu, 0.5, steps=200)
    for i in range(2):
        assert torch.allclose(together[i], burgers(u0[i], float(nu[i]), 0.5, steps=200), atol=1e-13)


def test_forced_burgers_on_a_manufactured_solution():
    x = interval(64, 16.0, 0.0)
    q, a, b, c = 2 * math.pi / 16, 1.5, 0.2, 0.4

    def exact(t):
        return torch.sin(q * x - t)

    def forcing(t):
        s, k = torch.sin(q * x - t), torch.cos(q * x - t)
        return -k + a * q * s * k + b * q**2 * s - c * q**3 * k

    u = forced_burgers(exact(0.0), 2.0, forcing, alpha=a, beta=b, gamma=c)
    assert (u - exact(2.0)).abs().max() < 1e-9


def test_forced_burgers_without_force_is_burgers():
    u0 = torch.exp(torch.sin(math.pi * interval(64)))
    assert torch.allclose(forced_burgers(u0, 0.3, beta=0.1, length=2.0, dt=1e-3), burgers(u0, 0.1, 0.3, dt=1e-3))


def test_inviscid_burgers_is_refused():
    with pytest.raises(ConfigError, match="positive beta"):
        forced_burgers(torch.zeros(8), 1.0, beta=0.0)


@pytest.mark.parametrize(("a", "b", "scale"), [(6.0, 1.0, 1.0), (1.0, 0.0025, 0.05)])
def test_kdv_moves_a_soliton(a, b, scale):
    """``u_t + a u u_x + b u_xxx = 0`` is the standard form in x = s X, u = (6 b / (a s^2)) U, t = (s^3 / b) T."""
    X = interval(192, 50.0, -25.0)
    amplitude, clock = 6 * b / (a * scale**2), scale**3 / b
    u = kdv(
        amplitude * kdv_soliton(X, torch.tensor(0.0), speed=1.0, position=-3.0),
        5.0 * clock,
        a,
        b,
        length=50.0 * scale,
    )
    exact = amplitude * kdv_soliton(X, torch.tensor(5.0), speed=1.0, position=-3.0)
    # A solitary wave of the line on a circle: its tail at the far side is exp(-22) = 3e-10.
    assert (u - exact).abs().max() < 5e-9 * amplitude


def test_kdv_solitons_pass_through_one_another():
    x = interval(256, 80.0, -40.0)
    k, shift = (0.7, 1.2), (0.0, -8.0)
    u = kdv(kdv_two_soliton(x, torch.tensor(0.0), k, shift), 6.0, 6.0, 1.0, length=80.0, tol=1e-8)
    assert (u - kdv_two_soliton(x, torch.tensor(6.0), k, shift)).abs().max() < 1e-6  # tails exp(-0.7 * 35)


def test_kdv_keeps_mass_momentum_and_energy():
    x = interval(256)
    u = kdv(torch.cos(math.pi * x), torch.linspace(0, 1, 6, dtype=torch.float64), tol=1e-8)
    k = math.pi * torch.arange(129, dtype=torch.float64)
    u_x = torch.fft.irfft(1j * k * torch.fft.rfft(u), n=256)
    invariants = torch.stack([u.mean(1), (u**2).mean(1), (u**3 / 3 - 0.0025 * u_x**2).mean(1)])
    assert (invariants - invariants[:, :1]).abs().max() < 1e-8
    assert u.abs().max() > 2  # solitons have formed


def test_allen_cahn_front_is_a_tanh():
    """``tanh(x sqrt(c / 2 D))`` is stationary; two of them far apart make it periodic."""
    x, D, c = interval(256), 1e-2, 5.0
    steep = math.sqrt(c / (2 * D))
    u0 = torch.tanh(steep * (x + 0.5)) * torch.tanh(steep * (0.5 - x))
    u = allen_cahn(u0, 0.5, D, c)
    # Half-way between the fronts the product of the two is off by their tails, 2 exp(-15.8) = 3e-7.
    assert (u - u0).abs().max() < 1e-6
    assert (allen_cahn(1.1 * u0, 5.0, D, c) - u0).abs().max() < 1e-6


def test_allen_cahn_lowers_its_energy():
    x = interval(1024)
    u = allen_cahn(x**2 * torch.cos(math.pi * x), torch.linspace(0, 1, 11, dtype=torch.float64), dt=5e-3)
    k = math.pi * torch.arange(513, dtype=torch.float64)
    u_x = torch.fft.irfft(1j * k * torch.fft.rfft(u), n=1024)
    energy = (1e-4 / 2 * u_x**2 + 5 / 4 * (1 - u**2) ** 2).mean(1)
    assert (energy.diff() < 0).all()
    assert u.abs().max() <= 1


def test_kuramoto_sivashinsky_linear_growth():
    """A small wave grows by exp((b k^2 - g k^4) t)."""
    x = interval(64, 32 * math.pi, 0.0)
    for mode, (beta, gamma) in ((5, (1.0, 1.0)), (11, (1.5, 0.7))):
        k = mode / 16
        u = kuramoto_sivashinsky(1e-9 * torch.cos(k * x), 3.0, beta=beta, gamma=gamma)
        assert torch.allclose(u * 1e9, math.exp(3 * (beta * k**2 - gamma * k**4)) * torch.cos(k * x), atol=1e-6)


def test_kuramoto_sivashinsky_keeps_its_mean_and_galilean_invariance():
    """With u + w, the pattern travels at speed w (alpha = 1)."""
    x = interval(64, 32 * math.pi, 0.0)
    u0 = torch.cos(x / 16) * (1 + torch.sin(x / 16))
    shift = float(x[4])  # a whole number of grid points
    still = kuramoto_sivashinsky(u0, 10.0, tol=1e-8)
    moving = kuramoto_sivashinsky(u0 + shift / 10, 10.0, tol=1e-8)
    assert torch.allclose(moving - shift / 10, still.roll(4), atol=1e-6)
    assert still.mean().abs() < 1e-12


@pytest.mark.slow
@pytest.mark.parametrize("case", ["burgers", "allen_cahn", "kdv", "kuramoto_sivashinsky"])
def test_the_step_found_on_standard_cases_can_be_halved(case):
    """Against a run with a far smaller step: the defaults are settled to 1e-9."""
    times = torch.linspace(0, 1, 11, dtype=torch.float64)
    x = interval(512)

    def solve(**stepping):
        if case == "burgers":
            fine = interval(1024)
            return burgers(-torch.sin(math.pi * fine), 0.01 / math.pi, times, **stepping)
        if case == "allen_cahn":
            return allen_cahn(x**2 * torch.cos(math.pi * x), times, **stepping)
        if case == "kdv":
            return kdv(torch.cos(math.pi * x), times, **stepping)
        y = interval(128, 32 * math.pi, 0.0)
        return kuramoto_sivashinsky(torch.cos(y / 16) * (1 + torch.sin(y / 16)), 30 * times, **stepping)

    found, reference = solve(), solve(steps=20000)
    assert (found - reference).abs().max() / reference.abs().max() < 1e-9


def test_a_trajectory_can_be_evaluated_anywhere():
    x, nu = interval(128), 0.05
    times = torch.linspace(0, 1, 101, dtype=torch.float64)
    solution = PeriodicSolution(burgers(-torch.sin(math.pi * x), nu, times, dt=2e-3), times, low=-1.0, length=2.0)
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(300, 2, generator=generator, dtype=torch.float64)
    at, when = 2 * points[:, 0] - 1, points[:, 1]
    assert (solution(at, when) - burgers_cole_hopf(at, when, nu)).abs().max() < 1e-7


@pytest.mark.parametrize("nu", [0.0, -0.1, math.nan])
def test_a_viscosity_that_is_not_positive_is_refused(nu):
    with pytest.raises(ConfigError, match="nu is"):
        burgers(torch.zeros(8), nu, 1.0)
