"""The references of the zoo solve their equations and satisfy their conditions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import kjet
import kjet.problems
from kjet.constraints import Draw, Observations
from kjet.data import Sobol
from kjet.errors import ConfigError
from kjet.jets import GradientProducts, reference
from kjet.operators import MLPConfig
from kjet.pde import Piecewise, Recorded, Unknown, Values
from kjet.problem import Problem
from kjet.problems import (
    AllenCahnProblem,
    CavityProblem,
    HeatInverseProblem,
    KovasznayProblem,
    Poisson5DProblem,
    SchrodingerProblem,
)
from kjet.registry import names, resolve

NAMES = names("problem")
FROM_A_SOLVER = {
    "allen_cahn": 1e-4,
    "kdv": 1e-5,
    "kuramoto_sivashinsky_regular": 1e-4,
    "kuramoto_sivashinsky_chaotic": 2e-3,  # the fourth derivative multiplies what its 85 modes leave by their power
    "gray_scott": 1e-4,
    "ginzburg_landau": 2e-4,
    "navier_stokes_torus": 1e-4,
    "wave2d_heterogeneous": 1e-3,
    # fronts between the plateaus; values are right to 2e-5
    "heat_long_time": 5e-3,
}
"""References that are computed, and how well finite differences of them satisfy the equation."""

COSTLY = {"gray_scott", "ginzburg_landau", "heat_long_time", "navier_stokes_torus"}
"""References that take long to compute."""

FINITE_ELEMENTS = {
    "heat_complex", "heat_varying", "navier_stokes_backstep", "poisson_boltzmann", "poisson_holes", "poisson_many_areas"
}  # fmt: skip
"""References that are computed by finite elements: see test_geometries.py."""

NO_FULL_FORM = {"cavity", "schrodinger", "navier_stokes_inverse"}
"""References that leave the pressure out, or start with a kink."""

TRUTH: dict[str, dict[str, float]] = {
    "heat_inverse": {"diffusivity": 0.3},
    "poisson_inverse": {"background": 0.5, "rise": 2.0, "center_x": 0.6, "center_y": 0.35},
    "robin_inverse": {"transfer": 2.5, "ambient": 0.4},
}
"""What the unknowns are."""

Fields = Callable[[Tensor], dict[str, Tensor]]
Derivative = Callable[[Callable[[Tensor], Tensor], Tensor, tuple[int, ...]], Tensor]


def marked(chosen: Iterable[str]) -> list[Any]:
    """Sort names for parametrize, with the costly ones among the slow tests."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in COSTLY else []) for name in sorted(chosen)]


@cache
def problem_of(name: str) -> Problem:
    options = resolve("problem", name)
    many = getattr(options, "dim", 0) > 10
    return (options(dim=6) if many else options()).build()


def fields_of(problem: Problem) -> Fields:
    def fields(x: Tensor) -> dict[str, Tensor]:
        columns = {name: x[:, i] for i, name in enumerate(problem.domain.coords)}
        if isinstance(problem.equation, Piecewise):  # each region's own formula, which goes on beyond the region
            return {f"u_{region}": own(**columns) for region, own in problem.reference.by_region.items()}
        values = problem.reference(**columns)
        return dict(values) if isinstance(values, dict) else {problem.fields[0]: values}

    return fields


def by_autograd(f: Callable[[Tensor], Tensor], x: Tensor, index: tuple[int, ...]) -> Tensor:
    return reference.partials(lambda z: f(z)[:, None], x, [index])[index][:, 0]


def by_differences(
    f: Callable[[Tensor], Tensor], x: Tensor, index: tuple[int, ...], h: float = 2e-3, first: int = -4
) -> Tensor:
    """Central differences of order six: weights from the moments, on a tensor grid of the axes that are derived."""
    offsets = torch.arange(first, first + 9, dtype=torch.float64)
    moments = offsets ** torch.arange(9, dtype=torch.float64)[:, None]
    stencils = []
    for order in index:
        target = torch.zeros(9, dtype=torch.float64)
        target[order] = math.factorial(order) / h**order
        weights = torch.linalg.solve(moments, target)
        stencils.append(
            [(0.0, 1.0)] if order == 0 else list(zip((h * offsets).tolist(), weights.tolist(), strict=True))
        )
    total = torch.zeros(len(x), dtype=torch.float64)
    for combination in itertools.product(*stencils):
        shift = torch.tensor([step for step, _ in combination], dtype=torch.float64)
        total += math.prod(weight for _, weight in combination) * f(x + shift)
    return total


def by_forward_differences(f: Callable[[Tensor], Tensor], x: Tensor, index: tuple[int, ...]) -> Tensor:
    """For the first time."""
    return by_differences(f, x, index, first=0)


def sum_of(total: Any, fields: Fields, x: Tensor, derivative: Derivative) -> Tensor:
    """A sum over the coordinates, from the derivatives along each of them."""
    wanted = total._wanted

    def along(name: str, order: int) -> Tensor:
        unit = torch.eye(x.shape[1], dtype=torch.int64) * order
        parts = [derivative(lambda z: fields(z)[name], x, tuple(unit[i].tolist())) for i in wanted.axes]
        return torch.stack(parts, 1)

    if isinstance(wanted, GradientProducts):
        return (along(total._left, 1) * along(total._right, 1)).sum(1)
    return (wanted.weight(x[:, list(wanted.axes)]) * along(total._name, wanted.order)).sum(1)


def residuals(problem: Problem, recorded: Recorded, x: Tensor, derivative: Derivative, data=None) -> dict[str, Tensor]:
    fields = fields_of(problem)
    values = {}
    for name, terms in recorded.leaves:
        written = terms.dense(x.shape[-1])
        parts = [c * derivative(lambda z, name=name: fields(z)[name], x, index) for index, c in written.items()]
        values[name, terms] = torch.stack(parts).sum(0)
    for total in recorded.totals:
        values[total._key] = sum_of(total, fields, x, derivative)
    numbers = {**problem.all_parameters, **TRUTH.get(problem.name, {})}
    assert not any(isinstance(value, Unknown) for value in numbers.values())
    return dict(zip(recorded.names, recorded(Values(x, values, numbers, data or {})), strict=True))


def draw(seed: int = 0) -> Draw:
    return Draw(Sobol(), torch.Generator().manual_seed(seed), torch.float64)


def inside(problem: Problem, n: int, margin: float) -> Tensor:
    """Points at some distance from the faces of the bounding box, for the stencils."""
    x = draw().boundary(problem.domain, 8 * n, "interior").x
    low, high = problem.domain.bounds.unbind(1)
    kept = x[((x > low + margin) & (x < high - margin)).all(1)]
    return kept[:n]


@pytest.mark.parametrize("name", NAMES)
def test_problems_build(name):
    problem = problem_of(name)
    assert problem.name == name
    assert problem.reference is not None
    assert problem.constraint in ("soft", "hard")
    assert problem.points > 0
    assert problem.boundary_points > 0
    assert 0 < problem.seconds <= 600
    MLPConfig(**problem.network)
    assert all(name in problem.describe() for name in problem.record()["equation"].names)
    assert len({c.name for c in problem.conditions}) == len(problem.conditions)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {*FROM_A_SOLVER, *FINITE_ELEMENTS, *NO_FULL_FORM}))
def test_closed_forms_solve_the_equation(name):
    problem = problem_of(name)
    x = inside(problem, 60, 0.02)
    if name == "poisson_lshape":  # second derivatives grow without bound at the corner
        x = x[x.norm(dim=1) > 0.1]
    found = residuals(problem, problem.record()["equation"], x, by_autograd)
    # terms of the size of u_xx, up to 1e3 for the shock, cancel; Cole-Hopf's quadrature adds its own error
    tolerance = 1e-5 if name == "burgers" else 1e-10
    for key, value in found.items():
        assert float(value.abs().max()) < tolerance, key


@pytest.mark.parametrize("name", marked(FROM_A_SOLVER))
def test_solutions_of_solvers_satisfy_the_equation(name):
    """Finite differences at a few points away from the start, whose corner u_x smooths within a millisecond."""
    problem = problem_of(name)
    x = inside(problem, 12, 0.1)
    found = residuals(problem, problem.record()["equation"], x, by_differences)
    in_time = (*[0] * (x.shape[1] - 1), 1)
    u_t = by_differences(lambda z: fields_of(problem)(z)["u"], x, in_time)
    assert float(u_t.abs().max()) > (1e-3 if name == "gray_scott" else 0.1), "the points see something happen"
    for key, value in found.items():
        assert float(value.abs().max()) < FROM_A_SOLVER[name] * float(u_t.abs().max()), key


def test_schrodinger_is_the_breather_on_a_long_interval():
    """The start's kink at the ends of the short one sends waves of all lengths, of which differences see nothing else.

    Closed form: Satsuma, Yajima, Initial value problems of one-dimensional self-modulation of nonlinear waves, 1974.
    """
    problem = SchrodingerProblem(half_length=15.0).build()
    x = inside(problem, 200, 0.02)
    space, t = x.unbind(1)
    turned = torch.cosh(3 * space) + 3 * torch.exp(4j * t) * torch.cosh(space)
    envelope = torch.cosh(4 * space) + 4 * torch.cosh(2 * space) + 3 * torch.cos(4 * t)
    exact = 4 * turned * torch.exp(0.5j * t) / envelope
    found = fields_of(problem)(x)
    assert float((found["u"] - exact.real).abs().max()) < 5e-6
    assert float((found["v"] - exact.imag).abs().max()) < 5e-6
    # 5 is long enough for these to stay small
    short = fields_of(problem_of("schrodinger"))(x[space.abs() < 3])
    assert float((short["u"] - found["u"][space.abs() < 3]).abs().max()) < 0.2


def test_cavity_flow_satisfies_the_vorticity_equation():
    """The curl of the momentum equations, which is free of the pressure, and continuity."""
    problem = problem_of("cavity")
    fields = fields_of(problem)
    x = inside(problem, 10, 0.15)

    def of(name: str, *index: int) -> Tensor:
        return by_differences(lambda z: fields(z)[name], x, index, h=5e-3)

    def vorticity(i: int, j: int) -> Tensor:
        return of("v", i + 1, j) - of("u", i, j + 1)

    u, v = fields(x)["u"], fields(x)["v"]
    continuity = of("u", 1, 0) + of("v", 0, 1)
    transport = u * vorticity(1, 0) + v * vorticity(0, 1) - (vorticity(2, 0) + vorticity(0, 2)) / 100.0
    assert float(continuity.abs().max()) < 1e-6 * float(of("u", 0, 1).abs().max())
    # third derivatives of a Galerkin solution with 40 functions a side, weaker singularities at the corners left in it
    assert float(transport.abs().max()) < 1e-2 * float((u * vorticity(1, 0)).abs().max())


@pytest.mark.parametrize("name", marked(set(NAMES) - FINITE_ELEMENTS))
def test_references_satisfy_the_conditions(name):
    problem = problem_of(name)
    solved = name in FROM_A_SOLVER or name in ("cavity", "schrodinger")
    # these starts have a kink across the period, their interpolant an error of the grid's width squared
    tolerance = 5e-5 if name in ("allen_cahn", "schrodinger") else 1e-5 if solved else 1e-10
    for condition in problem.conditions:
        if isinstance(condition, Observations):
            continue
        points = condition.sample(problem.domain, 60, draw())
        recorded = problem.record()[condition.name]
        x, keep = points.x, slice(None)
        if name == "allen_cahn" and condition.name.startswith("periodic"):
            # the kink is smoothed a little later
            keep = x[: len(x) // 2, 1] > 0.05
        if name == "cavity":  # the lid's velocity jumps at the corners
            corner = (x - 0.5).abs().min(dim=1).values
            keep = corner < 0.45
        initial = condition.part == "initial"
        derivative = (by_forward_differences if initial else by_differences) if solved else by_autograd
        found = residuals(problem, recorded, x, derivative, condition.data(points))
        for key, value in found.items():
            left = condition.collapse(value, points)[keep]
            assert len(left) > 10
            assert float(left.abs().max()) < tolerance, f"{condition.name}: {key}"


def test_observations_are_the_reference_with_noise():
    problem = problem_of("heat_inverse")
    observed = next(c for c in problem.conditions if c.name == "observations")
    points = observed.sample(problem.domain, 1, draw())
    exact = problem.reference(points.column("x"), points.column("t"))
    noise = observed.data(points)["observed_u"] - exact
    assert len(points) == 200
    assert 0.5 < float(noise.std() / (0.01 * exact.std())) < 1.5
    other = HeatInverseProblem(data_seed=1).build().conditions[-1]
    assert not torch.equal(other.sample(problem.domain, 1, draw()).x, points.x)
    exactly = HeatInverseProblem(noise=0.0).build().conditions[-1]
    points = exactly.sample(problem.domain, 1, draw())
    expected = problem.reference(points.column("x"), points.column("t"))
    torch.testing.assert_close(exactly.data(points)["observed_u"], expected)


def test_parameters_reach_equation_and_reference():
    problem = KovasznayProblem(reynolds=20.0).build()
    x = inside(problem, 20, 0.02)
    found = residuals(problem, problem.record()["equation"], x, by_autograd)
    assert max(float(value.abs().max()) for value in found.values()) < 1e-12
    assert CavityProblem(reynolds=10.0).build().equation.reynolds == 10.0
    assert Poisson5DProblem(dim=2).build().domain.coords == ("x1", "x2")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson5DProblem(dim=0), "problem.dim must be at least 1; got 0"),
        (lambda: AllenCahnProblem(diffusion=-1e-4), "problem.diffusion must be positive; got -0.0001"),
        (lambda: CavityProblem(reynolds=0.0), "problem.reynolds must be positive; got 0.0"),
        (lambda: KovasznayProblem(reynolds=-40.0), "problem.reynolds must be positive; got -40.0"),
        (lambda: HeatInverseProblem(sensors=0), "problem.sensors must be positive; got 0"),
        (lambda: HeatInverseProblem(diffusivity=-1.0), "problem.diffusivity must be positive"),
        (lambda: HeatInverseProblem(noise=-0.1), "problem.noise must not be negative"),
    ],
)
def test_values_out_of_range(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_names_are_looked_up():
    assert len(NAMES) >= 10
    with pytest.raises(ConfigError, match=r'unknown problem "burger".*Did you mean "burgers"'):
        resolve("problem", "burger")


def test_files_are_short():
    for path in set(Path(kjet.problems.__file__).parent.glob("*.py")) - {Path(kjet.problems.__file__)}:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 80, path


def test_error_drops_in_fifteen_steps():
    problem = problem_of("poisson2d")
    solution = kjet.solve(problem, network=MLPConfig(width=16, depth=2), max_steps=15, progress=False)
    first, last = solution.history[0]["error"], solution.errors["u"]["rel_l2"]
    assert last < 0.1 * first
    assert last < 0.02


@pytest.mark.slow
def test_poisson_converges():
    solution = kjet.solve(problem_of("poisson2d"), max_seconds=20, progress=False)
    assert solution.errors["u"]["rel_l2"] < 1e-4
