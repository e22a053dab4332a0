"""Inverse problems: measurements, bounds, and what is found."""

from __future__ import annotations

import math

import pytest
import torch

import kjet
from kjet.constraints import Draw, Observations
from kjet.data import Sobol
from kjet.data.solvers import taylor_green
from kjet.errors import ConfigError
from kjet.pde import Unknown, residual_of
from kjet.problems import NavierStokesInverseProblem, PoissonInverseProblem, RobinInverseProblem

INVERSE = [NavierStokesInverseProblem, PoissonInverseProblem, RobinInverseProblem]


def observed(problem):
    (condition,) = (c for c in problem.conditions if isinstance(c, Observations))
    points = condition.sample(problem.domain, 1, Draw(Sobol(), torch.Generator()))
    return points.x.double(), {name.removeprefix("observed_"): v.double() for name, v in condition.data(points).items()}


def exact(problem, x):
    values = problem.reference(**{name: x[:, i] for i, name in enumerate(problem.domain.coords)})
    return values if isinstance(values, dict) else {"u": values}


@pytest.mark.parametrize("options", INVERSE)
def test_measurements_are_the_reference_with_noise(options):
    problem = options().build()
    x, values = observed(problem)
    assert bool(problem.domain.inside(x).all())
    assert len(x) == options().sensors
    for name, truth in exact(problem, x).items():
        assert 0.8 < float((values[name] - truth).std() / (0.01 * truth.std())) < 1.2
    assert not torch.equal(observed(options(data_seed=1).build())[0], x)
    again, exactly = observed(options(noise=0.0).build())
    for name, truth in exact(problem, again).items():
        torch.testing.assert_close(exactly[name], truth)


@pytest.mark.parametrize("options", INVERSE)
def test_unknowns_are_bounded_and_start_elsewhere(options):
    unknown = {name: v for name, v in options().build().all_parameters.items() if isinstance(v, Unknown)}
    assert len(unknown) >= 2
    truths = {"advection": 1.0, **vars(options())}
    for name, value in unknown.items():
        assert value.low < truths[name] < value.high
        assert abs(value.initial - truths[name]) > 0.05 * truths[name]


@pytest.mark.parametrize("viscosity", [0.02, 0.1])
def test_the_drifting_vortices_solve_the_equations(viscosity):
    """With the pressure of the vortices, which the reference leaves out."""
    options = NavierStokesInverseProblem(viscosity=viscosity)
    k = math.pi

    def part(i, drift=0.0):
        return lambda x, y, t: (
            drift + taylor_green(k * (x - 0.6 * t), k * (y - 0.3 * t), k**2 * t, viscosity)[i]
        )  # fmt: skip

    fields = {"u": part(0, 0.6), "v": part(1, 0.3), "p": part(2)}
    x = torch.rand(50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    problem = options.build()
    for name, value in exact(problem, x).items():
        torch.testing.assert_close(value, fields[name](*x.T))
    truth = {"advection": 1.0, "viscosity": viscosity}
    for value in residual_of(problem.equation, fields, x, truth).values():
        assert float(value.abs().max()) < 1e-12
    # the drift tells the strength of advection: no pressure balances the wrong one
    wrong = residual_of(problem.equation, fields, x, {**truth, "advection": 1.1})
    assert float(wrong["momentum_x"].abs().max()) > 0.1


@pytest.mark.slow
@pytest.mark.parametrize("options", INVERSE)
def test_unknowns_are_found(options):
    solution = kjet.solve(options().build(), max_seconds=30, progress=False)
    truths = {"advection": 1.0, **vars(options())}
    for name, value in solution.parameters.items():
        assert abs(float(value) - truths[name]) < 0.03 * truths[name], name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonInverseProblem(sensors=0), "problem.sensors must be positive; got 0"),
        (lambda: PoissonInverseProblem(noise=-1.0), "problem.noise must not be negative; got -1.0"),
        (lambda: PoissonInverseProblem(center_x=1.0).build(), "problem.center_x must lie between 0 and 1; got 1.0"),
        (lambda: NavierStokesInverseProblem(viscosity=0.0).build(), "problem.viscosity must be positive; got 0.0"),
        (lambda: RobinInverseProblem(transfer=-2.0).build(), "problem.transfer must be positive; got -2.0"),
    ],
)
def test_values_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
