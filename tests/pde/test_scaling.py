"""Equations in dimensionless form: the same residuals in other units."""

from __future__ import annotations

import math

import pytest
import torch

from kjet.errors import ConfigError
from kjet.pde import (
    AllenCahn,
    Burgers,
    Equation,
    Heat,
    KdV,
    KuramotoSivashinsky,
    NavierStokes2D,
    Plate,
    PointFunction,
    Poisson,
    Unknown,
    Wave,
    advect,
    grad_squared,
    lap,
    residual_of,
)
from kjet.pde.scaling import Scale, ScaledEquation, Scales

SCALES = {"x": (3.0, -1.0), "y": (0.2, 0.5), "t": (50.0, 2.0), "u": (7.0, 0.3), "v": (0.1, -2.0), "p": (1e3, 5.0)}


class Mixed(Equation):
    """Everything that a node can be."""

    fields, coords = ("u",), ("x", "y", "t")
    nu: float = 0.7

    def residual(self, u, p):
        kinds = grad_squared(u) + lap(u, torch.square, positive=True) + advect(_spin, u) + lap(lap(u))
        return kinds + torch.sin(u * p.x) + d_of_product(u, p) + p.nu / (2 + u**2) * u.xt + 3.0


def _spin(x):
    return torch.stack([-x[..., 1], x[..., 0]], -1)


def d_of_product(u, p):
    return (torch.exp(0.1 * p.y * u) * u.x).y


def source(x):
    return x[..., 0] * torch.cos(x[..., 1])


EQUATIONS = {
    "heat": Heat(diffusivity=1e-3),
    "heat with a coefficient": Heat(diffusivity=lambda x, t: 1 + x * x * t, source=lambda x, t: torch.sin(x * t)),
    "burgers": Burgers(nu=0.02),
    "allen-cahn": AllenCahn(),
    "kdv": KdV(),
    "kuramoto-sivashinsky": KuramotoSivashinsky(),
    "navier-stokes": NavierStokes2D(),
    "plate": Plate(),
    "poisson": Poisson(coords=("x", "y"), source=PointFunction(source, ("x", "y"))),
    "mixed": Mixed(),
}


def function(name):
    shift = {"u": 0.0, "v": 0.7, "p": 1.3}.get(name, 0.0)

    def smooth(**columns):
        phase = sum((0.3 + 0.2 * i) * column for i, column in enumerate(columns.values()))
        return torch.sin(phase + shift) + 0.1 * phase * phase

    return smooth


def scaled_function(name, scales):
    inner = function(name)

    def dimensionless(**columns):
        physical = {key: scales.coords[key].physical(column) for key, column in columns.items()}
        return scales.fields[name].dimensionless(inner(**physical))

    return dimensionless


def keyed(make, coords):
    """Give a function of any columns the signature of the coordinates."""
    names = ", ".join(coords)
    return eval(f"lambda {names}: made({', '.join(f'{n}={n}' for n in coords)})", {"made": make})


@pytest.mark.parametrize("name", EQUATIONS)
def test_residuals_are_those_in_units(name):
    equation = EQUATIONS[name]
    chosen = {key: value for key, value in SCALES.items() if key in (*equation.coords, *equation.fields)}
    scaled = ScaledEquation(original=equation, scales=chosen)
    scales = scaled.scales
    points = torch.rand(9, len(equation.coords), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inside = {f: keyed(scaled_function(f, scales), equation.coords) for f in equation.fields}
    outside = {f: keyed(function(f), equation.coords) for f in equation.fields}
    found = residual_of(scaled, inside, points)
    expected = residual_of(equation, outside, scales.physical(points))
    for key, value in expected.items():
        assert torch.allclose(found[key] * scaled.sizes[key], value, rtol=1e-9, atol=1e-9 * float(value.abs().max()))


def test_exact_solutions_stay_exact():
    # temperature in kelvin, metres and days, with a coefficient far from one
    rate = 7.8e8 * math.pi**2 / 1e5**2
    scaled = ScaledEquation(
        original=Heat(diffusivity=7.8e8), scales={"x": Scale(1e5, unit="m"), "t": 2.0, "u": Scale(25.0, 280.0, "K")}
    )
    found = residual_of(
        scaled, {"u": lambda x, t: torch.sin(math.pi * x) * torch.exp(-2 * rate * t)},
        torch.rand(50, 2, dtype=torch.float64),
    )  # fmt: skip
    assert float(found["residual"].abs().max()) < 1e-12


def test_numbers_are_the_fourier_number():
    scaled = ScaledEquation(original=Heat(diffusivity=2.0), scales={"x": 10.0, "t": 5.0, "u": 80.0})
    (rate, diffusion) = scaled.numbers["residual"]
    assert (rate.text, diffusion.text) == ("u_t", "u_xx")
    assert (rate.factor, diffusion.factor) == (1.0, pytest.approx(-2.0 * 5.0 / 10.0**2))
    assert scaled.describe() == "residual / 16: u_t - 0.1 u_xx = 0"
    assert "t = 5 t'" in scaled.scales.describe()


def test_the_dominating_part_is_of_size_one():
    equation = ScaledEquation(original=Burgers(nu=1e-3), scales={"x": 2.0, "t": 1e4, "u": 3.0})
    sizes = [term.size for term in equation.numbers["residual"]]
    assert max(sizes) == 1.0
    assert min(sizes) > 0


def test_powers_take_the_units_of_their_base():
    class Cubic(Equation):
        fields, coords = ("u",), ("t",)

        def residual(self, u, p):
            return u.t - 2 * u**3

    scaled = ScaledEquation(original=Cubic(), scales={"u": 10.0, "t": 0.1})
    assert {term.text: term.factor for term in scaled.numbers["residual"]} == {
        "u_t": pytest.approx(0.05), "u^3": pytest.approx(-1.0)
    }  # fmt: skip


def test_powers_of_parameters_are_numbers():
    scaled = ScaledEquation(original=Wave(speed=3.0), scales={"x": 6.0})
    assert [term.text for term in scaled.numbers["residual"]] == ["u_tt", "u_xx"]
    assert scaled.numbers["residual"][1].factor == pytest.approx(-0.25)


def test_unknown_parameters_keep_their_units():
    scaled = ScaledEquation(original=Heat(diffusivity=Unknown(3.0, low=0.0)), scales={"x": 10.0})
    assert isinstance(scaled.parameters()["diffusivity"], Unknown)
    assert scaled.record().parameters == ("diffusivity",)


def test_points_and_values_go_back():
    scales = Scales.of({"x": (2.0, 1.0)}, ("x", "t"), ("u",))
    x = torch.rand(5, 2, dtype=torch.float64)
    assert torch.allclose(scales.dimensionless(scales.physical(x)), x)


@pytest.mark.parametrize(
    ("scales", "words"),
    [({"z": 1.0}, "unknown coordinate or field"), ({"x": 0.0}, "positive size"), ({"x": "metre"}, "must be a number")],
)
def test_wrong_scales_are_refused(scales, words):
    with pytest.raises(ConfigError, match=words):
        ScaledEquation(original=Heat(), scales=scales)
