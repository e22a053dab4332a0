"""Residuals of closed-form fields and manufactured sources."""

import inspect

import pytest
import torch

from kjet.pde import (
    Advection,
    Burgers,
    Elasticity,
    Equation,
    GrayScott,
    Heat,
    Helmholtz,
    NavierStokes2D,
    Parameters,
    Plate,
    Poisson,
    Unknown,
    Wave,
    manufactured,
    residual_of,
)
from kjet.pde.equation import trace
from kjet.pde.recording import collect

sin, cos, exp = torch.sin, torch.cos, torch.exp


def test_residual_of_a_known_function(points):
    x = points(7, 2)
    found = residual_of(Burgers(nu=0.3), {"u": lambda x, t: x**2 * t}, x)["residual"]
    a, t = x.unbind(-1)
    torch.testing.assert_close(found, a**2 + a**2 * t * 2 * a * t - 0.3 * 2 * t)


def test_numbers_are_constant_fields(points):
    found = residual_of(Helmholtz(wavenumber=2.0, source=1.0), {"u": 0.5}, points(3, 2))["residual"]
    torch.testing.assert_close(found, torch.ones(3, dtype=torch.float64))


def test_values_of_parameters(points):
    x, mode = points(4, 2), {"u": lambda x, t, diffusivity: exp(-diffusivity * t) * sin(x)}
    for parameters in (None, {"diffusivity": 0.2}, {"diffusivity": torch.tensor(0.9, dtype=torch.float64)}):
        found = residual_of(Heat(diffusivity=Unknown(0.5, low=0.0)), mode, x, parameters)["residual"]
        torch.testing.assert_close(found, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-14)


def test_parameters_as_coordinates(points):
    mode = {"u": lambda x, t, diffusivity: exp(-diffusivity * t) * sin(x)}
    found = residual_of(Heat(), mode, points(4, 3), coords=("x", "t", "diffusivity"))["residual"]
    torch.testing.assert_close(found, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-14)


def test_residuals_are_differentiable():
    c = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    x = torch.tensor([[0.4, 0.2]], dtype=torch.float64)
    residual = residual_of(Heat(), {"u": lambda x, t: c * t * x}, x)["residual"]
    assert torch.autograd.grad(residual.sum(), c)[0].item() == pytest.approx(0.4)


SOURCED = {
    "poisson": (Poisson(coefficient=lambda x: 2 + x), "source", {"u": lambda x, y: sin(3 * x) * exp(y)}),
    "heat": (Heat(coords=("x", "y", "t")), "source", {"u": lambda x, y, t: sin(x * y) * exp(-t)}),
    "wave": (Wave(speed=lambda x: 1 + x**2), "source", {"u": lambda x, t: sin(x * t)}),
    "advection": (Advection(velocity=0.3), "source", {"u": lambda x, t: x**3 * t}),
    "helmholtz": (Helmholtz(wavenumber=2.0), "source", {"u": lambda x, y: cos(x + y**2)}),
    "plate": (Plate(stiffness=0.4), "load", {"w": lambda x, y: sin(x) * cos(2 * y)}),
}


@pytest.mark.parametrize("name", SOURCED)
def test_the_manufactured_residual_is_the_source(name, points):
    equation, source, wanted = SOURCED[name]
    (forcing,) = manufactured(equation, wanted).values()
    arguments = {**equation._arguments(), source: forcing}
    x = points(9, len(equation.coords))
    before = residual_of(equation, wanted, x)["residual"]
    assert float(before.abs().max()) > 0.1
    after = residual_of(type(equation)(**arguments), wanted, x)["residual"]
    torch.testing.assert_close(after, torch.zeros_like(after), rtol=0, atol=1e-12)
    torch.testing.assert_close(forcing(**dict(zip(equation.coords, x.unbind(-1), strict=True))), before)


@pytest.mark.parametrize("equation", [NavierStokes2D(reynolds=7.0), Elasticity(fields=("u", "v"))])
def test_systems_have_one_forcing_for_each_residual(equation, points):
    wanted = {"u": lambda x, y: sin(x * y), "v": lambda x, y: x**2 * y, "p": lambda x: cos(x)}
    wanted = {name: wanted[name] for name in equation.fields}
    forcing = manufactured(equation, wanted)
    assert tuple(forcing) == equation.record().names

    class Forced(Equation):
        fields, coords = equation.fields, equation.coords

        def residual(self, *arguments):
            *fields, p = arguments
            given = Parameters(p._frame, {**equation.parameters(), **equation.functions()})
            results = collect(trace(equation.residual, fields, given), p._frame)
            return {name: value - forcing[name](x=p.x, y=p.y) for name, value in results.items()}

    for value in residual_of(Forced(), wanted, points(6, 2)).values():
        torch.testing.assert_close(value, torch.zeros_like(value), rtol=0, atol=1e-13)


def test_forcing_has_the_coordinates_as_arguments_and_keeps_shapes():
    forcing = manufactured(Heat(), {"u": lambda x, t: t * x**2})["residual"]
    assert list(inspect.signature(forcing).parameters) == ["x", "t"]
    grid = forcing(torch.zeros(4, 1, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64))
    torch.testing.assert_close(grid, torch.full((4, 3), -2.0, dtype=torch.float64))
    with pytest.raises(TypeError, match="missing"):
        forcing(x=torch.zeros(2))


def test_vector_parameters():
    forcing = manufactured(GrayScott(coords=("x", "t"), diffusion=(1.0, 2.0)), {"u": lambda x: x**2, "v": 0.0})
    at = {"x": torch.tensor([1.0]), "t": torch.tensor([0.0])}
    assert forcing["u"](**at).item() == pytest.approx(-2.0)
    assert forcing["v"](**at).item() == 0.0


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({}, r'field "u" needs a function'),
        ({"u": 0.0, "w": 0.0}, r'unknown field "w" of the equation; it has u'),
        ({"u": lambda z: z}, r'unknown argument "z"'),
    ],
)
def test_functions_that_do_not_fit(functions, message):
    with pytest.raises(ValueError, match=message):
        residual_of(Heat(), functions, torch.zeros(2, 2))


def test_points_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"points of shape \(2, 3\) need one column for each of the coordinates \('x', 't'\)"
    ):
        residual_of(Heat(), {"u": 0.0}, torch.zeros(2, 3))


def test_a_forcing_is_a_function_of_the_coordinates_themselves():
    forcing = manufactured(Poisson(), {"u": lambda x, y: sin(x) * y})["residual"]
    with pytest.raises(ValueError, match=r"is a function of the coordinate x itself"):
        Poisson(source=lambda x, y: forcing(x=2 * x, y=y)).record()


def test_forcing_in_more_coordinates(points):
    """A source made for fixed parameters also serves where a parameter is a coordinate: it then varies with it."""
    mode = {"u": lambda x, t: sin(x) * t}
    source = manufactured(Heat(), mode)["residual"]
    equation = Heat(source=source)
    x = points(5, 3)
    found = residual_of(equation, mode, x, coords=("x", "t", "diffusivity"))["residual"]
    torch.testing.assert_close(found, torch.zeros(5, dtype=torch.float64), rtol=0, atol=1e-14)
