"""Digits of float32 at high order, and activations far out where they are flat."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from kjet.jets import Jet, Layout, jet


def network(activation, seed, width=32, layers=4):
    generator, modules, sizes = torch.Generator().manual_seed(seed), [], [2, *(width,) * layers, 1]
    for fan_in, fan_out in itertools.pairwise(sizes):
        layer = nn.Linear(fan_in, fan_out)
        layer.weight.data = torch.randn(fan_out, fan_in, generator=generator) / fan_in**0.5
        layer.bias.data = 0.3 * torch.randn(fan_out, generator=generator)
        modules += [layer, activation()]
    return nn.Sequential(*modules[:-1])


@pytest.mark.parametrize("activation", [nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Softplus, nn.Mish])
def test_float32_keeps_its_digits_at_order_8(activation):
    """The network in float64 has the same weights, so that the difference is that of the arithmetic alone."""
    directions = torch.tensor([[0.6, 0.8], [1.0, 0.0]])
    for seed in range(3):
        single = network(activation, seed)
        double = copy.deepcopy(single).double()
        x = 2 * torch.rand(100, 2, generator=torch.Generator().manual_seed(seed + 10)) - 1
        found = jet(single, x, directions, 8).double()
        exact = jet(double, x.double(), directions.double(), 8)
        error = ((found - exact).abs().amax((1, 2, 3)) / exact.abs().amax((1, 2, 3))).tolist()
        assert error[8] < 3e-6, error
        assert max(error) < 6e-6, error


FLAT = {
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "silu": F.silu, "gelu": F.gelu,
    "gelu_tanh": lambda t: F.gelu(t, approximate="tanh"), "softplus": F.softplus,
    "softplus_5": lambda t: F.softplus(t, beta=5.0), "mish": F.mish, "logsigmoid": F.logsigmoid,
    "tanhshrink": F.tanhshrink, "elu": F.elu, "celu": F.celu, "selu": F.selu, "softsign": F.softsign,
    "hardswish": F.hardswish, "softmax": lambda t: F.softmax(t, -1), "log_softmax": lambda t: F.log_softmax(t, -1),
    "glu": lambda t: F.glu(t, -1), "erf": torch.erf, "erfc": torch.erfc, "ndtr": torch.special.ndtr,
    "atan": torch.atan, "sinc": torch.sinc, "asinh": torch.asinh, "logaddexp": lambda t: torch.logaddexp(t, -t),
    "logsumexp": lambda t: torch.logsumexp(t, -1, keepdim=True), "layer_norm": lambda t: F.layer_norm(t, (4,)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::kjet.errors.NonSmoothWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", FLAT)
def test_saturated_activations_stay_finite(name, dtype):
    """Values, all coefficients to order 8 and their gradients, for arguments up to 1e4 with large slopes."""
    u = torch.tensor(
        [[-1e4, 1e4, -300, 300], [-88, 88, -20, 20], [1e4, -1e4, 0, 1e-8], [50, -50, 100, -100]], dtype=dtype
    ).requires_grad_()
    generator = torch.Generator().manual_seed(0)
    rest = [3 * torch.randn(2, 4, 4, generator=generator).to(dtype) for _ in range(8)]
    y = FLAT[name](Jet([u, *rest], Layout.uniform(2, 8)))
    present = [c for c in y.coefficients if c is not None]
    assert all(torch.isfinite(c).all() for c in present)
    (gradient,) = torch.autograd.grad(sum(c.sum() for c in present), u)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "gelu", "silu", "softplus"])
def test_flat_parts_have_no_derivatives(name):
    f = FLAT[name]
    x = torch.tensor([[-1e4], [1e4]])
    values = jet(f, x, torch.ones(1, 1), 8)[:, 0, :, 0]
    torch.testing.assert_close(values[0], f(x)[:, 0], rtol=0, atol=0)
    slope = [0.0, 0.0] if name in ("tanh", "sigmoid") else [0.0, 1.0]
    assert values[1].tolist() == slope
    assert not values[2:].any()
