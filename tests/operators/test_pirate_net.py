"""PirateNet: against the formulas written out, and linear in its embedding at the start."""

import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.operators import PirateNet, PirateNetConfig


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(**options):
    options = {"width": 7, "depth": 2, "generator": seeded(), "dtype": torch.float64, **options}
    return PirateNet(2, 1, **options)


def points(n=6):
    return 2 * torch.rand(n, 2, generator=seeded(1), dtype=torch.float64) - 1


@pytest.mark.parametrize("embedding", ["fourier", "dense"])
def test_against_the_formulas(embedding):
    net, x = make(embedding=embedding, features=10, alpha=0.3), points()
    with torch.no_grad():
        for i, block in enumerate(net.blocks):
            block.share.alpha += 0.1 * i
    if embedding == "fourier":
        phase = x @ net.embedding.frequencies.T
        h = torch.cat([torch.sin(phase), torch.cos(phase)], 1)
    else:
        h = torch.tanh(x @ net.embedding.layer.weight.T + net.embedding.layer.bias)

    def dense(layer, z):
        return torch.tanh(z @ layer.weight.T + layer.bias)

    u, v = dense(net.gate_u, h), dense(net.gate_v, h)
    for i, block in enumerate(net.blocks):
        f = dense(block.first, h)
        g = dense(block.second, f * u + (1 - f) * v)
        alpha = 0.3 + 0.1 * i
        h = alpha * dense(block.third, g * u + (1 - g) * v) + (1 - alpha) * h
    torch.testing.assert_close(net(x), h @ net.last.weight.T + net.last.bias, rtol=1e-13, atol=1e-14)


def test_starts_linear_in_its_embedding():
    net, x = make(depth=5), points()
    phi = net.embedding(x)
    assert torch.equal(net.hidden(x), phi)
    torch.testing.assert_close(net(x), phi @ net.last.weight.T + net.last.bias)
    gradients = torch.autograd.grad(net(x).sum(), [block.share.alpha for block in net.blocks])
    assert all(bool(g != 0) for g in gradients), "training can bring the blocks in"


def test_depth_counts_blocks_of_three_layers():
    net = make(depth=3)
    assert sum(isinstance(m, torch.nn.Linear) for m in net.modules()) == 3 * 3 + 3
    assert len([name for name, _ in net.named_parameters() if name.endswith("alpha")]) == 3


def test_size_of_the_embedding():
    assert make().last.in_features == 8  # sines and cosines: even
    assert make(embedding="dense").last.in_features == 7
    assert make(features=12).last.in_features == 12
    assert make(features=12).gate_u.out_features == 7


def test_frequencies_have_the_spread_asked_for():
    net = PirateNet(3, 1, features=20_000, sigma=0.3, width=1, depth=1, generator=seeded())
    assert float(net.embedding.frequencies.std()) == pytest.approx(2 * math.pi * 0.3, rel=0.02)


def test_a_layer_is_fitted_on_request():
    assert make().start_layer() is not None
    assert make(fit=False).start_layer() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding": "fuorier"}, r'unknown embedding "fuorier".*Did you mean "fourier"'),
        ({"features": 7}, "features = 7; expected an even number"),
        ({"features": -2}, "features = -2; expected a whole number"),
        ({"sigma": -1.0}, "sigma = -1.0; expected a finite number"),
        ({"alpha": math.inf}, "alpha = inf; expected a finite number"),
        ({"activation": "tahn"}, 'unknown activation "tahn"'),
    ],
)
def test_values_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        PirateNetConfig(**options)
