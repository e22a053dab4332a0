import math

import pytest
import torch

from kjet.data.solvers import varying_wave, wave
from kjet.errors import ConfigError


def square(n=32, length=2.0):
    x = length / n * torch.arange(n, dtype=torch.float64) - length / 2
    return torch.meshgrid(x, x, indexing="ij")


def bell(x, y):
    return torch.exp(torch.cos(math.pi * x) + torch.sin(math.pi * y))


def speed(x, y):
    return 1 + 0.3 * torch.sin(math.pi * x) * torch.cos(math.pi * y)


def test_constant_speed_is_the_exact_solution_mode_by_mode():
    x, y = square()
    t = torch.tensor([0.0, 0.2, 0.7], dtype=torch.float64)
    found = varying_wave(bell(x, y), torch.sin(math.pi * x), 1.5 + 0 * x, t, dt=2e-3)
    expected = wave(bell(x, y), torch.sin(math.pi * x), 1.5, t, dim=2)
    assert found.shape == (3, 32, 32)
    assert (found - expected).abs().max() < 1e-7  # of the steps in time


@pytest.mark.slow
def test_a_medium_that_varies_along_x_by_travel_time():
    """Short waves in one dimension: with ``s = int dx / c``, ``u = sqrt(c) f(s - t)`` solves ``u_tt = c^2 u_xx + q u``.

    Here ``c = 1 / (1 + a cos(pi x))`` and the rest q is far below the squared frequency, so the phase has to be right.
    """
    n, mode = 256, 24
    x = 2 / n * torch.arange(n, dtype=torch.float64) - 1
    a = 0.2
    c = 1 / (1 + a * torch.cos(math.pi * x))
    s = x + a / math.pi * torch.sin(math.pi * x)
    omega = mode * math.pi
    start, rate = c.sqrt() * torch.cos(omega * s), omega * c.sqrt() * torch.sin(omega * s)
    flat = [item[:, None].expand(n, 4) for item in (start, rate, c)]
    found = varying_wave(*flat, 0.5, dt=2e-4)[:, 0]
    assert (found - c.sqrt() * torch.cos(omega * (s - 0.5))).abs().max() < 0.02
    assert (found - c.sqrt() * torch.cos(omega * (s - 0.48))).abs().max() > 0.5


@pytest.mark.slow
def test_order_in_time_and_space():
    def run(n, dt):
        x, y = square(n)
        return varying_wave(bell(x, y), 0 * x, speed(x, y), 0.6, dt=dt)[:: n // 16, :: n // 16]

    fine = run(32, 1e-3)
    errors = [float((run(32, dt) - fine).abs().max()) for dt in (0.02, 0.01)]
    assert 3.5 < math.log2(errors[0] / errors[1]) < 4.5
    in_space = [float((run(n, 1e-3) - run(64, 1e-3)).abs().max()) for n in (16, 32)]
    assert in_space[1] < 1e-2 * in_space[0]


def test_energy_stays():
    """``u_t^2 / c^2 + |grad u|^2``, by differences of the states in time."""
    x, y = square()
    c = speed(x, y)
    h = 1e-3
    times = torch.tensor([0.3 - h, 0.3, 0.3 + h, 0.9 - h, 0.9, 0.9 + h], dtype=torch.float64)
    u = varying_wave(bell(x, y), 0 * x, c, times, dt=h)
    k = torch.fft.fftfreq(32, d=2 / (2 * math.pi * 32), dtype=torch.float64)

    def energy(before, now, after):
        v, hat = (after - before) / (2 * h), torch.fft.fft2(now)
        slopes = [torch.fft.ifft2(1j * q * hat).real for q in (k[:, None], k[None, :])]
        return float((v**2 / c**2 + slopes[0] ** 2 + slopes[1] ** 2).mean())

    assert energy(*u[:3]) == pytest.approx(energy(*u[3:]), rel=1e-4)


def test_mistakes():
    x, y = square(8)
    with pytest.raises(ConfigError, match="v0 has shape"):
        varying_wave(x, y[:4], 1 + 0 * x, 1.0)
    with pytest.raises(ConfigError, match="expected positive speeds on the grid"):
        varying_wave(x, y, x, 1.0)
    with pytest.raises(ConfigError, match=r"c has shape \(8,\)"):
        varying_wave(x, y, x[0] + 3, 1.0)
