import math

import pytest
import torch

from kjet.data.solvers import PeriodicSolution
from kjet.errors import ConfigError

TAU = 2 * math.pi


def wave(x, t):
    """Band-limited in x (modes up to 7 of period 3), smooth in t."""
    q = TAU / 3
    return torch.sin(q * (x - t)) + 0.3 * torch.cos(7 * q * x) * torch.exp(-t) + 0.1 * torch.cos(2 * t)


def solution(nx=16, nt=41, low=-1.0, order=8, power=1.0):
    x = low + 3 * torch.arange(nx, dtype=torch.float64) / nx
    times = torch.linspace(0, 1, nt, dtype=torch.float64) ** power
    return PeriodicSolution(wave(x, times[:, None]), times, low=low, length=3.0, order=order)


def scattered(n=400):
    generator = torch.Generator().manual_seed(3)
    x, t = torch.rand(2, n, generator=generator, dtype=torch.float64)
    return 12 * x - 6, t


@pytest.mark.parametrize("nx", [15, 16, 31])
@pytest.mark.parametrize("power", [1.0, 1.5])
def test_interpolates_between_grid_points_and_times(nx, power):
    x, t = scattered()
    assert (solution(nx, power=power)(x, t) - wave(x, t)).abs().max() < 1e-8


def test_snapshots_and_grid_points_are_met():
    found = solution(nt=11)
    x = -1 + 3 * torch.arange(16, dtype=torch.float64) / 16
    for t in found.times:
        assert torch.allclose(found(x, t.expand(16)), wave(x, t), atol=1e-13)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_order_in_time(order):
    x, t = scattered(2000)
    errors = [float((solution(nt=nt, order=order)(x, t) - wave(x, t)).abs().max()) for nt in (21, 41)]
    assert math.log2(errors[0] / errors[1]) > order - 0.4


def test_the_nyquist_mode_is_a_cosine():
    x = torch.arange(8, dtype=torch.float64)
    saw = PeriodicSolution((-1.0) ** x[None], [0.0], low=0.0, length=8.0)
    where = torch.tensor([0.25, 0.5, 3.0], dtype=torch.float64)
    assert torch.allclose(saw(where, torch.zeros(3)), torch.cos(math.pi * where), atol=1e-14)


def test_few_snapshots_lower_the_order():
    values = torch.tensor([0.0, 1.0])[:, None].expand(2, 4)
    line = PeriodicSolution(values, [0.0, 2.0], low=0.0, length=1.0)
    assert torch.allclose(line(torch.zeros(3), torch.tensor([0.0, 0.5, 2.0])).float(), torch.tensor([0.0, 0.25, 1.0]))


def test_shapes_broadcast():
    x, t = scattered(6)
    found = solution()(x.reshape(2, 3), t.reshape(2, 3))
    assert torch.equal(found.reshape(-1), solution()(x, t))
    assert solution()(x[:0], t[:0]).shape == (0,)


def test_single_precision_times_at_the_end_are_taken():
    nearly = torch.tensor([1.0 + 1e-7])
    assert torch.isfinite(solution()(torch.zeros(1), nearly)).all()


@pytest.mark.parametrize("t", [-0.1, 1.1, math.nan])
def test_times_outside_are_refused(t):
    with pytest.raises(ConfigError, match="snapshots cover"):
        solution()(torch.zeros(1), torch.tensor([t]))


def test_wrong_shapes_are_refused():
    with pytest.raises(ConfigError, match="values has shape"):
        PeriodicSolution(torch.zeros(3, 8), [0.0, 1.0], low=0.0, length=1.0)
    with pytest.raises(ConfigError, match="positive"):
        PeriodicSolution(torch.zeros(2, 8), [0.0, 1.0], low=0.0, length=-1.0)
