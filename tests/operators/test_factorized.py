"""Weights as a scale for each output times a direction."""

import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import partials, reference
from kjet.operators import FactorizedLinear, MLPConfig, ModifiedMLPConfig, PirateNetConfig, SPINNConfig
from kjet.operators.factorized import dense_layer

CONFIGS = [
    MLPConfig(width=6, depth=2, factorized=True),
    ModifiedMLPConfig(width=6, depth=2, factorized=True),
    PirateNetConfig(width=6, depth=2, alpha=0.3, factorized=True),
    SPINNConfig(rank=3, width=6, depth=2, factorized=True),
]
every = pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def test_starts_at_the_given_weight():
    weight, bias, x = numbers(4, 3), numbers(4, seed=1), numbers(7, 3, seed=2)
    layer = FactorizedLinear(weight, bias, generator=seeded(), dtype=torch.float64)
    torch.testing.assert_close(layer.weight, weight, rtol=1e-14, atol=0)
    torch.testing.assert_close(layer(x), x @ weight.T + bias)


def test_law_of_the_scales():
    layer = FactorizedLinear(torch.ones(20_000, 1), mean=0.5, deviation=0.2, generator=seeded(), dtype=torch.float64)
    scale = layer.scale.detach()
    # five standard errors of mean and variance
    assert abs(float(scale.mean()) - 0.5) < 5 * 0.2 / math.sqrt(20_000)
    assert abs(float(scale.var()) / 0.04 - 1) < 5 * math.sqrt(2 / 20_000)


def test_one_scale_for_each_output():
    layer = FactorizedLinear(numbers(4, 3), dtype=torch.float64)
    with torch.no_grad():
        before = layer.weight.clone()
        layer.scale[1] += math.log(3.0)
    torch.testing.assert_close(layer.weight[1], 3 * before[1])
    assert torch.equal(layer.weight[[0, 2, 3]], before[[0, 2, 3]])


def test_types_share_their_weights_up_to_rounding():
    double, single = (
        dense_layer(4, 3, factorized=True, generator=seeded(), dtype=t) for t in (torch.float64, torch.float32)
    )
    assert torch.equal(double.direction.float(), single.direction)
    assert torch.equal(double.scale.float(), single.scale)


@every
def test_derivatives(config):
    net, x = config.build(2, 2, generator=seeded(), dtype=torch.float64), numbers(4, 2)
    indices = [(0, 0), (2, 1), (0, 4)]
    found, expected = partials(net, x, indices), reference.partials(net, x, indices)
    for index in indices:
        scale = float(expected[index].detach().abs().max())
        torch.testing.assert_close(found[index], expected[index], rtol=0, atol=1e-10 * scale)


@every
def test_all_but_a_fitted_layer_is_factorized(config):
    net = config.build(2, 1, generator=seeded())
    plain = [name for name, module in net.named_modules() if isinstance(module, torch.nn.Linear)]
    assert plain == (["last"] if isinstance(config, PirateNetConfig) else [])
    assert any(isinstance(module, FactorizedLinear) for module in net.modules())


@pytest.mark.slow
@every
def test_compiles(config):
    net, x = config.build(2, 1, generator=seeded(), dtype=torch.float64), numbers(4, 2)
    torch.testing.assert_close(torch.compile(net, fullgraph=True, backend="aot_eager")(x), net(x))


@pytest.mark.parametrize(
    ("options", "message"), [({"mean": math.nan}, "mean = nan"), ({"deviation": -1.0}, "deviation = -1")]
)
def test_values_out_of_range(options, message):
    with pytest.raises(ConfigError, match=message):
        FactorizedLinear(torch.ones(2, 2), **options)
