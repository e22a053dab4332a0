"""Problems in dimensionless form: what is exact stays exact, and solutions come back in units."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import kjet
from kjet.constraints import Dirichlet, Draw, Initial, Integral, Neumann, Observations, On, Periodic, Robin
from kjet.data import Interval, Time
from kjet.errors import ConfigError
from kjet.operators import MLPConfig
from kjet.pde import Heat, PointFunction, Unknown, Wave
from kjet.problem import Problem
from kjet.training import Model, SamplerConfig, nondimensional
from kjet.training.setup import build_objective

LENGTH, DAYS, KELVIN, OFFSET = 1e5, 20.0, 25.0, 280.0
RATE = 7.8e8 * math.pi**2 / LENGTH**2 / 4  # of cos(pi x / 2L), per day
SCALES = {"x": (LENGTH, 0.0, "m"), "t": (DAYS, 0.0, "d"), "u": (KELVIN, OFFSET, "K")}
FIXED = SamplerConfig(points=300, boundary_points=40, adaptive="none")


def temperature(x, t):
    return OFFSET + KELVIN * torch.cos(math.pi * x / (2 * LENGTH)) * torch.exp(-RATE * t)


def start(x):
    return OFFSET + KELVIN * torch.cos(math.pi * x / (2 * LENGTH))


def slab(*more, diffusivity=7.8e8) -> Problem:
    conditions = [Initial(u=start), Dirichlet("right", u=OFFSET), Neumann("left", u=0.0), *more]
    domain = Interval(0.0, LENGTH) * Time(0.0, DAYS)
    return Problem(Heat(diffusivity=diffusivity), domain, conditions, reference=temperature, name="slab")


class Exact(nn.Module):
    """The exact dimensionless solution, with a parameter that has nothing to do."""

    def __init__(self, made) -> None:
        super().__init__()
        self.made, self.idle = made, nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, x):
        scales = self.made.scales
        y = scales.physical(x)
        return scales.fields["u"].dimensionless(temperature(y[..., 0], y[..., 1]))[..., None] + 0 * self.idle


def everything() -> Problem:
    x, t = torch.rand(2, 30, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor(
        [[LENGTH], [DAYS]]
    )
    slope = KELVIN * math.pi / (2 * LENGTH)
    return slab(
        Observations({"t": t, "x": x}, u=temperature(x, t)),
        Robin("right", u=(2.0, 3.0, lambda t: 2 * OFFSET - 3 * slope * torch.exp(-RATE * t)), name="exchange"),
        On("right", lambda u, p, normal: normal[0] * u.x + slope * torch.exp(-RATE * p.t), name="any"),
        Dirichlet("left", name="function", u=PointFunction(
            lambda x: OFFSET + KELVIN * torch.exp(-RATE * x[..., 1]), ("x", "t"))),
        On("final", lambda u: u - (u + 0.0), name="none"),
        On("interior", lambda u, p: u.t - 7.8e8 * u.xx, name="again"),
    )  # fmt: skip


def test_all_conditions_hold_for_the_exact_solution():
    made = nondimensional(everything(), SCALES)
    problem = made.problem
    model = Model(Exact(made), problem.all_parameters, problem.fields, problem.domain.coords)
    draw = Draw("uniform", torch.Generator().manual_seed(0), torch.float64)
    objective = build_objective(problem, model, problem.conditions, FIXED, draw)
    for term in objective.terms:
        for row in objective.rows(term):
            assert float(row.detach().abs().max()) < 1e-11, term.name


def test_dimensionless_residuals_are_of_size_one():
    made = nondimensional(everything(), SCALES)
    assert made.numbers["residual"] == {"u_t": pytest.approx(1 / (7.8e8 * DAYS / LENGTH**2)), "u_xx": -1.0}
    assert made.sizes["left_flux"]["u"] == pytest.approx(KELVIN / LENGTH)
    assert "K u'" in made.describe()


def test_integrals_keep_their_target():
    mean = Integral("u", target=3.0)
    problem = Problem(Heat(), Interval(0.0, 2.0) * Time(0.0, 1.0), [mean])
    made = nondimensional(problem, {"u": (5.0, 1.0)})

    class One(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 0 + 0.1  # u = 1.5 on an area of 2

    one = One(2, 1, dtype=torch.float64)
    model = Model(one, made.problem.all_parameters, ("u",), ("x", "t"))
    draw = Draw("uniform", torch.Generator().manual_seed(0), torch.float64)
    objective = build_objective(made.problem, model, made.problem.conditions, FIXED, draw)
    assert float(objective.rows(objective.terms[1])[0].detach()) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("constraint", ["soft", "hard"])
def test_a_slab_in_metres_days_and_kelvin(constraint):
    made = nondimensional(slab(), SCALES)
    options = {"network": MLPConfig(width=10, depth=2), "sampler": FIXED, "constraint": constraint, "progress": False}
    solution = kjet.solve(made.problem, optimizer="levenberg_marquardt", max_steps=60, **options)
    physical = made.physical(solution)
    x = torch.rand(500, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x = x * torch.tensor([LENGTH, DAYS])
    assert float((physical.predict(x)["u"] - temperature(*x.unbind(1))).abs().max()) < 1e-2 * KELVIN
    # what is left of the equation, in kelvin per day; an ansatz has a singularity in the corner
    assert float(physical.residual(x)["residual"].abs().median()) < 0.02 * KELVIN * RATE
    assert solution.errors["u"]["rel_l2"] < 1e-2
    assert physical.problem.name == "slab"
    expected = temperature(*x.unbind(1))
    error = float((physical.predict(x)["u"] - expected).norm() / expected.norm())
    assert physical.errors["u"]["rel_l2"] == pytest.approx(error, rel=0.5)  # at other points
    assert physical.errors["u"]["rel_l2"] < 0.2 * solution.errors["u"]["rel_l2"]  # of 280 K, not of 25 K


def test_periodic_conditions_stay_exact():
    domain = Interval(0.0, 10.0) * Time(0.0, 1.0)
    wave = Problem(Wave(), domain, [Periodic("x"), Initial(u=lambda x: torch.sin(0.2 * math.pi * x), u_t=2.0)])
    made = nondimensional(wave, {"x": 10.0, "t": 4.0, "u": 3.0})
    periodic, initial = made.problem.conditions
    assert isinstance(periodic, Periodic)
    assert initial.values["u_t"] == pytest.approx(2.0 * 4.0 / 3.0)
    assert float(initial.values["u"](x=torch.tensor(0.25))) == pytest.approx(1 / 3)


@pytest.mark.parametrize(("size", "offset"), [(1e-3, 0.0), (25.0, 280.0)])
def test_observations_are_of_size_one(size, offset):
    x = torch.linspace(0.0, 4.0, 9, dtype=torch.float64)
    data = Observations({"x": x, "t": x}, u=offset + size * torch.sin(x))
    problem = Problem(Heat(), Interval(0.0, 4.0) * Time(0.0, 4.0), [data])
    (found,) = nondimensional(problem, {"u": (size, offset), "x": 4.0}).problem.conditions
    assert isinstance(found, Observations)
    assert torch.allclose(found.values["u"], torch.sin(x), atol=1e-9)
    assert torch.allclose(found.points.column("x"), x / 4)


def test_unknown_parameters_are_found_in_units():
    x, t = torch.rand(2, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x, t = x * LENGTH, t * DAYS
    problem = slab(Observations({"x": x, "t": t}, u=temperature(x, t)), diffusivity=Unknown(3e8, low=0.0))
    made = nondimensional(problem, SCALES)
    options = {"network": MLPConfig(width=10, depth=2), "sampler": FIXED, "progress": False}
    solution = kjet.solve(made.problem, optimizer="levenberg_marquardt", max_steps=60, **options)
    assert made.physical(solution).parameters["diffusivity"] == pytest.approx(7.8e8, rel=0.02)


def test_extents_are_the_default_scales():
    made = nondimensional(slab(), {"u": (KELVIN, OFFSET)})
    assert made.problem.domain.bounds.tolist() == [[0.0, 1.0], [0.0, 1.0]]


def test_solutions_of_other_problems_are_refused():
    made = nondimensional(slab(), SCALES)
    other = Problem(Heat(coords=("y", "t")), Interval(0.0, 1.0, "y") * Time(0.0, 1.0), [])
    solution = kjet.solve(other, max_steps=1, optimizer="adam", sampler=FIXED, progress=False)
    with pytest.raises(ConfigError, match="expected one of this problem"):
        made.physical(solution)


def test_regions_with_fields_of_their_own_are_refused():
    from kjet.registry import resolve

    with pytest.raises(ConfigError, match="in each region"):
        nondimensional(resolve("problem", "two_materials")().build(), {})
