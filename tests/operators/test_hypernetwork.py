"""Layers that depend on parameters: against the formulas written out, and against a plain network for each value."""

import pytest
import torch
from torch.func import vmap

from kjet.errors import ConfigError
from kjet.jets import Laplacian, contract, partials, reference
from kjet.operators import HyperNetwork, HyperNetworkConfig

WAYS = ("film", "low_rank", "last")
every = pytest.mark.parametrize("weights", WAYS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def make(weights, columns=(1, 3), m=2, dtype=torch.float64):
    options = {"rank": 3, "width": 6, "depth": 2, "hyper_width": 5, "hyper_depth": 1}
    return HyperNetwork(4, m, columns=columns, weights=weights, generator=seeded(), dtype=dtype, **options)


def points(n=5):
    return 2 * torch.rand(n, 4, generator=seeded(1), dtype=torch.float64) - 1


def affine(layer, h):
    return layer.weight @ h + layer.bias


def by_formula(net, weights, x):
    """One point, in the notation of the docstring."""
    code, h = net.hyper(x[[1, 3]]), x[[0, 2]]
    count = len(net.layers)
    for k, layer in enumerate(net.layers):
        if weights == "film":
            size = layer.out_features
            scale, shift, code = code[:size], code[size : 2 * size], code[2 * size :]
            y = (1 + scale) * affine(layer.linear, h) + shift
        elif weights == "low_rank":
            c, code = code[:3], code[3:]
            i = len(h)
            a, w = layer.linear.weight[:, i:], layer.linear.weight[:, :i]
            changed = w + a @ torch.diag(c) @ layer.down.weight
            y = changed @ h + a @ (c * layer.down.bias) + layer.linear.bias
        elif k < count - 1:
            y = affine(layer.linear, h)
        else:
            y = code[:12].reshape(2, 6) @ h + code[12:]
        h = torch.tanh(y) if k < count - 1 else y
    return h


@every
def test_against_the_formulas(weights):
    net, x = make(weights), points()
    torch.testing.assert_close(
        net(x), torch.stack([by_formula(net, weights, row) for row in x]), rtol=1e-12, atol=1e-13
    )


@every
def test_derivatives_by_coordinates_and_parameters(weights):
    net, x = make(weights), points()
    indices = [(0, 0, 0, 0), (2, 0, 1, 0), (0, 0, 4, 0), (1, 1, 0, 0), (0, 2, 0, 2)]
    found, expected = partials(net, x, indices), reference.partials(net, x, indices)
    for index in indices:
        scale = float(expected[index].detach().abs().max())
        assert scale > 0
        torch.testing.assert_close(found[index], expected[index], rtol=0, atol=1e-10 * scale)
    torch.testing.assert_close(
        contract(net, x, Laplacian()), reference.contract(net, x, Laplacian()), rtol=1e-10, atol=1e-12
    )


@every
def test_points_have_their_own_parameters(weights):
    """A batch of mixed parameters is its points one by one."""
    net, x = make(weights), points()
    torch.testing.assert_close(vmap(net)(x), net(x))
    torch.testing.assert_close(torch.cat([net(row[None]) for row in x]), net(x))
    moved = x.clone()
    moved[:, 3] += 0.3
    assert float((net(moved) - net(x)).detach().abs().min()) > 0


@every
def test_single_precision(weights):
    single = make(weights, dtype=torch.float32)
    found = single(points().float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), make(weights)(points()), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@every
def test_compiles(weights):
    net, x = make(weights), points()
    torch.testing.assert_close(torch.compile(net, fullgraph=True, backend="aot_eager")(x), net(x))


def test_generated_weights_start_at_their_usual_size():
    options = {"weights": "last", "width": 64, "depth": 2, "dtype": torch.float64}
    net = HyperNetwork(3, 1, columns=[2], generator=seeded(), **options)
    codes = net.hyper(torch.zeros(1, 1, dtype=torch.float64)).detach()[0, :64]
    assert float(codes.std()) == pytest.approx((2 / 65) ** 0.5, rel=0.4)


def test_columns():
    assert make("film", columns=[-1, 0]).parameter_columns == (0, 3)
    assert make("film", columns=[-1, 0]).coordinate_columns == (1, 2)
    config = HyperNetworkConfig(width=4, depth=1)
    assert config.build(3, 1).parameter_columns == (2,)
    assert config.conditioned([0]).build(3, 1).parameter_columns == (0,)
    own = HyperNetworkConfig(width=4, depth=1, columns=[1])
    assert own.conditioned([0]) is own


@pytest.mark.parametrize("columns", [[], [4], [-5], [0, 1, 2, 3]])
def test_columns_that_do_not_fit(columns):
    with pytest.raises(ConfigError, match=r"columns = .*expected columns of 4 inputs, one at least and not all"):
        make("film", columns=columns)


def test_values_out_of_range():
    with pytest.raises(ConfigError, match=r'unknown way of conditioning "flim".*Did you mean "film"'):
        HyperNetworkConfig(weights="flim")
    for name in ("rank", "hyper_width", "hyper_depth"):
        with pytest.raises(ConfigError, match=f"{name} = 0; expected a positive integer"):
            HyperNetworkConfig(**{name: 0})
    with pytest.raises(ConfigError, match=r"needs parameters among the coordinates.*Parameters\(nu="):
        HyperNetworkConfig().conditioned([])
