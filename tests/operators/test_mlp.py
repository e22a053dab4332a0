import numpy as np
import pytest
import torch

from kjet.errors import ConfigError
from kjet.operators import MLP, MLPConfig


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_matches_its_formula():
    box = torch.tensor([[0.0, 2.0], [1.0, 5.0]])
    net = MLP(2, 3, hidden=[5, 4], input_range=box, generator=seeded(), dtype=torch.float64)
    x = np.array([[0.3, 1.7], [1.9, 4.0], [0.0, 5.0]])
    h = np.stack([x[:, 0] - 1, (x[:, 1] - 3) / 2], -1)
    weights = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in net.layers]
    for w, b in weights[:-1]:
        h = np.tanh(h @ w.T + b)
    expected = h @ weights[-1][0].T + weights[-1][1]
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ({"width": 24, "depth": 3}, [24, 24, 24]),
        ({"hidden": [64, 64, 48, 48]}, [64, 64, 48, 48]),
        ({"width": 9, "depth": 1, "hidden": [3]}, [3]),
    ],
)
def test_hidden_sizes(arguments, sizes):
    net = MLPConfig(**arguments).build(5, 2, generator=seeded())
    assert [layer.out_features for layer in net.layers] == [*sizes, 2]
    assert [layer.in_features for layer in net.layers] == [5, *sizes]


def test_values_are_refused_with_a_reason():
    with pytest.raises(ConfigError, match=r"MLPConfig: hidden = \[64, 0\]; expected positive integers"):
        MLPConfig(hidden=[64, 0])
    with pytest.raises(ConfigError, match=r'unknown activation "tan_h".*Did you mean "tanh"'):
        MLPConfig(activation="tan_h")
    with pytest.raises(ConfigError, match=r"MLP: depth = 0"):
        MLP(1, 1, depth=0)
