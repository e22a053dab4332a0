"""Conditions on interfaces, and conditions that every region reads with its own fields."""

import pytest
import torch

from kjet.constraints import (
    Dirichlet,
    Draw,
    Flux,
    Initial,
    Integral,
    Interface,
    Neumann,
    NormalDerivatives,
    Observations,
    On,
    Periodic,
    RegionResidual,
    Robin,
    by_region,
)
from kjet.data import Disk, Interval, Partition, Rectangle, Sobol, Time
from kjet.errors import ConfigError
from kjet.jets import reference
from kjet.pde import Burgers, Heat, Piecewise, Poisson, Values, grad

SLAB = Interval(-1.0, 1.0) * Time(0.0, 1.0)
THIRDS = Partition(
    SLAB, {"a": Interval(-1.0, -0.3) * Time(0.0, 1.0), "b": Interval(-0.3, 0.4) * Time(0.0, 1.0), "c": None}
)
BARS = Piecewise(THIRDS, {"a": Heat(diffusivity=1.0), "b": Heat(diffusivity=2.0), "c": Heat(diffusivity=5.0)})


def draw(seed=0):
    return Draw(Sobol(), torch.Generator().manual_seed(seed), torch.float64)


def residuals(condition, equation, domain, functions, n=40):
    """Values of a condition on functions of the points, by nested differentiation, and the points."""
    recorded = condition.expressions(equation.frame(domain.coords))
    points = condition.sample(domain, n, draw())
    values = {}
    for name, terms in recorded.leaves:
        f = functions[name]
        values[name, terms] = sum(
            c * reference.partials(lambda z, f=f: f(z)[:, None], points.x, [i])[i][:, 0]
            for i, c in terms.dense(domain.dim).items()
        )
    found = recorded(Values(points.x, values, equation.parameters(), condition.data(points)))
    collapsed = [condition.collapse(value, points) - condition.offset for value in found]
    return dict(zip(recorded.names, collapsed, strict=True)), points


def smooth(x):
    return torch.sin(2 * x[:, 0]) * torch.exp(-x[:, 1])


CONDITIONS = [
    Dirichlet("left", u=lambda t: t),
    Initial(u=lambda x: x),
    Neumann("right", u=2.0),
    Robin("left", u=(1.0, 2.0, 3.0)),
    Periodic("x", order=2),
    Integral("u", target=0.3),
    Integral(lambda u: u * u, part="right", name="energy"),
    Observations({"x": [0.1, -0.5], "t": [0.2, 0.3]}, u=[1.0, 2.0]),
    On("right", lambda u, p: u.xt + p.t),
]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: f"{type(condition).__name__}_{condition.name}")
def test_conditions_by_region_are_the_conditions_where_fields_agree(condition):
    heat = Heat()
    expected, points = residuals(condition, heat, SLAB, {"u": smooth})
    other = by_region(condition, BARS)
    found, again = residuals(other, BARS, SLAB, {f"u_{name}": smooth for name in "abc"})
    assert torch.equal(points.x, again.x)
    assert (other.name, other.part, other.fixed) == (condition.name, condition.part, condition.fixed)
    assert list(found) == list(expected)
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-12)
        assert len(found[name]) == other.rows(points) == condition.rows(points)


def test_a_condition_reads_parameters_and_fields_of_the_region_it_lies_in():
    condition = by_region(On("boundary", lambda u, p: p.diffusivity * u), BARS)
    ones = {f"u_{name}": lambda x: torch.ones_like(x[:, 0]) for name in "abc"}
    found, points = residuals(condition, BARS, SLAB, ones)
    (value,) = found.values()
    assert value[points.x[:, 0] < 0].unique().tolist() == [1.0]
    assert value[points.x[:, 0] > 0].unique().tolist() == [5.0]


def broken_line(name):
    """u = 0 at x = -1 and flux 1: slopes 1, 1/2, 1/5."""
    offset, slope, start = {"a": (0.0, 1.0, -1.0), "b": (0.7, 0.5, -0.3), "c": (1.05, 0.2, 0.4)}[name]
    return lambda x: offset + slope * (x[:, 0] - start) + 0.0 * x[:, 1]


def test_values_and_fluxes_across_several_interfaces():
    found, points = residuals(Interface(BARS, Flux()), BARS, SLAB, {f"u_{k}": broken_line(k) for k in "abc"})
    assert list(found) == ["u", "flux"]
    assert sorted(points.x[:, 0].unique().tolist()) == [-0.3, 0.4]
    for value in found.values():
        torch.testing.assert_close(value, torch.zeros(40, dtype=torch.float64), rtol=0, atol=1e-14)


def test_jumps_are_later_minus_earlier():
    lines = {f"u_{k}": broken_line(k) for k in "abc"}
    lines["u_c"] = lambda x: 3.0 + 2.0 * x[:, 0] + 0.0 * x[:, 1]
    condition = Interface(BARS, lambda u, p, normal: p.diffusivity * (grad(u) @ normal), between=("c", "b"), name="bc",
                          jump={"u": 2.75, "flux": lambda x: 9.0 + 0.0 * x})  # fmt: skip
    found, points = residuals(condition, BARS, SLAB, lines)
    assert condition.name == "bc"
    assert points.x[:, 0].unique().tolist() == [0.4]
    for value in found.values():
        torch.testing.assert_close(value, torch.zeros(40, dtype=torch.float64), rtol=0, atol=1e-14)
    without, _ = residuals(Interface(BARS, Flux(), between=("b", "c")), BARS, SLAB, lines)
    assert without["u"].mean() == pytest.approx(2.75)
    assert without["flux"].mean() == pytest.approx(9.0)


def test_other_matches():
    burgers = Burgers(nu=0.1)
    equation = Piecewise(THIRDS, dict.fromkeys("abc", burgers))
    functions = {"u_a": smooth, "u_b": smooth, "u_c": lambda x: smooth(x) + (x[:, 0] - 0.4) ** 2}
    slopes, points = residuals(
        Interface(equation, NormalDerivatives({"u": {"x": 3, "t": 1}})), equation, SLAB, functions
    )
    assert list(slopes) == ["u", "u_n", "u_nn"]
    right = (points.x[:, 0] == 0.4).double()
    torch.testing.assert_close(slopes["u_nn"], 2.0 * right, rtol=0, atol=1e-12)
    assert not slopes["u_n"].abs().max() > 1e-12
    equations, points = residuals(Interface(equation, RegionResidual()), equation, SLAB, functions)
    right = (points.x[:, 0] == 0.4).double()
    torch.testing.assert_close(equations["residual"], -0.2 * right, rtol=0, atol=1e-12)


def test_normals_point_out_of_the_earlier_region():
    square = Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0))
    parts = Partition(square, {"inner": Disk((0.0, 0.0), 0.5), "outer": None})
    equation = Piecewise(parts, {"inner": Poisson(coefficient=4.0), "outer": Poisson()})

    def inner(x):
        return 0.25 * x.square().sum(-1)

    def outer(x):
        return x.square().sum(-1) - 0.1875

    found, _ = residuals(Interface(equation, Flux()), equation, square, {"u_inner": inner, "u_outer": outer})
    for value in found.values():
        torch.testing.assert_close(value, torch.zeros(40, dtype=torch.float64), rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Interface(Heat()), "between the regions of a Piecewise equation"),
        (lambda: Interface(BARS, between=("a", "z")), 'unknown region "z"'),
        (lambda: Interface(BARS, jump={"v": 1.0}).expressions(BARS.frame(("x", "t"))), 'unknown jump "v"'),
        (lambda: Interface(BARS).check(Interval(0, 1)), r"the partition has the coordinates \(x, t\)"),
        (lambda: Interface(Piecewise(THIRDS, dict.fromkeys("abc", Burgers())), Flux()).expressions(BARS.frame()),
         r"Burgers has no method flux\(self, u, p, normal\)"),
    ],
)  # fmt: skip
def test_what_does_not_fit(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
