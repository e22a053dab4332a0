import math

import numpy as np
import pytest
import torch

from kjet.errors import ConfigError
from kjet.operators import Siren, SirenConfig


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_matches_its_formula():
    net = Siren(2, 1, hidden=[5, 4], w0=3.0, hidden_w0=2.0, generator=seeded(), dtype=torch.float64)
    x = np.array([[0.3, -0.7], [0.9, 0.4]])
    weights = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in net.layers]
    h = np.sin(3 * (x @ weights[0][0].T + weights[0][1]))
    h = np.sin(2 * (h @ weights[1][0].T + weights[1][1]))
    expected = h @ weights[2][0].T + weights[2][1]
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-13, atol=1e-15)


def test_weights_fill_the_intervals_of_the_paper():
    net = Siren(4, 100, hidden=[200, 100], hidden_w0=20.0, generator=seeded(), dtype=torch.float64)
    bounds = [1 / 4, math.sqrt(6 / 200) / 20, math.sqrt(6 / 100) / 20]
    for layer, bound in zip(net.layers, bounds, strict=True):
        weight = layer.weight.detach()
        assert 0.99 * bound < weight.abs().max() <= bound
        assert float(weight.var()) == pytest.approx(bound**2 / 3, rel=0.15)
        assert layer.bias.abs().max() <= 1 / math.sqrt(layer.in_features)


def test_activations_keep_their_law_through_the_layers():
    """Pre-activations of hidden layers have standard deviation 1 up to the biases' share (theorem 1.8)."""
    net = Siren(2, 1, width=256, depth=5, hidden_w0=1.0, generator=seeded(), dtype=torch.float64)
    h = 2 * torch.rand(500, 2, dtype=torch.float64, generator=seeded(1)) - 1
    for factor, layer in zip(net.factors, net.layers[:-1], strict=True):
        z = factor * layer(h)
        h = torch.sin(z)
        if layer.in_features > 2:
            assert float(z.detach().std()) == pytest.approx(1.0, abs=0.1)
    assert float(h.detach().square().mean()) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("change", [{"w0": 0.0}, {"hidden_w0": -1.0}, {"w0": float("inf")}])
def test_config_refuses_factors_out_of_range(change):
    (name,) = change
    with pytest.raises(ConfigError, match=f"SirenConfig: {name} = .* expected a positive number"):
        SirenConfig(**change)
