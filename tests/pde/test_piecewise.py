"""Equations that differ from region to region, against those of the regions."""

import pytest
import torch

from kjet.data import Disk, Partition, Rectangle
from kjet.errors import ConfigError
from kjet.jets import reference
from kjet.pde import (
    GradientEnhanced,
    Heat,
    Helmholtz,
    NavierStokes2D,
    Piecewise,
    Poisson,
    Unknown,
    Values,
    grad_squared,
)
from kjet.pde.equation import Equation

SQUARE = Rectangle(x=(-1.0, 1.0), y=(-1.0, 1.0))
PARTS = Partition(SQUARE, {"inner": Disk((0.0, 0.0), 0.5), "outer": None})
FUNCTIONS = {
    "u": lambda x: torch.sin(x[:, 0] + 2 * x[:, 1]), "v": lambda x: x[:, 0] ** 3 * x[:, 1],
    "p": lambda x: torch.exp(x[:, 0] * x[:, 1]),
}  # fmt: skip


def points(n=40):
    return SQUARE.interior(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64).x


def evaluate(recorded, functions, parameters, x):
    """Evaluate residuals on functions of the points, by nested differentiation."""
    values = {}
    for name, terms in recorded.leaves:
        written = terms.dense(x.shape[-1])
        f = functions[name]
        parts = [c * reference.partials(lambda z, f=f: f(z)[:, None], x, [i])[i][:, 0] for i, c in written.items()]
        values[name, terms] = sum(parts)
    for total in recorded.totals:
        slopes = [[torch.func.vmap(torch.func.grad(lambda z, f=functions[n]: f(z[None])[0]))(x)] for n in
                  (total._left, total._right)]  # fmt: skip
        values[total._key] = (slopes[0][0] * slopes[1][0]).sum(-1)
    return dict(zip(recorded.names, recorded(Values(x, values, parameters)), strict=True))


def assert_region_by_region(inner, outer):
    """At each point the residual is that of the equation there, on that region's functions."""
    equation, x = Piecewise(PARTS, {"inner": inner, "outer": outer}), points()
    own = {"inner": lambda f: lambda z: 2 * f(z), "outer": lambda f: lambda z: f(z) + 1}
    functions = {f"{k}_{region}": change(FUNCTIONS[k]) for region, change in own.items() for k in inner.fields}
    found = evaluate(equation.record(), functions, equation.parameters(), x)
    mask = x.norm(dim=1) < 0.5
    for region, equation_there, where in (("inner", inner, mask), ("outer", outer, ~mask)):
        alone = {k: own[region](FUNCTIONS[k]) for k in inner.fields}
        expected = evaluate(equation_there.record(), alone, equation_there.parameters(), x)
        assert list(found) == list(expected)
        for name in expected:
            torch.testing.assert_close(found[name][where], expected[name][where], rtol=1e-12, atol=1e-12)
    assert mask.any()
    assert not mask.all()


class Eikonal(Equation):
    fields, coords = ("u",), ("x", "y")
    speed: float = 1.0

    def residual(self, u, p):
        return grad_squared(u) - p.speed


@pytest.mark.parametrize(
    ("inner", "outer"),
    [
        (Poisson(coefficient=3.0), Poisson(source=2.0)),
        (Poisson(coefficient=lambda x, y: 1 + x * x, source=1.0), Poisson(coefficient=lambda y: 2 + y)),
        (Poisson(source=4.0), Helmholtz(wavenumber=3.0)),
        (NavierStokes2D(reynolds=10.0), NavierStokes2D(reynolds=30.0)),
        (GradientEnhanced(Poisson(coefficient=2.0)), GradientEnhanced(Poisson())),
        (Eikonal(speed=2.0), Eikonal()),
    ],
    ids=lambda equation: type(equation).__name__,
)
def test_residuals_are_those_of_the_region(inner, outer):
    assert_region_by_region(inner, outer)


def test_names_of_fields_and_parameters():
    shared = Unknown(1.0)
    equation = Piecewise(PARTS, {"inner": Poisson(coefficient=shared, source=1.0),
                                 "outer": Poisson(coefficient=shared, source=2.0)})  # fmt: skip
    assert equation.fields == ("u_inner", "u_outer")
    assert equation.outputs == ("u",)
    assert equation.parameters() == {"coefficient": shared, "source_inner": 1.0, "source_outer": 2.0}
    two = Piecewise(PARTS, {"inner": Poisson(coefficient=Unknown(1.0)), "outer": Poisson(coefficient=Unknown(1.0))})
    assert set(two.parameters()) == {"coefficient_inner", "coefficient_outer", "source"}
    mixed = Piecewise(PARTS, {"inner": Poisson(coefficient=lambda x: x), "outer": Poisson()})
    assert set(mixed.parameters()) == {"coefficient_outer", "source"}
    flow = Piecewise(PARTS, {"inner": NavierStokes2D(), "outer": NavierStokes2D()})
    assert flow.fields == ("u_inner", "v_inner", "p_inner", "u_outer", "v_outer", "p_outer")


def test_report_chooses_by_region():
    equation = Piecewise(PARTS, {"inner": NavierStokes2D(), "outer": NavierStokes2D()})
    values = torch.arange(12.0).reshape(2, 6)
    assert equation.report(torch.tensor([[0.0, 0.0], [0.9, 0.0]]), values).tolist() == [[0, 1, 2], [9, 10, 11]]
    plain = Poisson()
    assert plain.outputs == ("u",)
    assert plain.report(values, values) is values


@pytest.mark.parametrize(
    ("equations", "message"),
    [
        ({"inner": Poisson()}, 'region "outer" needs an equation'),
        ({"inner": Poisson(), "outr": Poisson()}, 'unknown region "outr".*Did you mean "outer"'),
        ({"inner": Poisson(), "outer": Heat(coords=("x", "t"))}, "have the same coords"),
        ({"inner": Poisson(), "outer": NavierStokes2D()}, "have the same fields"),
    ],
)
def test_equations_that_do_not_fit(equations, message):
    with pytest.raises(ConfigError, match=message):
        Piecewise(PARTS, equations)


def test_residuals_of_other_names():
    equation = Piecewise(PARTS, {"inner": Poisson(), "outer": GradientEnhanced(Poisson())})
    with pytest.raises(ConfigError, match='"inner" has residual, "outer" has residual, residual_x, residual_y'):
        equation.record()
