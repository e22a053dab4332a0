"""Separable network: grids against scattered points, and the rank of what it represents."""

import itertools

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import partials, reference
from kjet.operators import SPINN

RANGE = torch.tensor([[0.0, 2.0], [-1.0, 3.0], [5.0, 6.0]])
SIZES = (3, 4, 5)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(m=2, **options):
    options = {"rank": 5, "width": 6, "depth": 2, "input_range": RANGE, "dtype": torch.float64, **options}
    return SPINN(3, m, generator=seeded(), **options)


def axes(dtype=torch.float64):
    rows = zip(RANGE, SIZES, strict=True)
    return [
        (low + (high - low) * torch.rand(k, generator=seeded(k), dtype=torch.float64)).to(dtype)
        for (low, high), k in rows
    ]


def scattered():
    return torch.cartesian_prod(*axes())


def test_grid_is_scattered_evaluation():
    net = make()
    found = net.on_grid(axes())
    assert found.shape == (*SIZES, 2)
    torch.testing.assert_close(found.reshape(-1, 2), net(scattered()), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "orders", [k for k in itertools.product(range(5), repeat=3) if sum(k) in (1, 2)] + [(3, 0, 1), (0, 4, 0)]
)
def test_derivatives_on_a_grid(orders):
    """Against jets at scattered points and nested autograd."""
    net, x = make(), scattered()
    found = net.on_grid(axes(), orders).reshape(-1, 2)
    for expected in (partials(net, x, [orders])[orders], reference.partials(net, x, [orders])[orders]):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-10 * float(expected.detach().abs().max()))


def test_parameter_gradients_on_a_grid():
    net = make()
    parameters = list(net.parameters())
    found = torch.autograd.grad(
        net.on_grid(axes(), (2, 0, 1)).square().sum(), parameters, materialize_grads=True, allow_unused=True
    )
    expected = torch.autograd.grad(
        partials(net, scattered(), [(2, 0, 1)])[2, 0, 1].square().sum(),
        parameters,
        materialize_grads=True,
        allow_unused=True,
    )
    scale = max(float(b.abs().max()) for b in expected)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12 * scale)


def test_bodies_see_their_axes_only():
    """The cost of a grid is that of its axes."""
    net, seen = make(), []
    for body in net.bodies:
        body.register_forward_hook(lambda module, args, output: seen.append(tuple(output.shape)))
    net.on_grid(axes(), (0, 1, 2))
    assert seen == [(3, 10), (4, 10), (5, 10)]


def test_rank():
    """On a grid of two axes the values are a matrix of the network's rank."""
    net = SPINN(2, 1, rank=3, width=8, depth=2, generator=seeded(), dtype=torch.float64)
    axis = torch.linspace(-1, 1, 20, dtype=torch.float64)
    singular = torch.linalg.svdvals(net.on_grid([axis, axis])[..., 0].detach())
    assert float(singular[3]) < 1e-12 * float(singular[0])
    assert float(singular[2]) > 1e-9 * float(singular[0])


def test_single_precision():
    net = make(dtype=torch.float32)
    found = net.on_grid(axes(torch.float32), (1, 0, 0))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), make().on_grid(axes(), (1, 0, 0)), rtol=1e-3, atol=1e-4)


def test_one_coordinate():
    net = SPINN(1, 1, rank=3, width=4, depth=1, generator=seeded(), dtype=torch.float64)
    x = torch.linspace(0, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(net.on_grid([x], [2]), partials(net, x[:, None], [(2,)])[2,])


def test_what_does_not_fit_is_refused():
    net = make()
    with pytest.raises(ConfigError, match=r"expected one vector for each of 3 coordinates"):
        net.on_grid(axes()[:2])
    with pytest.raises(ConfigError, match=r"expected one vector for each of 3 coordinates"):
        net.on_grid([axis[:, None] for axis in axes()])
    with pytest.raises(ConfigError, match=r"orders are \(1, -1, 0\)"):
        net.on_grid(axes(), (1, -1, 0))
    with pytest.raises(ConfigError, match="rank = 0"):
        make(rank=0)
