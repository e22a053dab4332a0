"""The written-out passes through elementwise functions and layers against the plain recurrences."""

import pytest
import torch
from torch import nn

from kjet.jets import Jet, Layout, Plan, jet, quantity

FUNCTIONS = [torch.tanh, torch.sigmoid, torch.exp, torch.tan, torch.sin, torch.cos, torch.sinh, torch.cosh]
WEIGHTS = torch.tensor([[1.0, -0.5, 2.0]], dtype=torch.float64)
LAYOUTS = {
    "kept": Layout.uniform(2, 3),
    "summed": Layout((3, 0), (None, WEIGHTS)),
    "both": Layout((4, 4, 1), (None, None, WEIGHTS)),
    "ending": Layout((3, 2, 2, 1), (None,) * 4),
    "many": Layout((40, 0), (None, torch.ones(1, 40, dtype=torch.float64))),
}


def stack_of(layout, seed=0, scale=0.3):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(layout.channels(), 5, 3, generator=generator, dtype=torch.float64)


def joined(x):
    return torch.cat([x.primal[None], *x.coefficients[1:]])


def by_plain_operations(function, stack, layout):
    """torch.func leaves the written-out passes aside."""
    return torch.func.vmap(lambda s: joined(function(Jet(layout.split(s), layout))))(stack[None])[0]


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_values_and_gradients(function, name):
    layout = LAYOUTS[name]
    stack, change = stack_of(layout).requires_grad_(), stack_of(layout, seed=1)
    expected = by_plain_operations(function, stack, layout)
    (slope,) = torch.autograd.grad(expected, stack, change)
    for x in (Jet.stacked(stack, layout), Jet(layout.split(stack), layout)):
        found = joined(function(x))
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(torch.autograd.grad(found, stack, change)[0], slope, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("function", [torch.tanh, torch.sin], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["kept", "summed", "many"])
def test_second_derivatives(function, name):
    layout = LAYOUTS[name]
    stack, layer = stack_of(layout)[:, :1].requires_grad_(), nn.Linear(3, 2, dtype=torch.float64)

    def through(s):
        return joined(function(layer(Jet.stacked(s, layout))))

    assert torch.autograd.gradcheck(through, stack)
    assert torch.autograd.gradgradcheck(through, stack)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
@pytest.mark.parametrize("function", [torch.tanh, torch.sin], ids=lambda f: f.__name__)
def test_forward_mode(function):
    layout = LAYOUTS["both"]
    stack, tangent = stack_of(layout), stack_of(layout, seed=1)
    layer = nn.Linear(3, 2, dtype=torch.float64)

    def through(s):
        return joined(function(layer(Jet.stacked(s, layout))))

    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(stack, tangent)
        found = torch.autograd.forward_ad.unpack_dual(through(dual)).tangent
    step = 1e-6
    expected = (through(stack + step * tangent) - through(stack - step * tangent)) / (2 * step)
    # Central differences: an error of step^2, and of roundoff / step.
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-8)


def test_a_linear_layer_takes_all_channels_at_once():
    layout = LAYOUTS["both"]
    layer, stack = nn.Linear(3, 2, dtype=torch.float64), stack_of(layout)
    found, expected = layer(Jet.stacked(stack, layout)), layer(Jet(layout.split(stack), layout))
    assert found.stack is not None
    assert found.shape == (5, 2)
    for a, b in zip(found.coefficients, expected.coefficients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("name", LAYOUTS)
def test_products_are_those_of_reduce(name):
    layout = LAYOUTS[name]
    a, b = layout.split(stack_of(layout)), layout.split(stack_of(layout, seed=1))
    for k in range(1, layout.order + 1):
        rows, found = layout.active(k), torch.zeros(layout.rows(k), 5, 3, dtype=torch.float64)
        for j, out, chosen, weight in layout.products[k]:
            found[out] += weight * a[j][chosen] * b[k - j][chosen]
        expected = sum((layout.reduce(k, a[j][:rows] * b[k - j][:rows]) for j in range(1, k)), torch.zeros_like(found))
        torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-13)


def test_autocast_takes_the_plain_way():
    network = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1))
    plan = Plan.build([quantity({(2, 0): 1.0, (0, 2): 1.0})], 2)
    x = torch.rand(3, 2, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (value,) = plan(network, x).values()
    torch.autograd.grad(value.sum(), list(network.parameters()), allow_unused=True)


def test_outputs_stay_as_they_were_after_the_backward_pass():
    x = torch.rand(4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = nn.Linear(2, 3, dtype=torch.float64)
    y = jet(lambda z: torch.tanh(layer(z)), x, torch.eye(2, dtype=torch.float64), 3)
    before = y.detach().clone()
    first = torch.autograd.grad(y.square().sum(), layer.weight, retain_graph=True)[0]
    second = torch.autograd.grad(y.square().sum(), layer.weight)[0]
    torch.testing.assert_close(y.detach(), before, rtol=0, atol=0)
    torch.testing.assert_close(first, second, rtol=0, atol=0)
