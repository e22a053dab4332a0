"""The first layer of the perceptron for very many coordinates."""

import pytest
import torch

from kjet.errors import ConfigError
from kjet.jets import Laplacian, Layout, contract, reference
from kjet.jets.seeds import OneHot, Shared, start
from kjet.operators import MLP, MLPHD, BlockLinear, MLPHDConfig


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(first_layer, d=11, **options):
    options = {"block_size": 3, "hidden": [7, 5], **options}
    return MLPHD(d, 2, first_layer=first_layer, generator=seeded(), dtype=torch.float64, **options)


def points(n=4, d=11):
    return torch.rand(n, d, dtype=torch.float64, generator=seeded(1)) - 0.5


def test_full_is_the_perceptron():
    plain = MLP(11, 2, hidden=[7, 5], generator=seeded(), dtype=torch.float64)
    assert torch.equal(make("full")(points()), plain(points()))


@pytest.mark.parametrize("first_layer", ["block", "conv"])
def test_blocks_share_their_weights(first_layer):
    """Against torch's own convolution; the two coordinates left over enter the next layer as they are."""
    net, x = make(first_layer), points()
    shared = net.shared.linear
    h = torch.nn.functional.conv1d(x[:, None, :], shared.weight[:, None, :], shared.bias, stride=3)[:, 0]
    h = torch.tanh(h) if first_layer == "block" else h
    torch.testing.assert_close(net(x), net.core(torch.cat([h, x[:, 9:]], 1)), rtol=1e-13, atol=1e-14)
    assert (shared.bias is None) == (first_layer == "conv")


def test_number_of_weights():
    counts = {name: sum(p.numel() for p in make(name, d=30).parameters()) for name in ("full", "block", "conv")}
    rest = 5 * 7 + 5 + 2 * 5 + 2
    assert counts == {"full": 31 * 7 + rest, "block": 4 + 11 * 7 + rest, "conv": 3 + 11 * 7 + rest}


@pytest.mark.parametrize("first_layer", ["full", "block", "conv"])
@pytest.mark.parametrize("d", [9, 11])
def test_laplacian(first_layer, d):
    net, x = make(first_layer, d), points(d=d)
    expected = reference.contract(net, x, Laplacian())
    torch.testing.assert_close(contract(net, x, Laplacian()), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("first_layer", ["full", "block", "conv"])
@pytest.mark.parametrize("d", [9, 11])
def test_symbolic_directions(first_layer, d):
    """Coordinate axes and shared vectors that are kept symbolic give what dense ones give, gradients included."""
    net, x = make(first_layer, d), points(d=d)
    layout = Layout((3, 0), (None, torch.tensor([[0.5, 1.0, 2.0]], dtype=torch.float64)))
    vectors = torch.randn(3, d, generator=seeded(2), dtype=torch.float64)
    axes = torch.tensor([d - 1, 0, 4])
    for seeds, dense in ((OneHot(axes), torch.eye(d, dtype=torch.float64)[axes]), (Shared(vectors), vectors)):
        second = 2 * net(start(x, seeds, layout)).coefficients[2][0]
        hessians = torch.stack(
            [torch.func.vmap(torch.func.jacrev(torch.func.jacrev(lambda y, j=j: net(y)[j])))(x) for j in range(2)], 1
        )
        along = torch.einsum("si,nmij,sj,s->nm", dense, hessians, dense, layout.weights[1][0])
        torch.testing.assert_close(second, along, rtol=1e-10, atol=1e-12)
        weights = list(net.parameters())
        found, expected = (
            torch.autograd.grad(v.square().sum(), weights, allow_unused=True, materialize_grads=True)
            for v in (second, along)
        )
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-10)


def test_shared_directions_are_not_repeated_for_each_point():
    x = points(n=50, d=12)
    layout = Layout((2, 0), (None, torch.ones(1, 2)))
    y = BlockLinear(12, 3, dtype=torch.float64)(start(x, OneHot(torch.tensor([0, 5])), layout))
    assert y.shape == (50, 4)
    assert y.coefficients[1].shape == (2, 1, 4)


def test_values_are_refused_with_a_reason():
    with pytest.raises(ConfigError, match=r'unknown first layer "convolution"; it has block, conv, full'):
        MLPHDConfig(first_layer="convolution")
    with pytest.raises(ConfigError, match=r"MLPHDConfig: block_size = 0; expected a positive integer"):
        MLPHDConfig(block_size=0)
    with pytest.raises(ConfigError, match=r"blocks of 100 coordinates do not fit into 7"):
        MLPHDConfig(first_layer="conv").build(7, 1)
