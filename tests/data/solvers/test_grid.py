import math

import pytest
import torch

from kjet.data.solvers import PeriodicGrid
from kjet.data.solvers.grid import times_of
from kjet.errors import ConfigError


@pytest.mark.parametrize("n", [15, 16])
def test_derivative_is_exact_for_resolved_modes(n):
    grid = PeriodicGrid((n,), (3.0,))
    (x,), (k,) = grid.points(low=-1.0), grid.wavenumbers()
    q = 2 * math.pi / 3
    u = torch.sin(5 * q * x) + torch.cos(2 * q * x)
    expected = 5 * q * torch.cos(5 * q * x) - 2 * q * torch.sin(2 * q * x)
    assert torch.allclose(grid.inverse(1j * k * grid.forward(u)), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(12, 10), (9, 11)])
def test_laplacian_in_two_dimensions(shape):
    grid = PeriodicGrid(shape, (2.0, 5.0))
    x, y = torch.meshgrid(*grid.points(), indexing="ij")
    a, b = math.pi * 3, 2 * math.pi / 5 * 2
    u = torch.cos(a * x) * torch.sin(b * y)
    assert torch.allclose(grid.inverse(grid.laplacian() * grid.forward(u)), -(a**2 + b**2) * u, atol=1e-10)


def test_fraction_is_one_on_the_nyquist_modes_only():
    fraction = PeriodicGrid((8, 6), (1.0, 7.0)).fraction()
    assert fraction.shape == (8, 4)
    nyquist = fraction > 1 - 1e-12
    assert nyquist[4].all()
    assert nyquist[:, 3].all()
    assert nyquist.sum() == 4 + 8 - 1


def test_points_leave_out_the_end():
    (x,) = PeriodicGrid((4,), (2.0,)).points(low=-1.0)
    assert x.tolist() == [-1.0, -0.5, 0.0, 0.5]
    assert x.dtype == torch.float64


@pytest.mark.parametrize("length", [0.0, -1.0, math.nan, (1.0, 2.0)])
def test_a_wrong_length_is_refused(length):
    with pytest.raises(ConfigError, match="length"):
        PeriodicGrid.of(torch.zeros(8), length)


@pytest.mark.parametrize(("u", "dim"), [(torch.zeros(3), 1), (torch.zeros(8), 2), (torch.tensor(0.0), 1)])
def test_a_field_that_is_no_grid_is_refused(u, dim):
    with pytest.raises(ConfigError, match="shape"):
        PeriodicGrid.of(u, 1.0, dim)


@pytest.mark.parametrize("t", [-1.0, math.nan, torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.5]), torch.zeros(0)])
def test_wrong_times_are_refused(t):
    with pytest.raises(ConfigError, match="ascending"):
        times_of(t)


def test_times_keep_their_form():
    assert times_of(0.5) == ([0.5], False)
    assert times_of(torch.tensor(0.5)) == ([0.5], False)
    assert times_of(torch.tensor([0.0, 0.5])) == ([0.0, 0.5], True)
