import math

import pytest
import torch

from kjet.data.solvers import ginzburg_landau, gray_scott, navier_stokes, taylor_green, velocity_of_vorticity
from kjet.errors import ConfigError

TAU = 2 * math.pi


def square(n=32):
    x = TAU / n * torch.arange(n, dtype=torch.float64)
    return torch.meshgrid(x, x, indexing="ij")


def test_velocity_of_the_taylor_green_vortex():
    x, y = square()
    u, v, _ = taylor_green(x, y, torch.zeros(()), nu=0.1)
    found = velocity_of_vorticity(2 * torch.sin(x) * torch.sin(y), length=TAU)  # v_x - u_y
    assert torch.allclose(found[0], u, atol=1e-13)
    assert torch.allclose(found[1], v, atol=1e-13)


def test_velocity_on_a_box_that_is_not_square():
    n, m = 24, 20
    x = 3.0 / n * torch.arange(n, dtype=torch.float64)[:, None]
    y = 5.0 / m * torch.arange(m, dtype=torch.float64)
    a, b = TAU / 3, 2 * TAU / 5
    psi = torch.cos(a * x) * torch.sin(b * y)
    u, v = velocity_of_vorticity((a**2 + b**2) * psi, length=(3.0, 5.0))
    assert torch.allclose(u, b * torch.cos(a * x) * torch.cos(b * y), atol=1e-12)
    assert torch.allclose(v, a * torch.sin(a * x) * torch.sin(b * y), atol=1e-12)


def test_a_mean_of_the_vorticity_is_ignored():
    u, v = velocity_of_vorticity(torch.ones(8, 8))
    assert u.abs().max() == v.abs().max() == 0


def test_navier_stokes_on_a_manufactured_solution():
    """An eigenfunction does not convect itself; a sum of two from different shells does."""
    x, y = square()
    nu = 0.05

    def parts(t):
        return math.cos(t) * torch.sin(x) * torch.sin(y), math.sin(2 * t) * torch.cos(2 * x)  # psi of each

    def exact(t):
        one, two = parts(t)
        return 2 * one + 4 * two

    def forcing(t):
        c, s = math.cos(t), math.sin(2 * t)
        w_t = -2 * math.sin(t) * torch.sin(x) * torch.sin(y) + 8 * math.cos(2 * t) * torch.cos(2 * x)
        u = c * torch.sin(x) * torch.cos(y)
        v = -c * torch.cos(x) * torch.sin(y) + 2 * s * torch.sin(2 * x)
        w_x = 2 * c * torch.cos(x) * torch.sin(y) - 8 * s * torch.sin(2 * x)
        w_y = 2 * c * torch.sin(x) * torch.cos(y)
        lap = -4 * c * torch.sin(x) * torch.sin(y) - 16 * s * torch.cos(2 * x)
        return w_t + u * w_x + v * w_y - nu * lap

    w = navier_stokes(exact(0.0), nu, torch.tensor([0.4, 1.0]), forcing, length=TAU)
    assert (w[1] - exact(1.0)).abs().max() < 1e-9


def test_navier_stokes_kolmogorov_flow_is_stationary():
    _, y = square()
    w0, nu, drag = torch.cos(3 * y), 0.1, 0.2
    w = navier_stokes(w0, nu, 1.0, (9 * nu + drag) * w0, drag=drag, length=TAU, steps=20)
    assert torch.allclose(w, w0, atol=1e-13)


def test_navier_stokes_conserves_without_viscosity():
    x, y = square(48)
    w0 = torch.cos(x) * torch.sin(2 * y) + 0.5 * torch.sin(3 * x + y)
    w = navier_stokes(w0, 0.0, torch.tensor([0.5, 1.0]), length=TAU, steps=200)
    energy = sum((part**2).mean((-1, -2)) for part in velocity_of_vorticity(torch.stack([w0, *w]), length=TAU))
    enstrophy = (torch.stack([w0, *w]) ** 2).mean((-1, -2))
    assert (energy - energy[0]).abs().max() < 1e-9
    assert (enstrophy - enstrophy[0]).abs().max() < 1e-8
    assert (w[1] - w0).abs().max() > 0.1


def test_navier_stokes_batch_and_viscosities():
    x, y = square(16)
    w0 = torch.stack([torch.sin(x) * torch.sin(2 * y), torch.cos(x + y) + torch.cos(2 * x)])
    nu = torch.tensor([0.1, 0.2])
    force = torch.cos(y)
    w = navier_stokes(w0, nu, torch.tensor([0.1, 0.3]), force, length=TAU, steps=30)
    assert w.shape == (2, 2, 16, 16)
    for i in range(2):
        alone = navier_stokes(w0[i], float(nu[i]), torch.tensor([0.1, 0.3]), force, length=TAU, steps=30)
        assert torch.allclose(w[i], alone, atol=1e-13)


def test_gray_scott_without_reaction_is_linear():
    """Each mode decays on its own; the mean of u relaxes to 1."""
    x, y = square(16)
    u, v = gray_scott(
        1 + 0.2 * torch.cos(x + 2 * y) - 0.3,
        torch.sin(2 * x),
        2.0,
        diffusion=(0.1, 0.05),
        feed=0.3,
        kill=0.2,
        reaction=0.0,
        length=TAU,
    )
    expected = 1 - 0.3 * math.exp(-0.6) + 0.2 * math.exp(-2 * (0.5 + 0.3)) * torch.cos(x + 2 * y)
    assert torch.allclose(u, expected, atol=1e-10)
    assert torch.allclose(v, math.exp(-2 * (0.05 * 4 + 0.5)) * torch.sin(2 * x), atol=1e-10)


def test_gray_scott_uniform_state_follows_the_ordinary_equation():
    from scipy.integrate import solve_ivp

    feed, kill, c = 0.04, 0.06, 1.0
    u, v = gray_scott(torch.full((8, 8), 0.5), torch.full((8, 8), 0.25), torch.tensor([10.0, 40.0]))
    exact = solve_ivp(
        lambda t, w: [-c * w[0] * w[1] ** 2 + feed * (1 - w[0]), c * w[0] * w[1] ** 2 - (feed + kill) * w[1]],
        (0, 40),
        [0.5, 0.25],
        t_eval=[10, 40],
        rtol=1e-11,
        atol=1e-13,
        method="DOP853",
    ).y
    assert (u[:, 3, 5] - torch.from_numpy(exact[0])).abs().max() < 1e-8
    assert (v[:, 3, 5] - torch.from_numpy(exact[1])).abs().max() < 1e-8


def test_gray_scott_batch():
    x, y = square(8)
    u0 = torch.stack([1 - 0.5 * torch.exp(torch.cos(x) - 1), 1 - 0.2 * torch.exp(torch.cos(y) - 1)])
    v0 = 1 - u0
    u, v = gray_scott(u0, v0, torch.tensor([1.0, 2.0, 3.0]), steps=12)
    assert u.shape == v.shape == (2, 3, 8, 8)
    alone = gray_scott(u0[1], v0[1], torch.tensor([1.0, 2.0, 3.0]), steps=12)
    assert torch.allclose(v[1], alone[1], atol=1e-14)


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="v0 has shape"):
        gray_scott(torch.zeros(8, 8), torch.zeros(9, 9), 1.0)
    with pytest.raises(ConfigError, match="negative"):
        navier_stokes(torch.zeros(8, 8), -0.1, 1.0)


def test_ginzburg_landau_carries_plane_waves():
    """``a exp(i (k x - w t))`` with ``a^2 = (mu - D k^2) / g`` and ``w = c a^2``."""
    x, y = square(24)
    diffusion, growth, saturation, rotation = 0.1, 1.5, 0.9, 0.7
    size = math.sqrt((growth - 5 * diffusion) / saturation)
    phase, t = x + 2 * y, 0.8
    found = ginzburg_landau(
        size * torch.cos(phase), size * torch.sin(phase), t,
        diffusion=diffusion, growth=growth, saturation=saturation, rotation=rotation, length=TAU,
    )  # fmt: skip
    turned = phase - rotation * size**2 * t
    assert (found[0] - size * torch.cos(turned)).abs().max() < 1e-8
    assert (found[1] - size * torch.sin(turned)).abs().max() < 1e-8


@pytest.mark.slow
def test_ginzburg_landau_converges():
    def run(n, dt):
        x, y = square(n)
        options = {"diffusion": 0.5, "growth": 2.0, "saturation": 2.0, "rotation": 3.0}
        u, v = ginzburg_landau(torch.sin(x), torch.cos(y), 0.4, **options, length=TAU, dt=dt)
        return torch.stack([u, v])[:, :: n // 16, :: n // 16]

    fine = run(64, 5e-4)
    errors = [float((run(64, dt) - fine).abs().max()) for dt in (0.02, 0.01)]
    assert 3.5 < math.log2(errors[0] / errors[1]) < 4.8
    assert (run(32, 5e-4) - fine).abs().max() < 1e-2 * (run(16, 5e-4) - fine).abs().max()


def test_ginzburg_landau_wants_equal_shapes():
    with pytest.raises(ConfigError, match="v0 has shape"):
        ginzburg_landau(torch.ones(8, 8), torch.ones(8, 4), 1.0)
