import math

import pytest
import torch

from kjet.data.solvers import dalembert, heat, wave
from kjet.errors import ConfigError


def interval(n=64):
    return torch.arange(n, dtype=torch.float64) * 2 / n - 1


def test_heat_is_the_gaussian_that_spreads():
    """On a long interval a Gaussian stays one: variance grows by 2 nu t."""
    x = 20 * interval(256)
    u = heat(torch.exp(-(x**2) / 2), 0.3, torch.tensor([0.0, 1.5]), length=40.0)
    variance = 1 + 2 * 0.3 * 1.5
    assert torch.allclose(u[0], torch.exp(-(x**2) / 2), atol=1e-14)
    assert torch.allclose(u[1], torch.exp(-(x**2) / (2 * variance)) / math.sqrt(variance), atol=1e-13)


def test_wave_is_dalemberts():
    x, c, t = 20 * interval(256), 1.7, 3.0
    u = wave(torch.exp(-(x**2)), torch.cos(math.pi * x / 10), c, t, length=40.0)
    exact = dalembert(
        x,
        torch.tensor(t, dtype=torch.float64),
        c,
        lambda x: torch.exp(-(x**2)),
        lambda x: 10 / math.pi * torch.sin(math.pi * x / 10),
    )
    assert torch.allclose(u, exact, atol=1e-12)


def test_wave_keeps_its_energy_and_moves_its_mean():
    x, c = interval(), 2.0
    u0, v0 = torch.exp(torch.sin(math.pi * x)), 0.5 + torch.cos(math.pi * x)
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    u = wave(u0, v0, c, times)
    assert torch.allclose(u.mean(-1), u0.mean() + times * v0.mean(), atol=1e-13)
    half = wave(u0, v0, c, 0.5)
    assert torch.allclose(u[2], half)


def test_wave_in_two_dimensions():
    x = interval(16)
    u0 = torch.cos(math.pi * x)[:, None] * torch.cos(2 * math.pi * x)
    u = wave(u0, 0 * u0, 1.0, 0.4, dim=2)
    assert torch.allclose(u, math.cos(math.pi * math.sqrt(5) * 0.4) * u0, atol=1e-13)


def test_coefficients_of_each_sample():
    u0 = torch.cos(math.pi * interval()).expand(2, 64)
    rates = torch.tensor([0.1, 0.2])
    found = heat(u0, rates, torch.tensor([1.0, 2.0]))
    assert found.shape == (2, 2, 64)
    for i in range(2):
        assert torch.allclose(found[i], heat(u0[i], float(rates[i]), torch.tensor([1.0, 2.0])))
        assert torch.allclose(wave(u0, 0 * u0, rates, 1.0)[i], wave(u0[i], 0 * u0[i], float(rates[i]), 1.0))


def test_wrong_arguments_are_refused():
    u0 = torch.zeros(8)
    with pytest.raises(ConfigError, match="nu is -1"):
        heat(u0, -1.0, 1.0)
    with pytest.raises(ConfigError, match="v0 has shape"):
        wave(u0, torch.zeros(9), 1.0, 1.0)
    with pytest.raises(ConfigError, match="one per sample"):
        wave(u0, u0, torch.ones(2, 2), 1.0)
