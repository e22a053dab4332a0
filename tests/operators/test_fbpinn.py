"""Finite basis networks: the sum that defines them, and their layers."""

import pytest
import torch
from torch import nn

from kjet.errors import ConfigError
from kjet.operators import FBPINN, BatchedLinear, FBPINNConfig
from kjet.operators.windows import subdomain_boxes
from kjet.training.jacobian import RowLayer

RANGE = torch.tensor([[10.0, 12.0], [-0.7, 0.5]], dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def points(n=40):
    return RANGE[:, 0] + (RANGE[:, 1] - RANGE[:, 0]) * torch.rand(n, 2, dtype=torch.float64, generator=seeded(7))


def make(m=2, **options):
    options = {"subdomains": [3, 2], "overlap": 0.6, "width": 5, "depth": 2, **options}
    return FBPINN(2, m, input_range=RANGE, generator=seeded(), dtype=torch.float64, **options)


def test_sum_of_windows_times_networks_of_the_boxes_own_coordinates():
    net, x = make(output_scale=3.0), points()
    z = 2 * (x - RANGE[:, 0]) / (RANGE[:, 1] - RANGE[:, 0]) - 1
    weights, total = net.windows(z), torch.zeros(len(x), 2, dtype=torch.float64)
    for k, box in enumerate(subdomain_boxes([3, 2], 0.6)):
        h = 2 * (z - box[:, 0]) / (box[:, 1] - box[:, 0]) - 1
        for i, layer in enumerate(net.layers):
            bias = layer.bias.reshape(6, -1)[k]
            h = nn.functional.linear(h, layer.weight[k], bias)
            h = torch.tanh(h) if i < 2 else h
        total += weights[:, k : k + 1] * h
    torch.testing.assert_close(net(x), 3.0 * total, rtol=1e-12, atol=1e-13)


def test_a_network_matters_in_its_box_only():
    net, x = make(m=1), points(400)
    before = net(x)
    with torch.no_grad():
        net.layers[-1].weight[0] += 1.0
    box = subdomain_boxes([3, 2], 0.6)[0]
    z = 2 * (x - RANGE[:, 0]) / (RANGE[:, 1] - RANGE[:, 0]) - 1
    inside = ((z > box[:, 0]) & (z < box[:, 1])).all(-1)
    changed = (net(x) != before)[:, 0]
    assert not changed[~inside].any()
    assert changed[inside].any()


def test_one_number_of_subdomains_is_for_every_input():
    assert make(subdomains=[3]).windows.subdomains == (3, 3)


def test_jacobians_of_the_batched_layer_are_those_of_rows():
    layer = BatchedLinear(3, 2, 4, generator=seeded(), dtype=torch.float64)
    assert isinstance(layer, RowLayer)
    x, slope = (torch.randn(5, n, dtype=torch.float64, generator=seeded(n)) for n in (6, 12))

    def value(weight, bias):
        return (torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,)) * slope).sum(-1)

    expected = torch.func.jacrev(value, (0, 1))(layer.weight.detach(), layer.bias.detach())
    found = dict(layer.row_jacobians(x[None], slope[None], slope))
    for parameter, block in zip((layer.weight, layer.bias), expected, strict=True):
        torch.testing.assert_close(found[parameter], block, rtol=1e-12, atol=1e-13)


def test_weights_follow_glorots_law_for_each_network():
    layer = BatchedLinear(50, 20, 30, generator=seeded(), dtype=torch.float64)
    assert abs(float(layer.weight.detach().var()) / (2 / 50) - 1) < 0.02
    assert not layer.bias.any()


def test_subdomains_have_to_fit_the_inputs():
    with pytest.raises(ConfigError, match=r"subdomains = \[2, 2, 2\] splits 3 inputs, but the network takes 2"):
        make(subdomains=[2, 2, 2])
    with pytest.raises(ConfigError, match=r"FBPINNConfig: overlap = 2\.0"):
        FBPINNConfig(overlap=2.0)
