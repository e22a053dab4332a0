"""Layers of one's own take part in the fast Jacobian; the chain rule of factorized weights, by itself."""

import torch
from torch import nn

from kjet.constraints import Draw, Initial
from kjet.data import Interval, Time, make_sampler
from kjet.operators import FactorizedLinear, MLPConfig
from kjet.pde import Heat
from kjet.problem import Problem
from kjet.training import ConstraintConfig, SamplerConfig
from kjet.training.jacobian import RowLayer, Taps
from kjet.training.setup import build_model, build_objective


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


class Gain(nn.Module):
    """A factor for each feature, with its own rule."""

    def __init__(self, size):
        super().__init__()
        self.factor = nn.Parameter(numbers(size))
        self.calls = 0

    def forward(self, x):
        return self.factor * x

    def row_jacobians(self, inputs, slopes, primal):
        self.calls += 1
        return [(self.factor, (inputs * slopes).sum(0))]


def network():
    layers = [
        nn.Linear(2, 5),
        nn.Tanh(),
        Gain(5),
        nn.Tanh(),
        FactorizedLinear(numbers(4, 5)),
        nn.Tanh(),
        nn.Linear(4, 1),
    ]
    return nn.Sequential(*layers).double()


def objective(net):
    problem = Problem(Heat(), Interval(0, 1) * Time(0, 1), [Initial(u=lambda x: x)])
    options = {"generator": seeded(), "dtype": torch.float64, "device": "cpu"}
    model, soft = build_model(problem, net, ConstraintConfig("soft"), **options)
    draw = Draw(make_sampler("sobol"), seeded(), torch.float64)
    return build_objective(problem, model, soft, SamplerConfig(points=9, boundary_points=4), draw)


def one_by_one(found):
    """Reverse mode, a residual at a time."""
    rows = torch.cat([row for term in found.terms for row in found.rows(term)])
    parameters = found.model.trainable()
    jacobian = []
    for row in rows:
        parts = torch.autograd.grad(row, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
        jacobian.append(torch.cat([part.reshape(-1) for part in parts]))
    return torch.stack(jacobian)


def test_a_layer_of_ones_own():
    net = network()
    found = objective(net)
    assert not Taps(found.model, 9)._stray, "no residual is differentiated by itself"
    theta = found.model.flat()
    _, jacobian = found.residual_and_jacobian(theta)
    expected = one_by_one(found)
    assert float((jacobian - expected).abs().max() / expected.abs().max()) < 1e-12
    assert net[2].calls == len(found.terms)


def test_protocol():
    assert isinstance(FactorizedLinear(numbers(2, 3)), RowLayer)
    assert not isinstance(nn.Linear(3, 2), RowLayer)
    assert not isinstance(nn.LayerNorm(2), RowLayer)


def test_factorized_networks_need_one_backward_pass():
    config = MLPConfig(width=5, depth=2, factorized=True)
    net = config.build(2, 1, generator=seeded(), dtype=torch.float64)
    assert not Taps(objective(net).model, 9)._stray


def test_chain_rule():
    """J_V = diag(exp(s)) J_W and J_s = sum_i W_oi J_W,oi, against a plain layer of the same weight."""
    layer = FactorizedLinear(numbers(4, 3), generator=seeded(), dtype=torch.float64)
    inputs, slopes = numbers(2, 6, 3, seed=1), numbers(2, 6, 4, seed=2)
    primal = slopes[0]
    plain = torch.einsum("cno,cni->noi", slopes, inputs)
    found = dict(zip(("direction", "scale", "bias"), layer.row_jacobians(inputs, slopes, primal), strict=True))
    scale, weight = layer.scale.detach(), layer.weight.detach()
    torch.testing.assert_close(found["direction"][1], torch.exp(scale)[:, None] * plain, rtol=1e-13, atol=1e-14)
    torch.testing.assert_close(found["scale"][1], (weight * plain).sum(-1), rtol=1e-13, atol=1e-13)
    assert torch.equal(found["bias"][1], primal)
    for name, (parameter, _) in found.items():
        assert parameter is getattr(layer, name)
