import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import jet
from kjet.operators import ACTIVATIONS, activation

FORMULAS = {
    "cos": math.cos,
    "elu": lambda t: t if t > 0 else math.exp(t) - 1,
    "gelu": lambda t: 0.5 * t * (1 + math.erf(t / math.sqrt(2))),
    "leaky_relu": lambda t: t if t > 0 else 0.01 * t,
    "mish": lambda t: t * math.tanh(math.log1p(math.exp(t))),
    "relu": lambda t: max(t, 0.0),
    "sigmoid": lambda t: 1 / (1 + math.exp(-t)),
    "silu": lambda t: t / (1 + math.exp(-t)),
    "sin": math.sin,
    "softplus": lambda t: math.log1p(math.exp(t)),
    "swish": lambda t: t / (1 + math.exp(-t)),
    "tanh": math.tanh,
}
GRID = torch.linspace(-3.0, 3.0, 8, dtype=torch.float64)


def test_every_activation_has_a_formula():
    assert set(FORMULAS) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_values(name):
    expected = torch.tensor([FORMULAS[name](float(t)) for t in GRID], dtype=torch.float64)
    torch.testing.assert_close(activation(name)(GRID), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_jets_pass_and_their_slope_is_a_difference_quotient(name):
    h, one = 1e-5, torch.ones(1, 1, dtype=torch.float64)
    slope = jet(activation(name), GRID[:, None], one, 1)[1, 0, :, 0]
    quotient = [(FORMULAS[name](float(t) + h) - FORMULAS[name](float(t) - h)) / (2 * h) for t in GRID]
    torch.testing.assert_close(slope, torch.tensor(quotient, dtype=torch.float64), rtol=0, atol=1e-8)


def test_unknown_name():
    with pytest.raises(ConfigError, match=r'unknown activation "sofplus".*Did you mean "softplus"'):
        activation("sofplus")
