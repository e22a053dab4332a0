import math

import pytest
import torch

from kjet.data.solvers import schrodinger
from kjet.errors import ConfigError, DivergenceError


def grid(n=256, half=15.0):
    return 2 * half / n * torch.arange(n, dtype=torch.float64) - half


def breather(x, t):
    """Two solitons from 2 sech(x).

    Ref: Satsuma, Yajima, Initial value problems of one-dimensional self-modulation of nonlinear waves, 1974.
    """
    above = 4 * (torch.cosh(3 * x) + 3 * torch.exp(torch.tensor(4j * t)) * torch.cosh(x))
    return above * torch.exp(torch.tensor(0.5j * t)) / (torch.cosh(4 * x) + 4 * torch.cosh(2 * x) + 3 * math.cos(4 * t))


def error(n, dt, t=0.8):
    x = grid(n)
    u, v = schrodinger(2 / torch.cosh(x), 0 * x, t, length=30.0, dt=dt)
    return float((torch.complex(u, v) - breather(x, t)).abs().max())


def test_breather():
    assert error(512, 1e-3) < 2e-6  # the tails of the start are 1e-6 at the ends


def test_fourth_order_in_time():
    coarse, fine = error(256, 0.02), error(256, 0.01)
    assert 3.5 < math.log2(coarse / fine) < 4.8


def test_spectral_in_space():
    coarse, fine = error(128, 2e-3), error(256, 2e-3)
    assert coarse > 0.1
    assert fine < 2e-3 * coarse


@pytest.mark.parametrize("nonlinearity", [1.3, -0.8, 0.0])
def test_plane_wave_of_each_sign(nonlinearity):
    """``a exp(i (k x - w t))`` with ``w = c k^2 - g a^2``, at times that the steps do not divide."""
    x = 2 * math.pi / 32 * torch.arange(32, dtype=torch.float64)
    phase = 3 * x
    times = torch.tensor([0.0, 0.7, 1.0])
    u, v = schrodinger(
        0.4 * torch.cos(phase), 0.4 * torch.sin(phase), times, 0.3, nonlinearity, length=2 * math.pi, dt=0.013
    )
    omega = 0.3 * 9 - nonlinearity * 0.16
    expected = 0.4 * torch.exp(1j * (phase - omega * times[:, None].to(torch.float64)))
    assert u.shape == v.shape == (3, 32)
    assert (torch.complex(u, v) - expected).abs().max() < 1e-12


def test_batches_run_apart_and_keep_their_mass():
    x = grid(128)
    u0 = torch.stack([1 / torch.cosh(x), 2 / torch.cosh(2 * x)])
    v0 = 0.3 * u0.roll(5, -1)
    u, v = schrodinger(u0, v0, torch.tensor([0.1, 0.3]), length=30.0, dt=1e-3)
    alone = schrodinger(u0[1], v0[1], torch.tensor([0.1, 0.3]), length=30.0, dt=1e-3)
    assert u.shape == (2, 2, 128)
    assert torch.allclose(u[1], alone[0], atol=1e-13)
    assert torch.allclose(v[1], alone[1], atol=1e-13)
    mass = (u**2 + v**2).sum(-1)
    assert torch.allclose(mass, (u0**2 + v0**2).sum(-1)[:, None].expand(2, 2), rtol=1e-11)


def test_mistakes():
    x = grid(16)
    with pytest.raises(ConfigError, match=r"v0 has shape \(8,\); expected that of u0, \(16,\)"):
        schrodinger(x, x[:8], 1.0)
    with pytest.raises(ConfigError, match=r"dt is 0; it must be positive and finite"):
        schrodinger(x, x, 1.0, dt=0)
    with pytest.raises(DivergenceError, match=r"not finite at t = 0.01 "):
        schrodinger(x * math.nan, x, 0.01)
