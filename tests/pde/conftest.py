"""Oracles shared by the tests of equations: small networks and nested reverse-mode derivatives."""

import pytest
import torch

from kjet.pde import Values


def make_network(inputs, outputs, seed=0, width=7):
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for fan_in, fan_out in ((inputs, width), (width, width), (width, outputs)):
        layer = torch.nn.Linear(fan_in, fan_out).double()
        for parameter in layer.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / fan_in**0.5
        layers += [layer, torch.nn.Tanh()]
    return torch.nn.Sequential(*layers[:-1])


def make_points(n, d, seed=1, low=-1.0, high=1.0):
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(n, d, generator=generator, dtype=torch.float64)


class Nested:
    """Values of a network at points, and their derivatives by ``torch.autograd.grad`` applied again and again."""

    def __init__(self, function, x, coords, fields):
        self.x = x.clone().requires_grad_()
        self.coords = tuple(coords)
        columns = function(self.x).unbind(-1)
        self.fields = dict(zip(fields, columns, strict=True))
        self.points = dict(zip(self.coords, self.x.unbind(-1), strict=True))

    def d(self, value, names):
        """``d(u, "xxt")`` is ``u_xxt``."""
        for name in names:
            (gradient,) = torch.autograd.grad(value.sum(), self.x, create_graph=True, allow_unused=True)
            value = torch.zeros_like(value) if gradient is None else gradient[:, self.coords.index(name)]
            if not value.requires_grad:
                value = value + 0 * self.x[:, 0]
        return value

    def lap(self, value, names):
        return sum(self.d(value, name * 2) for name in names)


def evaluate_recorded(recorded, function, x, parameters=None, data=None):
    """What a training loop does: one Taylor pass, then the recorded program."""
    fields = recorded.field_values(recorded.plan(function, x))
    values = recorded(Values(x, fields, parameters or {}, data or {}))
    return dict(zip(recorded.names, values, strict=True))


@pytest.fixture
def network():
    return make_network


@pytest.fixture
def points():
    return make_points


@pytest.fixture
def nested():
    return Nested


@pytest.fixture
def evaluate():
    return evaluate_recorded
