import math

import pytest
import torch

from kjet.data.solvers import PeriodicSolution2D
from kjet.errors import ConfigError


def field(x, y, t):
    """Modes below the Nyquist ones of period 3, of all signs, smooth in t."""
    q = 2 * math.pi / 3
    one = torch.sin(q * (2 * x - 5 * y - t)) + 0.3 * torch.cos(q * (6 * x + 3 * y)) * torch.exp(-t)
    return one + 0.2 * torch.sin(q * 4 * x) * torch.cos(q * y) + 0.1 * torch.cos(2 * t) + 0.1


def solution(nx=16, ny=14, nt=41, order=8):
    x, y = (-1.0 + 3 * torch.arange(n, dtype=torch.float64) / n for n in (nx, ny))
    times = torch.linspace(0, 1, nt, dtype=torch.float64)
    return PeriodicSolution2D(field(x[:, None], y, times[:, None, None]), times, -1.0, 3.0, order)


def scattered(n=300):
    x, y, t = torch.rand(3, n, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return 12 * x - 6, 12 * y - 6, t


@pytest.mark.parametrize(("nx", "ny"), [(16, 14), (15, 13), (13, 30)])
def test_interpolates_between_grid_points_and_times(nx, ny):
    points = scattered()
    assert (solution(nx, ny)(*points) - field(*points)).abs().max() < 1e-8


def test_meets_the_grid_even_where_it_resolves_nothing():
    values = torch.rand(2, 8, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = PeriodicSolution2D(values, [0.0, 1.0], 0.0, 1.0)
    x, y = (torch.arange(n, dtype=torch.float64) / n for n in (8, 6))
    assert torch.allclose(found(x[:, None], y, torch.ones(())), values[1], atol=1e-13)


def test_shapes_follow_the_arguments():
    x, y, _ = scattered(6)
    assert solution()(x.reshape(2, 3), y.reshape(2, 3), torch.tensor(0.5)).shape == (2, 3)
    assert solution()(x[:0], y[:0], torch.tensor(0.5)).shape == (0,)


def test_order_in_time():
    points = scattered()
    errors = [float((solution(nt=nt, order=4)(*points) - field(*points)).abs().max()) for nt in (11, 21)]
    assert 3.3 < math.log2(errors[0] / errors[1]) < 5


def test_mistakes():
    with pytest.raises(ConfigError, match=r"values has shape \(2, 8\); expected \(t, x, y\) with t = 2 times"):
        PeriodicSolution2D(torch.zeros(2, 8), [0.0, 1.0], 0.0, 1.0)
    with pytest.raises(ConfigError, match="length is 0"):
        PeriodicSolution2D(torch.zeros(2, 8, 8), [0.0, 1.0], 0.0, 0)
    with pytest.raises(ConfigError, match="times from 2 to 2 were asked for"):
        solution()(torch.zeros(1), torch.zeros(1), torch.tensor([2.0]))
