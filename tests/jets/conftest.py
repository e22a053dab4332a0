"""Small seeded networks and points for the tests of the Taylor core."""

import pytest
import torch


def make_network(inputs, outputs, seed=0, width=6, activation=torch.nn.Tanh, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for fan_in, fan_out in ((inputs, width), (width, width), (width, outputs)):
        layer = torch.nn.Linear(fan_in, fan_out)
        for parameter in layer.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / fan_in**0.5
        layers += [layer, activation()]
    return torch.nn.Sequential(*layers[:-1]).to(dtype)


def make_points(n, d, seed=1, dtype=torch.float64):
    return (2 * torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1).to(dtype)


@pytest.fixture
def network():
    return make_network


@pytest.fixture
def points():
    return make_points
