import itertools
import math

import pytest
import torch

from kjet.data.solvers import darcy, helmholtz, plane_wave
from kjet.errors import ConfigError


def nodes(n):
    x = torch.linspace(0, 1, n, dtype=torch.float64)
    return torch.meshgrid(x, x, indexing="ij")


def order(solve, exact, sizes=(17, 33, 65)):
    errors = [float((solve(n) - exact(n)).abs().max()) for n in sizes]
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


def test_darcy_is_of_second_order_on_a_manufactured_solution():
    """``a = 1 + x + y^2`` tells the axes apart; ``u = sin(pi x) sin(2 pi y)``."""

    def exact(n):
        x, y = nodes(n)
        return torch.sin(math.pi * x) * torch.sin(2 * math.pi * y)

    def solve(n):
        x, y = nodes(n)
        a = 1 + x + y**2
        u_x = math.pi * torch.cos(math.pi * x) * torch.sin(2 * math.pi * y)
        u_y = 2 * math.pi * torch.sin(math.pi * x) * torch.cos(2 * math.pi * y)
        return darcy(a, -(u_x + 2 * y * u_y - 5 * math.pi**2 * a * exact(n)))

    assert all(1.9 < found < 2.1 for found in order(solve, exact))


def test_darcy_is_of_second_order_across_a_jump():
    """a jumps from 1 to 10 at x = 1/2, a face where n is even; ``u = w(x) sin(pi y)``, w and ``a w'`` continuous."""
    left, right = 1.0, 10.0
    ratio = 1 - right / left
    slope = (ratio / 4 - 1) / (1 - ratio / 2)  # makes w(1) = 0

    def antiderivative(x):  # of a w'
        return slope * x + x**2

    def conductivity(x):
        return torch.where(x < 0.5, left, right).to(torch.float64)

    def exact(n):
        x, y = nodes(n)
        beyond = antiderivative(0.5) / left + (antiderivative(x) - antiderivative(0.5)) / right
        return torch.where(x < 0.5, antiderivative(x) / left, beyond) * torch.sin(math.pi * y)

    def solve(n):
        x, y = nodes(n)
        a = conductivity(x)
        return darcy(a, -2 * torch.sin(math.pi * y) + math.pi**2 * a * exact(n))

    assert exact(8)[-1].abs().max() < 1e-12
    assert all(1.8 < found < 2.2 for found in order(solve, exact, sizes=(16, 32, 64)))


def test_darcy_centre_value_of_the_unit_problem():
    """The torsion problem: u(1/2, 1/2) = 0.0736713532... (Fourier series)."""
    series = sum(
        16 / math.pi**4 * math.sin(i * math.pi / 2) * math.sin(j * math.pi / 2) / (i * j * (i**2 + j**2))
        for i in range(1, 200, 2)
        for j in range(1, 200, 2)
    )
    u = darcy(torch.ones(129, 129))
    assert u[64, 64] == pytest.approx(series, abs=1e-5)
    assert torch.equal(torch.cat([u[0], u[-1], u[:, 0], u[:, -1]]), torch.zeros(4 * 129, dtype=torch.float64))


def test_darcy_batch_and_symmetry():
    generator = torch.Generator().manual_seed(0)
    a = torch.exp(torch.randn(3, 9, 9, generator=generator))
    f = torch.randn(3, 9, 9, generator=generator)
    u = darcy(a, f)
    assert u.shape == (3, 9, 9)
    assert torch.allclose(u[1], darcy(a[1], f[1]))
    assert torch.allclose(darcy(a, f[0])[2], darcy(a[2], f[0]))
    assert torch.allclose(darcy(a.mT, f.mT), u.mT)  # the axes are treated alike
    assert torch.allclose(darcy(2 * a, f), u / 2)


def test_helmholtz_is_of_second_order():
    k = torch.tensor([4.0, -3.0], dtype=torch.float64)

    def exact(n):
        return plane_wave(torch.stack(nodes(n), dim=-1), k, phase=0.3)

    def solve(n):
        return helmholtz(torch.full((n, n), 2.0), exact(n), omega=2.5)

    assert all(1.85 < found < 2.15 for found in order(solve, exact))


def test_helmholtz_with_a_variable_slowness():
    """``u = exp(-x^2 / 4 - y / 2)`` solves ``lap u + q u = 0`` with ``q = (1 - x^2) / 4``."""

    def exact(n):
        x, y = nodes(n)
        return torch.exp(-(x**2) / 4 - y / 2)

    def solve(n):
        x, _ = nodes(n)
        return helmholtz(torch.sqrt((1 - x**2) / 4) / 3, exact(n), omega=3.0)

    assert all(1.9 < found < 2.1 for found in order(solve, exact))


def test_helmholtz_solves_for_several_boundaries_at_once():
    n = 12
    c = 1 + 0.3 * torch.rand(n, n, generator=torch.Generator().manual_seed(1))
    x = torch.stack(nodes(n), dim=-1)
    waves = torch.stack([plane_wave(x, torch.tensor(k)) for k in ([6.0, 1.0], [0.0, 5.0])])
    both = helmholtz(c, waves)
    assert both.shape == (2, n, n)
    assert torch.allclose(both[1], helmholtz(c, waves[1]))
    hollow = waves.clone()
    hollow[:, 1:-1, 1:-1] = 0.0
    assert torch.equal(helmholtz(c, hollow), both)  # inner values are not read


def test_a_resonance_is_refused():
    """On 4 by 4 nodes, 36 is an eigenvalue of the discrete operator."""
    with pytest.raises(ConfigError, match="resonance"):
        helmholtz(torch.ones(4, 4), torch.ones(4, 4), omega=6.0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: darcy(torch.zeros(5, 5)),
        lambda: darcy(torch.ones(5, 6)),
        lambda: darcy(torch.ones(5, 5), torch.ones(6, 6)),
        lambda: darcy(torch.full((5, 5), math.nan)),
        lambda: helmholtz(torch.ones(5, 5), torch.ones(4, 4)),
        lambda: helmholtz(torch.ones(2, 5, 5), torch.ones(5, 5)),
    ],
)
def test_wrong_arguments_are_refused(call):
    with pytest.raises(ConfigError):
        call()
