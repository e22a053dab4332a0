"""Problems whose references finite elements compute, and options of the steady ones."""

from __future__ import annotations

from functools import cache, partial

import pytest
import torch

from kjet.errors import ConfigError
from kjet.pde import residual_of
from kjet.problems import (
    ElasticityProblem,
    HeatLongTimeProblem,
    HeatMultiscaleProblem,
    NavierStokesBackstepProblem,
    Poisson3DCompositeProblem,
    PoissonManyAreasProblem,
    PoissonNDProblem,
    StokesProblem,
)
from kjet.registry import resolve
from tests.problems.test_problems import FINITE_ELEMENTS, by_differences, draw, fields_of, residuals

pytest.importorskip("skfem")

# Within one triangle the field is a polynomial; stencils that cross a side see its slope jump by a little.
differences = partial(by_differences, h=1e-4)


@cache
def problem_of(name):
    return resolve("problem", name)().build()


@pytest.mark.parametrize("name", sorted(FINITE_ELEMENTS - {"navier_stokes_backstep"}))
def test_the_equation_holds_inside(name):
    problem = problem_of(name)
    x = draw().boundary(problem.domain, 100, "interior").x
    away = problem.domain.distance(x) > 0.02
    if problem.domain.time:
        away &= (x[:, -1] > 0.1) & (x[:, -1] < float(problem.domain.bounds[-1, 1]) - 0.01)
    x = x[away][:25]
    found = residuals(problem, problem.record()["equation"], x, differences)["residual"]
    second = differences(lambda z: fields_of(problem)(z)["u"], x, (2, *[0] * (x.shape[1] - 1)))
    assert len(x) == 25
    assert float(found.abs().median()) < 0.01 * float(second.abs().max())


@pytest.mark.parametrize("name", sorted(FINITE_ELEMENTS))
def test_the_conditions_hold(name):
    """Slopes at the boundary are those of the outermost triangles' polynomials, which go on a little."""
    problem = problem_of(name)
    for condition in problem.conditions:
        points = condition.sample(problem.domain, 16, draw())
        recorded, x = problem.record()[condition.name], points.x
        exchange = condition.name.endswith(("exchange", "outlet"))
        keep = x[:, -1] > 0.1 if problem.domain.time and exchange else slice(None)
        for key, value in residuals(problem, recorded, x, differences, condition.data(points)).items():
            # flows of heat are up to 5; curved sides miss their circle a little
            assert float(value[keep].abs().max()) < (0.15 if exchange else 1e-3), f"{condition.name}: {key}"


def test_what_flows_in_flows_out():
    fields = fields_of(problem_of("navier_stokes_backstep"))
    nodes = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    for x, low in ((0.3, 1.0), (1.5, 0.0), (3.0, 0.0), (5.9, 0.0)):
        y = low + (2.0 - low) * nodes
        u = fields(torch.stack([torch.full_like(y, x), y], 1))["u"]
        assert float(u.mean()) * (2.0 - low) == pytest.approx(2 / 3, rel=1e-3)
    behind = torch.tensor([[1.5, 0.2]], dtype=torch.float64)
    assert float(fields(behind)["u"]) < -0.02, "the flow turns back behind the step"


@pytest.mark.parametrize(
    "options",
    [
        PoissonNDProblem(dim=3),
        Poisson3DCompositeProblem(ratio=2.0),
        StokesProblem(viscosity=0.1),
        ElasticityProblem(lam=2.0, mu=1.0),
        HeatMultiscaleProblem(waves=3),
    ],
    ids=repr,
)
def test_options_reach_the_equation_and_the_reference(options):
    problem = options.build()
    x = draw().boundary(problem.domain, 30, "interior").x
    names = problem.fields

    def field(name):
        def value(**columns):
            found = problem.reference(**{key: columns[key] for key in problem.domain.coords})
            return found[name] if isinstance(found, dict) else found

        return value

    for value in residual_of(problem.equation, {name: field(name) for name in names}, x).values():
        assert float(value.abs().max()) < 1e-9


def test_flow_of_another_reynolds_number():
    slow = fields_of(NavierStokesBackstepProblem(reynolds=1.0).build())
    behind = torch.tensor([[1.5, 0.2]], dtype=torch.float64)
    assert float(slow(behind)["u"]) > 0, "no flow turns back so far from the step"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PoissonNDProblem(dim=0), "problem.dim must be at least 1; got 0"),
        (lambda: HeatMultiscaleProblem(waves=0), "problem.waves must be at least 1; got 0"),
        (lambda: HeatLongTimeProblem(end=0.0), "problem.end must be positive; got 0.0"),
        (lambda: PoissonManyAreasProblem(areas=0), "problem.areas must be positive; got 0"),
        (lambda: NavierStokesBackstepProblem(reynolds=-5.0), "problem.reynolds must be positive; got -5.0"),
        (lambda: StokesProblem(viscosity=0.0), "problem.viscosity must be positive; got 0.0"),
        (lambda: ElasticityProblem(mu=-1.0), "must be positive; got -1.0, 1.0"),
        (lambda: ElasticityProblem(lam=-0.5), "must be positive; got 0.5, -0.5"),
        (lambda: Poisson3DCompositeProblem(ratio=-1.0), "problem.ratio must be positive; got -1.0"),
    ],
)
def test_values_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
