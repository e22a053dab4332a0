"""One compilation serves every number of points."""

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

from kjet.jets import Plan, quantity
from tests.jets.test_modules import made

SLOPE = quantity({(1, 0): 1.0})
LAPLACIAN = quantity({(2, 0): 1.0, (0, 2): 1.0})
MIXED = quantity({(1, 2): 1.0, (3, 0): -0.5})
SIZES = (5, 7, 12, 3)


def count_compilations(f, names, dynamic):
    """Compile the loss of a plan, compare values and gradients with eager ones at every size."""
    plan, counter = Plan.build(names, 2), CompileCounter()

    def loss(x):
        return sum((value**2).sum() for value in plan(f, x).values())

    torch._dynamo.reset()
    compiled = torch.compile(loss, backend=counter, fullgraph=True, dynamic=True if dynamic else None)
    for size in SIZES:
        x = torch.rand(size, 2, generator=torch.Generator().manual_seed(size), dtype=torch.float64)
        if not dynamic:
            torch._dynamo.mark_dynamic(x, 0)
        found, expected = compiled(x), loss(x)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        parameters = [p for p in f.parameters() if p.requires_grad]
        for one, two in zip(
            torch.autograd.grad(found, parameters, allow_unused=True, materialize_grads=True),
            torch.autograd.grad(expected, parameters, allow_unused=True, materialize_grads=True),
            strict=True,
        ):
            torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)
    return counter.frame_count


@pytest.mark.parametrize("dynamic", [True, False], ids=["dynamic", "mark_dynamic"])
def test_a_network_is_compiled_once(dynamic):
    assert count_compilations(made("mlp"), [LAPLACIAN, SLOPE], dynamic) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["pirate", "siren", "encoder_layer", "gru_cell", "layer_norm", "batch_norm_1d", "conv_1d", "conv_2d",
     "conv_transposed", "fourier_1d", "messages", "solve", "bilinear", "activation_GELU", "activation_Softmax"],
)  # fmt: skip
def test_layers_are_compiled_once(name):
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        assert count_compilations(made(name), [LAPLACIAN, SLOPE], True) == 1


@pytest.mark.slow
def test_higher_orders_are_compiled_once():
    f = nn.Sequential(made("mlp"), nn.Tanh(), nn.Linear(2, 2).double())
    assert count_compilations(f, [MIXED, LAPLACIAN], True) == 1
