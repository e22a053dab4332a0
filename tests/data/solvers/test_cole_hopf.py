import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import ive

from kjet.data.solvers import burgers_cole_hopf
from kjet.errors import ConfigError

NU = 0.01 / math.pi


def by_adaptive_quadrature(x, t, nu):
    """The same two integrals over y, cut into pieces at the scale of the integrand."""
    y = np.linspace(x - 3, x + 3, 40001)

    def exponent(y):
        return -np.cos(np.pi * y) / (2 * np.pi * nu) - (x - y) ** 2 / (4 * nu * t)

    top = exponent(y).max()
    inside = y[exponent(y) > top - 40]
    edges = np.linspace(inside.min(), inside.max(), 60)

    def integral(f):
        pieces = (quad(f, a, b, epsabs=1e-15, epsrel=1e-13)[0] for a, b in itertools.pairwise(edges))
        return math.fsum(pieces)

    above = integral(lambda y: math.sin(math.pi * y) * math.exp(exponent(y) - top))
    return -above / integral(lambda y: math.exp(exponent(y) - top))


def by_bessel_series(x, t, nu):
    """Heat modes of the transformed initial value; well conditioned for large nu."""
    n = np.arange(1, 60)
    a = (-1.0) ** n * ive(n, 1 / (2 * np.pi * nu)) * np.exp(-(n**2) * np.pi**2 * nu * t)
    above = (n * a * np.sin(np.pi * np.outer(x, n))).sum(1)
    return 4 * np.pi * nu * above / (ive(0, 1 / (2 * np.pi * nu)) + 2 * (a * np.cos(np.pi * np.outer(x, n))).sum(1))


@pytest.mark.parametrize("nu", [NU, 1e-3, 1e-4])
@pytest.mark.parametrize("t", [0.01, 0.3, 1.0])
def test_against_adaptive_quadrature(nu, t):
    x = [-0.9, -0.31, -0.02, -1e-3, 0.0, 4e-3, 0.5, 0.99]
    found = burgers_cole_hopf(torch.tensor(x, dtype=torch.float64), t, nu)
    exact = torch.tensor([by_adaptive_quadrature(xi, t, nu) for xi in x], dtype=torch.float64)
    assert (found - exact).abs().max() < 1e-10


@pytest.mark.parametrize("nu", [0.05, 0.3, 1.0, 10.0])
@pytest.mark.parametrize("t", [0.1, 0.33, 1.0, 5.0])
def test_against_the_bessel_series(nu, t):
    x = np.linspace(-1, 1, 41)
    found = burgers_cole_hopf(torch.from_numpy(x), t, nu).numpy()
    assert abs(found - by_bessel_series(x, t, nu)).max() < 1e-12


def test_slope_at_the_shock():
    """Published: the largest slope of the standard case at the origin is -152.00516 at t = 1.6037 / pi.

    Ref: Basdevant et al., 1986.
    """
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    u = burgers_cole_hopf(x, 1.6037 / math.pi, NU)
    (slope,) = torch.autograd.grad(u.sum(), x)
    assert abs(float(slope) + 152.00516) < 1e-5


def test_residual_vanishes():
    generator = torch.Generator().manual_seed(1)
    x = (2 * torch.rand(200, generator=generator, dtype=torch.float64) - 1).requires_grad_()
    t = (0.02 + 0.98 * torch.rand(200, generator=generator, dtype=torch.float64)).requires_grad_()
    nu = 0.02
    u = burgers_cole_hopf(x, t, nu)
    u_x, u_t = torch.autograd.grad(u.sum(), (x, t), create_graph=True)
    (u_xx,) = torch.autograd.grad(u_x.sum(), x)
    assert (u_t + u * u_x - nu * u_xx).abs().max() < 1e-9


def test_start_walls_and_symmetry():
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)
    assert torch.equal(burgers_cole_hopf(x, 0.0), -torch.sin(math.pi * x))
    assert (burgers_cole_hopf(x, 1e-9) + torch.sin(math.pi * x)).abs().max() < 1e-7
    times = torch.rand(21, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    u = burgers_cole_hopf(x, times)
    assert u[[0, 10, 20]].abs().max() < 1e-13
    assert torch.allclose(burgers_cole_hopf(-x, times), -u, atol=1e-13)


def test_shapes_broadcast_and_chunks_join(monkeypatch):
    from kjet.data.solvers import cole_hopf

    x, t = torch.linspace(-1, 1, 7, dtype=torch.float64), torch.tensor([[0.1], [0.7]], dtype=torch.float64)
    whole = burgers_cole_hopf(x, t)
    assert whole.shape == (2, 7)
    monkeypatch.setattr(cole_hopf, "_CHUNK", 1000)
    assert torch.allclose(burgers_cole_hopf(x, t), whole, atol=1e-15)
    assert burgers_cole_hopf(x[:0], 1.0).shape == (0,)


@pytest.mark.parametrize(("t", "nu"), [(-0.1, NU), (math.nan, NU), (0.5, 0.0), (0.5, math.nan)])
def test_wrong_arguments_are_refused(t, nu):
    with pytest.raises(ConfigError, match="must be positive"):
        burgers_cole_hopf(torch.zeros(2), t, nu)
