"""One network for a range of parameters: which columns they are, training, saving and loading."""

from __future__ import annotations

import pytest
import torch

import kjet
from kjet.constraints import Initial, Periodic
from kjet.data import Interval, Parameters, Time
from kjet.errors import ConfigError
from kjet.operators import HyperNetwork, HyperNetworkConfig
from kjet.pde import Heat
from kjet.problem import Problem
from kjet.problems import BurgersParametricProblem
from kjet.training import ConstraintConfig
from kjet.training.inputs import Inputs

SMALL = HyperNetworkConfig(width=8, depth=2, hyper_width=6, hyper_depth=1)


def built(problem, network=SMALL):
    inputs = Inputs.of(problem, ConstraintConfig())
    options = {"generator": torch.Generator().manual_seed(0), "dtype": torch.float64, "device": "cpu"}
    return inputs.build(network, 1, **options)


def core(network) -> HyperNetwork:
    return next(m for m in network.modules() if isinstance(m, HyperNetwork))


def test_parameters_of_the_domain_are_those_of_the_network():
    space, time, range_ = Interval(-1, 1), Time(0, 1), Parameters(diffusivity=(0.1, 1.0))
    assert core(built(Problem(Heat(), space * time * range_, []))).parameter_columns == (2,)
    assert core(built(Problem(Heat(), range_ * space * time, []))).parameter_columns == (0,)


def test_behind_an_embedding_of_periodic_coordinates():
    domain = Interval(-1, 1) * Time(0, 1) * Parameters(diffusivity=(0.1, 1.0))
    network = built(Problem(Heat(), domain, [Periodic("x")]))
    assert core(network).parameter_columns == (1,)  # t, diffusivity, sin, cos
    x = torch.tensor([[0.3, 0.5, 0.2], [0.3, 0.5, 0.7]], dtype=torch.float64)
    shifted = x + torch.tensor([2.0, 0.0, 0.0])
    torch.testing.assert_close(network(shifted), network(x))
    values = core(network).hyper
    seen = []
    values.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    network(x)
    torch.testing.assert_close(seen[0].flatten(), (x[:, 2] - 0.55) / 0.45)


def test_a_domain_without_parameters():
    problem = Problem(Heat(), Interval(-1, 1) * Time(0, 1), [Initial(u=0.0)])
    with pytest.raises(ConfigError, match=r"the domain has none; multiply it by Parameters\(nu=\(0.01, 0.1\)\)"):
        kjet.solve(problem, network="hypernetwork", max_steps=1, progress=False)


def test_the_equation_reads_the_parameter_of_each_point():
    problem = BurgersParametricProblem(low=0.1, high=0.2).build()
    assert problem.all_parameters == {}
    assert "nu" in problem.describe()
    assert problem.record()["equation"].plan is not None


@pytest.mark.parametrize("weights", ["film", "low_rank", "last"])
def test_trains_saves_and_loads(weights, tmp_path):
    """Fifteen steps of Gauss-Newton; the file is enough to rebuild the network."""
    problem = BurgersParametricProblem(low=0.1, high=0.3).build()
    network = HyperNetworkConfig(weights=weights, rank=3, width=8, depth=2, hyper_width=6, hyper_depth=1)
    sampler = kjet.training.SamplerConfig(points=400, boundary_points=80)
    solution = kjet.solve(
        problem, network=network, optimizer="gauss_newton", sampler=sampler, max_steps=15, progress=False
    )
    assert solution.errors["u"]["rel_l2"] < 0.08
    at = {"x": [-0.5, 0.1, 0.1], "t": [0.2, 0.9, 0.9], "nu": [0.1, 0.1, 0.3]}
    values = solution.predict(at)["u"]
    exact = problem.reference(**{name: torch.tensor(column, dtype=torch.float64) for name, column in at.items()})
    torch.testing.assert_close(values, exact, rtol=0, atol=0.1)
    assert float((values[1] - values[2]).abs()) > 0.02, "viscosities differ"
    again = kjet.load(solution.save(tmp_path / "saved"))
    assert torch.equal(again.predict(at)["u"], values)
