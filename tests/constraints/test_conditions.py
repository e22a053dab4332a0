"""Every condition vanishes on exact fields and not on others, whatever the engine that delivers the derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from kjet.constraints import Condition, Dirichlet, Draw, Initial, Integral, Neumann, Observations, On, Periodic, Robin
from kjet.data import Disk, Domain, Interval, Rectangle, Time, make_sampler
from kjet.errors import ConfigError
from kjet.pde import Frame, Heat, Unknown, Values, grad
from kjet.problem import Problem

CHANNEL = Rectangle(x=(0.0, 2.0), y=(0.0, 1.0)) * Time(0.5, 1.5)
DISK = Disk((0.0, 0.0), 1.0)
FRAMES = {
    CHANNEL: Frame(("x", "y", "t"), ("u", "v"), ("x", "y"), "t", ("a",)),
    DISK: Frame(("x", "y"), ("u", "v"), ("x", "y"), None, ("a",)),
}
PARAMETERS = {"a": 1.7}


def exact(z):
    """u = sin(pi x) e^y (1 + t^2) + y, v = cos(pi x) + y t in the channel; x^2 + y and x y^2 in the disk."""
    x, y = z[..., 0], z[..., 1]
    if z.shape[-1] == 2:
        return torch.stack([x * x + y, x * y * y], -1)
    t = z[..., 2]
    u = torch.sin(math.pi * x) * torch.exp(y) * (1.0 + t * t) + y
    return torch.stack([u, torch.cos(math.pi * x) + y * t], -1)


def perturbed(z):
    """Exact fields plus functions without any symmetry, whose derivatives do not vanish at faces or corners either."""
    x, y = z[..., 0], z[..., 1]
    bump = 0.1 * torch.exp(0.3 * x - 0.2 * y + (0.5 * z[..., 2] if z.shape[-1] == 3 else 0.0))
    return exact(z) + torch.stack([bump, 2.0 * bump], -1)


@dataclass(frozen=True)
class Case:
    make: Callable[[], Condition]
    domain: Domain = CHANNEL
    where: Callable[[Mapping[str, Any]], Any] | None = None
    """Zero at the points where the condition should hold."""
    residuals: int = 20
    tolerance: float = 1e-12
    names: tuple[str, ...] = field(default=("u",))


def _observations(**options: Any) -> Observations:
    x = CHANNEL.interior(20, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    columns = {name: x.column(name) for name in ("t", "x", "y")}  # not in the order of the domain
    values = exact(x.x)
    return Observations(columns, u=values[:, 0], v=values[:, 1].tolist(), **options)


def _on_wall(c):
    return c["x"] * (2.0 - c["x"]) * c["y"] * (1.0 - c["y"])


CASES = {
    "dirichlet_constant": Case(lambda: Dirichlet("bottom", v=lambda x: torch.cos(math.pi * x)), where=lambda c: c["y"],
                               names=("v",)),
    "dirichlet_left": Case(lambda: Dirichlet("left", u=lambda y: y), where=lambda c: c["x"]),
    "dirichlet_right": Case(lambda: Dirichlet("right", u=lambda y: y, v=lambda y, t: 1.0 + y * t),
                            where=lambda c: c["x"] - 2.0, names=("u", "v")),
    "dirichlet_everywhere": Case(
        lambda: Dirichlet(u=lambda x, y, t: torch.sin(math.pi * x) * torch.exp(y) * (1 + t**2) + y), where=_on_wall),
    "dirichlet_of_a_parameter": Case(lambda: Dirichlet("left", v=lambda a, y, t: a / 1.7 + y * t),
                                     where=lambda c: c["x"], names=("v",)),
    "dirichlet_inside": Case(lambda: Dirichlet("interior", v=lambda x, y, t: torch.cos(math.pi * x) + y * t),
                             names=("v",)),
    "neumann_left": Case(lambda: Neumann("left", u=lambda y, t: -math.pi * torch.exp(y) * (1 + t**2), v=0.0),
                         where=lambda c: c["x"], names=("u", "v")),
    "neumann_top": Case(lambda: Neumann("top", v=lambda t: t), where=lambda c: c["y"] - 1.0, names=("v",)),
    "neumann_disk": Case(lambda: Neumann(u=lambda x, y: 2 * x * x + y, v=lambda x, y: 3 * x * y * y), DISK,
                         lambda c: c["x"] ** 2 + c["y"] ** 2 - 1.0, names=("u", "v")),
    "robin_top": Case(lambda: Robin("top", v=(2.0, 3.0, lambda x, t: 2 * torch.cos(math.pi * x) + 5 * t)),
                      where=lambda c: c["y"] - 1.0, names=("v",)),
    "robin_of_functions": Case(
        lambda: Robin("bottom", v=(lambda x: x, lambda a: 1 / a, lambda x, t, a: x * torch.cos(math.pi * x) - t / a)),
        where=lambda c: c["y"], names=("v",)),
    "robin_disk": Case(lambda: Robin(u=(1.0, -1.0, lambda x: -(x**2))), DISK,
                       lambda c: c["x"] ** 2 + c["y"] ** 2 - 1.0),
    "initial": Case(lambda: Initial(u=lambda x, y: 1.25 * torch.sin(math.pi * x) * torch.exp(y) + y),
                    where=lambda c: c["t"] - 0.5),
    "initial_velocity": Case(
        lambda: Initial(v=lambda x, y: torch.cos(math.pi * x) + y / 2, v_t=lambda y: y,
                        u_t=lambda x, y: torch.sin(math.pi * x) * torch.exp(y)),
        where=lambda c: c["t"] - 0.5, names=("v", "v_t", "u_t")),
    "initial_acceleration": Case(lambda: Initial(v_tt=0.0), where=lambda c: c["t"] - 0.5, names=("v_tt",)),
    "final": Case(lambda: Dirichlet("final", v=lambda x, y, t: torch.cos(math.pi * x) + y * t),
                  where=lambda c: c["t"] - 1.5, names=("v",)),
    "periodic_values": Case(lambda: Periodic("x", order=0), where=lambda c: c["x"] * (2.0 - c["x"]), residuals=10,
                            names=("u", "v")),
    "periodic_derivatives": Case(lambda: Periodic("x", order=3), where=lambda c: c["x"] * (2.0 - c["x"]), residuals=10,
                                 tolerance=1e-10, names=tuple(f + d for f in "uv" for d in ("", "_x", "_xx", "_xxx"))),
    "periodic_one_field": Case(lambda: Periodic("x", fields=["v"]), residuals=10, names=("v", "v_x")),
    "observations": Case(_observations, names=("u", "v")),
    "integral": Case(lambda: Integral("v", target=0.25 * 2.0 * 2.0, part="interior"), residuals=1, tolerance=1e-3,
                     names=("v",)),
    "integral_on_a_part": Case(lambda: Integral(lambda u, v: v * v - 0.0 * u, target=0.5 * 2.0, part="bottom"),
                               residuals=1, tolerance=1e-3, names=("residual",)),
    "integral_on_the_boundary": Case(lambda: Integral("u", target=math.pi, part="boundary"), DISK, residuals=1,
                                     tolerance=1e-3, names=("u",)),
    "on": Case(lambda: On("interior", lambda u, v, p: v.y - p.t + v.t - p.y), residuals=20, names=("residual",)),
    "on_with_normal": Case(lambda: On("boundary", lambda u, v, p, normal: {"flux": normal @ grad(u) - 2 * p.x**2 - p.y,
                                                                          "slip": v - p.x * p.y**2}), DISK,
                           lambda c: c["x"] ** 2 + c["y"] ** 2 - 1.0, names=("flux", "slip")),
}  # fmt: skip


def draw(seed: int = 0, sampler: str = "sobol", dtype: torch.dtype = torch.float64) -> Draw:
    return Draw(make_sampler(sampler), torch.Generator().manual_seed(seed), dtype)


def residuals(condition: Condition, domain: Domain, network: Callable, n: int = 20, **options: Any) -> dict[str, Any]:
    condition.check(domain)
    recorded = condition.expressions(FRAMES[domain])
    points = condition.sample(domain, n, draw(**options))
    fields = recorded.field_values(recorded.plan(network, points.x))
    values = recorded(Values(points.x, fields, PARAMETERS, condition.data(points)))
    found = [condition.collapse(value, points) - condition.offset for value in values]
    assert all(value.shape == (condition.rows(points),) for value in found)
    return dict(zip(recorded.names, found, strict=True))


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request) -> Case:
    return request.param


def points_of(case: Case) -> int:
    return 4096 if case.residuals == 1 else 20


def test_zero_on_the_exact_fields(case):
    found = residuals(case.make(), case.domain, exact, points_of(case))
    assert tuple(found) == case.names
    for name, value in found.items():
        assert value.shape == (case.residuals,)
        assert float(value.abs().max()) < case.tolerance, name


def test_not_zero_on_perturbed_fields(case):
    for name, value in residuals(case.make(), case.domain, perturbed, points_of(case)).items():
        assert float(value.abs().min()) > 10 * case.tolerance, name


def test_points_lie_where_the_condition_holds(case):
    condition = case.make()
    points = condition.sample(case.domain, 24, draw())
    assert points.coords == case.domain.coords
    assert len(points) == (20 if condition.fixed else 24)
    low, high = case.domain.bounds.unbind(1)
    assert bool(((points.x >= low) & (points.x <= high)).all())
    if case.where is not None:
        assert float(case.where({name: points.column(name) for name in points.coords}).abs().max()) < 1e-12


def test_points_are_those_of_the_generator(case):
    condition = case.make()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, again, other = (condition.sample(case.domain, 16, draw(seed, "uniform")).x for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) == condition.fixed
    assert torch.equal(state, torch.get_rng_state()), "the global generator is not used"
    assert condition.sample(case.domain, 16, draw(dtype=torch.float32)).x.dtype == torch.float32


def test_normals_point_out_and_have_length_one(case):
    condition = case.make()
    points = condition.sample(case.domain, 24, draw())
    data = condition.data(points)
    if condition.part == "interior":
        assert not any(name.startswith("n_") for name in data)
        return
    normals = torch.stack([data[f"n_{name}"] for name in case.domain.coords], -1)
    torch.testing.assert_close(normals.norm(dim=1), torch.ones(len(points), dtype=torch.float64))
    assert not bool(case.domain.inside(points.x + 1e-6 * normals).any())
    assert bool(case.domain.inside(points.x - 1e-6 * normals).all())


def test_residual_of_a_known_size():
    """Signs and factors, not only zeros: fields that are off by known amounts."""

    def off(z):
        return exact(z) + torch.stack([0.5 * z[..., 0], 0.25 * z[..., 1] + z[..., 2]], -1)

    def value(condition):
        found = residuals(condition, CHANNEL, off)
        return {name: sorted({round(v, 10) for v in rows.tolist()}) for name, rows in found.items()}

    assert value(Dirichlet("left", u=lambda y: y + 2.0)) == {"u": [-2.0]}
    assert value(Neumann("top", v=lambda t: t)) == {"v": [0.25]}
    assert value(Neumann("bottom", v=lambda t: -t)) == {"v": [-0.25]}
    assert value(Robin("bottom", v=(2.0, 4.0, lambda x, t: 2 * torch.cos(math.pi * x) - 2 * t))) == {"v": [-1.0]}
    assert value(Initial(v_t=lambda y: y)) == {"v_t": [1.0]}
    assert value(Periodic("x", order=1, fields=["u"])) == {"u": [-1.0], "u_x": [0.0]}


def test_periodic_pairs_repeat_all_other_coordinates():
    points = Periodic("x").sample(CHANNEL, 11, draw())
    low, high = points.x.chunk(2)
    assert len(low) == len(high) == 5
    assert torch.equal(low[:, 1:], high[:, 1:])
    assert set(low[:, 0].tolist()) == {0.0}
    assert set(high[:, 0].tolist()) == {2.0}


@pytest.mark.parametrize(("part", "measure"), [("interior", math.pi), ("boundary", 2 * math.pi)])
def test_integrals_against_closed_forms(part, measure):
    r"""Integrals of x^2 + y over the unit disk, pi / 4, and over its rim, pi."""
    expected = {"interior": math.pi / 4, "boundary": math.pi}[part]
    found = residuals(Integral("u", target=1.0, part=part), DISK, exact, 4096)["u"]
    assert float(found) == pytest.approx(expected - 1.0, abs=2e-3)
    area = residuals(Integral(lambda u, v: u - u + 1.0, part=part), DISK, exact, 64)["residual"]
    assert float(area) == pytest.approx(measure, rel=1e-12)


def test_integral_uses_quadrature_weights():
    condition = Integral("u")
    points = condition.sample(DISK, 3, draw())
    weighted = type(points)(points.x, points.coords, None, torch.tensor([1.0, 2.0, 3.0]), points.measure)
    values = torch.tensor([[1.0, 2.0], [1.0, 3.0], [1.0, 4.0]], dtype=torch.float64)
    assert condition.collapse(values, weighted).tolist() == [[6.0, 20.0]]


def test_fields_with_underscores_in_initial_conditions():
    frame = Frame(("x", "t"), ("u", "u_1"), ("x",), "t")
    assert Initial(u_1=0.0, u_1_t=0.0, u_t=0.0).expressions(frame).names == ("u_1", "u_1_t", "u_t")
    leaves = {name for name, _ in Initial(u_1_t=0.0).expressions(frame).leaves}
    assert leaves == {"u_1"}


def test_observations_take_a_tensor_with_names():
    x = torch.tensor([[0.5, 1.0], [0.25, 2.0]], dtype=torch.float64)
    named = Observations(x, coords=("y", "x"), u=[1.0, 2.0])
    points = named.sample(Rectangle(x=(0.0, 3.0), y=(0.0, 1.0)), 100, draw())
    assert points.x.tolist() == [[1.0, 0.5], [2.0, 0.25]]
    assert named.data(points)["observed_u"].dtype == torch.float64


# what a user may get wrong

ROD = Interval(0.0, 1.0) * Time(0.0, 1.0)


def problem(*conditions: Condition, domain: Domain = ROD, **options: Any) -> Problem:
    return Problem(Heat(diffusivity=Unknown(1.0, low=0.0)), domain, list(conditions), **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: problem(Dirichlet("lefft", u=0.0)), 'unknown boundary part "lefft".*Did you mean "left"'),
        (lambda: problem(Dirichlet("left", v=0.0)), 'condition "left": unknown field "v" of the equation; it has u'),
        (lambda: problem(Initial(w_t=0.0)), 'condition "initial": unknown field "w"'),
        (lambda: problem(Initial(u_tz=0.0)), "u_tz|tz"),
        (lambda: problem(Dirichlet("left", u=lambda tt: tt)), 'unknown argument "tt".*Did you mean "t"'),
        (lambda: problem(Neumann("left", u=lambda diffusivty: diffusivty)), 'Did you mean "diffusivity"'),
        (lambda: problem(Robin("left", u=(1.0, lambda q: q, 0.0))), 'unknown argument "q"'),
        (lambda: problem(Robin("left", u=(1.0, 2.0))), r"takes \(a, b, g\)"),
        (lambda: problem(Robin("left", u=1.0)), r"takes \(a, b, g\)"),
        (lambda: problem(Periodic("xx")), 'condition "periodic_xx": unknown coordinate "xx".*Did you mean "x"'),
        (lambda: problem(Periodic("x", fields=["w"])), 'unknown field "w"'),
        (lambda: Periodic("x", order=-1), "order must be at least 0"),
        (lambda: problem(On("left", lambda u, p: u.z)), '"z"'),
        (lambda: problem(On("left", lambda u, p: p.alpha * u)), 'unknown parameter or coordinate "alpha"'),
        (lambda: problem(On("left", lambda u, v, w, p: u)), "takes 4 arguments"),
        (lambda: problem(On("interior", lambda u, normal: u.x)), "needs an outward normal"),
        (lambda: problem(Neumann("interior", u=0.0)), "needs an outward normal"),
        (lambda: problem(Robin("interior", u=(1.0, 1.0, 0.0))), "needs an outward normal"),
        (lambda: problem(Integral("v")), 'unknown field "v"'),
        (lambda: problem(Integral("u", part="rim")), 'unknown boundary part "rim"'),
        (lambda: problem(Initial(u=0.0), domain=Interval(0.0, 1.0)), 'unknown boundary part "initial"'),
        (lambda: problem(Dirichlet("left", u=0.0), Dirichlet("left", u=1.0)), 'two conditions are named "left"'),
        (lambda: problem(Dirichlet("left", name="equation", u=0.0)), 'two conditions are named "equation"'),
        (lambda: problem(windows=0), "windows of a problem must be a positive whole number; got 0"),
        (lambda: problem(harmonics=1.5), "harmonics of a problem must be a positive whole number; got 1.5"),
    ],
)
def test_names_that_do_not_fit(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("make", [Dirichlet, Neumann, Initial, Robin, lambda: Observations({"x": [0.1], "t": [0.2]})])
def test_conditions_without_values(make):
    with pytest.raises(ConfigError, match="such as u="):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Observations({"x": [0.1, 0.2], "t": [0.0, 0.0]}, u=[1.0]), "1 values for 2 points"),
        (lambda: Observations({"x": [0.1, 0.2], "t": [0.0]}, u=[1.0, 2.0]), "equally long; got 2 for x, 1 for t"),
        (lambda: Observations({"x": [0.1], "t": [0.0]}, u=[math.nan]), "1 values that are not finite"),
        (lambda: Observations({"x": [math.inf], "t": [0.0]}, u=[0.0]), "1 of 1 observed points are not finite"),
        (lambda: Observations(torch.zeros(3, 2), u=[0.0] * 3), "names of the columns"),
        (lambda: Observations(torch.zeros(3), coords=("x",), u=[0.0] * 3), "expected"),
        (lambda: problem(Observations({"x": [0.1], "tt": [0.0]}, u=[0.0])), 'unknown coordinate "tt".*mean "t"'),
        (lambda: problem(Observations({"x": [0.1]}, u=[0.0])), "have no column t"),
        (lambda: problem(Observations({"x": [0.1], "t": [0.0]}, w=[0.0])), 'unknown field "w"'),
    ],
)
def test_observations_that_do_not_fit(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_part_without_measure():
    cut = Rectangle() - Rectangle(x=(-1.0, 0.5), y=(-1.0, 2.0))
    part = next(name for name in cut.parts if name.endswith("left") and cut.part_measure(name) == 0.0)
    with pytest.raises(ConfigError, match=f'on part "{part}", which has measure zero'):
        Dirichlet(part, u=0.0).check(cut)


def test_periodic_needs_opposite_faces():
    with pytest.raises(ConfigError, match="no opposite faces"):
        Periodic("x").sample(DISK, 10, draw())
