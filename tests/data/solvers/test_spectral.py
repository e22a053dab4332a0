import cmath
import itertools
import math

import pytest
import torch

from kjet.data.solvers import PeriodicGrid, etdrk4, spectral
from kjet.data.solvers.spectral import _weights
from kjet.errors import ConfigError, DivergenceError

TAU = 2 * math.pi


def circle(n=32):
    return TAU / n * torch.arange(n, dtype=torch.float64)


def burgers_setup(n=64, nu=0.05):
    grid = PeriodicGrid((n,), (TAU,))
    k = grid.wavenumbers()[0]
    return lambda k: -nu * k**2, lambda v, t: -0.5j * k * grid.forward(grid.inverse(v) ** 2)


def travelling(c=1.3):
    """A stiff, forced, non-autonomous problem with the solution exp(sin(x - c t))."""
    x, grid = circle(48), PeriodicGrid((48,), (TAU,))
    k = grid.wavenumbers()[0]

    def exact(t):
        return torch.exp(torch.sin(x - c * t))

    def nonlinear(v, t):
        u, s = exact(t), x - c * t
        u_x, u_xx = torch.cos(s) * u, (torch.cos(s) ** 2 - torch.sin(s)) * u
        source = -c * u_x + u * u_x - u_xx  # u_t + u u_x - u_xx of the exact solution
        return -0.5j * k * grid.forward(grid.inverse(v) ** 2) + grid.forward(source)

    return exact, (lambda k: -(k**2)), nonlinear


def observed_orders(errors):
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


def test_order_is_four_on_an_exact_nonautonomous_solution():
    exact, symbol, nonlinear = travelling()
    errors = []
    for steps in (20, 40, 80):
        u = etdrk4(exact(0.0), symbol, nonlinear, 1.0, length=TAU, steps=steps)
        errors.append(float((u - exact(1.0)).abs().max()))
    assert errors[-1] < 1e-7
    assert all(3.7 < order < 4.5 for order in observed_orders(errors))


def test_order_is_four_with_an_imaginary_symbol():
    x, grid = circle(64), PeriodicGrid((64,), (TAU,))
    k = grid.wavenumbers()[0]

    def nonlinear(v, t):
        return -3j * k * grid.forward(grid.inverse(v) ** 2)

    runs = [
        etdrk4(torch.cos(x), lambda k: 1j * k**3, nonlinear, 0.2, length=TAU, steps=n) for n in (200, 400, 800, 1600)
    ]
    changes = [float((a - b).abs().max()) for a, b in itertools.pairwise(runs)]
    assert all(3.6 < order < 4.6 for order in observed_orders(changes))


def test_the_linear_part_is_exact_with_a_single_step():
    x = circle()
    u = etdrk4(torch.cos(3 * x), lambda k: -(k**2) + 2j * k, lambda v, t: 0 * v, 0.7, length=TAU, steps=1)
    assert torch.allclose(u, math.exp(-9 * 0.7) * torch.cos(3 * (x + 1.4)), atol=1e-13)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3, 0.4, 5.0, 300.0])
@pytest.mark.parametrize("direction", [-1.0, 1j])
def test_weights_match_the_phi_functions(size, direction):
    """The oracle is the power series of phi_k at small arguments and its recurrence at large ones."""
    z = torch.tensor([size * direction], dtype=torch.complex128 if direction == 1j else torch.float64)
    if direction == 1j and size > 100:
        z = z / 10
    w = _weights(z, 1.0, torch.ones(1, dtype=torch.float64))

    def phi(order, z):
        if abs(z) < 6:
            return sum(z**j / math.factorial(j + order) for j in range(60))
        return (phi(order - 1, z) - 1 / math.factorial(order - 1)) / z if order else cmath.exp(z)

    value = complex(z[0])
    p1, p2, p3 = (phi(order, value) for order in (1, 2, 3))
    expected = [0.5 * phi(1, value / 2), p1 - 3 * p2 + 4 * p3, p2 - 2 * p3, 4 * p3 - p2]
    for found, right in zip((w.Q, w.f1, w.f2, w.f3), expected, strict=True):
        assert abs(complex(found[0]) - complex(right)) < 1e-14


def test_snapshots_do_not_depend_on_one_another():
    symbol, nonlinear = burgers_setup()
    u0 = torch.sin(circle(64))
    several = etdrk4(u0, symbol, nonlinear, torch.tensor([0.0, 0.3, 1.0]), length=TAU, dt=1e-3)
    alone = etdrk4(u0, symbol, nonlinear, 1.0, length=TAU, dt=1e-3)
    assert several.shape == (3, 64)
    assert torch.equal(several[0], u0)
    assert torch.allclose(several[2], alone, atol=1e-12)


def test_requested_times_are_reached_exactly():
    """With a pure decay, an error in time is an error in the result."""
    times = torch.tensor([0.1, 0.123456789, 2.0], dtype=torch.float64)
    u = etdrk4(torch.cos(circle()), lambda k: -(k**2), lambda v, t: 0 * v, times, length=TAU, dt=0.07)
    assert torch.allclose(u[:, 0], torch.exp(-times), rtol=1e-14, atol=0)


def test_a_batch_gives_what_its_members_give():
    symbol, nonlinear = burgers_setup()
    u0 = torch.stack([torch.sin(circle(64)), torch.cos(2 * circle(64))])
    together = etdrk4(u0, symbol, nonlinear, torch.tensor([0.5, 1.0]), length=TAU, steps=50)
    assert together.shape == (2, 2, 64)
    for i in range(2):
        alone = etdrk4(u0[i], symbol, nonlinear, torch.tensor([0.5, 1.0]), length=TAU, steps=50)
        assert torch.allclose(together[i], alone, atol=1e-13)


def test_two_dimensions_reduce_to_one():
    """A field that varies along one axis only, either of them, evolves as in one dimension."""
    symbol, nonlinear = burgers_setup(32)
    u0 = torch.sin(circle())
    line = etdrk4(u0, symbol, nonlinear, 1.0, length=TAU, steps=80)
    grid = PeriodicGrid((32, 32), (TAU, TAU))
    for axis in (0, 1):
        k = grid.wavenumbers()[axis]
        plane = etdrk4(
            u0[:, None].expand(32, 32) if axis == 0 else u0.expand(32, 32),
            lambda kx, ky: -0.05 * (kx**2 + ky**2),
            lambda v, t, k=k: -0.5j * k * grid.forward(grid.inverse(v) ** 2),
            1.0,
            length=TAU,
            dim=2,
            steps=80,
        )
        assert torch.allclose(plane if axis == 1 else plane.T, line.expand(32, 32), atol=1e-12)


def test_dealiasing_removes_the_upper_third():
    """A product of two kept modes whose sum folds back must leave no trace."""
    x, grid = circle(), PeriodicGrid((32,), (TAU,))

    def square(v, t):
        return grid.forward(grid.inverse(v) ** 2)

    u0 = 1e-3 * torch.cos(10 * x)  # the square holds modes 0 and 20; 20 folds onto 12 on 32 points
    aliased = etdrk4(u0, lambda k: 0 * k, square, 0.1, length=TAU, steps=2, dealias=1.1)
    clean = etdrk4(u0, lambda k: 0 * k, square, 0.1, length=TAU, steps=2)
    assert grid.forward(aliased)[12].abs() > 1e-7
    assert grid.forward(clean)[12].abs() < 1e-15


def test_without_a_step_the_result_is_settled():
    symbol, nonlinear = burgers_setup(128, nu=0.05)
    u0 = torch.sin(circle(128))
    found = etdrk4(u0, symbol, nonlinear, torch.tensor([0.5, 2.0]), length=TAU)
    reference = etdrk4(u0, symbol, nonlinear, torch.tensor([0.5, 2.0]), length=TAU, steps=6000)
    assert (found - reference).abs().max() < 1e-9


def test_many_snapshots_do_not_fake_agreement():
    """Where one step an interval serves both of two coarse runs, halving must still halve."""
    exact, symbol, nonlinear = travelling()
    times = torch.linspace(0, 1, 201, dtype=torch.float64)
    found = etdrk4(exact(0.0), symbol, nonlinear, times, length=TAU, tol=1e-10)
    assert max(float((found[i] - exact(float(t))).abs().max()) for i, t in enumerate(times)) < 1e-9


def test_tol_checks_a_given_step():
    symbol, nonlinear = burgers_setup()
    u0 = torch.sin(circle(64))
    with pytest.raises(ConfigError, match=r"Lower dt to about"):
        etdrk4(u0, symbol, nonlinear, 1.0, length=TAU, steps=4, tol=1e-12)
    fine = etdrk4(u0, symbol, nonlinear, 1.0, length=TAU, steps=100, tol=1e-6)
    assert torch.equal(fine, etdrk4(u0, symbol, nonlinear, 1.0, length=TAU, steps=200))


def test_the_suggested_step_passes():
    symbol, nonlinear = burgers_setup()
    u0 = torch.sin(circle(64))
    with pytest.raises(ConfigError) as raised:
        etdrk4(u0, symbol, nonlinear, 1.0, length=TAU, steps=20, tol=1e-10)
    suggested = float(str(raised.value).split("about ")[1].rstrip("."))
    etdrk4(u0, symbol, nonlinear, 1.0, length=TAU, dt=suggested, tol=1e-10)


@pytest.mark.parametrize("stepping", [{"steps": 50}, {"dt": 0.02}, {}])
def test_blow_up_raises_and_says_what_to_do(stepping, monkeypatch):
    monkeypatch.setattr(spectral, "_BLIND_STEPS", 2**10)
    x, grid = circle(), PeriodicGrid((32,), (TAU,))
    with pytest.raises(DivergenceError, match="Lower dt"):  # u' = u^2 from 2: infinite at t = 1/2
        etdrk4(2 + 0 * x, lambda k: 0 * k, lambda v, t: grid.forward(grid.inverse(v) ** 2), 3.0, length=TAU, **stepping)


def test_chaos_is_refused_rather_than_chased(monkeypatch):
    monkeypatch.setattr(spectral, "_BLIND_STEPS", 2**10)
    grid = PeriodicGrid((32,), (TAU,))
    noise = 2**53 * torch.rand(32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def rough(v, t):  # depends on t with an unbounded frequency: no step settles it
        return grid.forward(torch.sin(noise * t))

    with pytest.raises(ConfigError, match="Give dt"):
        etdrk4(torch.zeros(32), lambda k: -(k**2), rough, 1.0, length=TAU)


@pytest.mark.parametrize("stepping", [{"steps": 5, "dt": 0.1}, {"steps": 0}, {"dt": -1.0}, {"dt": math.nan}])
def test_wrong_steps_are_refused(stepping):
    with pytest.raises(ConfigError, match="steps"):
        etdrk4(torch.zeros(8), lambda k: -(k**2), lambda v, t: 0 * v, 1.0, length=1.0, **stepping)


def test_single_precision_and_gradients_do_not_leak():
    u0 = torch.cos(circle()).float().requires_grad_()
    u = etdrk4(u0, lambda k: -(k**2), lambda v, t: 0 * v, torch.tensor([0.0, 1.0]), length=TAU, steps=2)
    assert u.dtype == torch.float64
    assert not u.requires_grad
