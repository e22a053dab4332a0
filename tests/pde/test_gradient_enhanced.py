"""Derivatives of residuals as further residuals."""

import pytest
import torch

from kjet.errors import ConfigError
from kjet.pde import (
    AllenCahn,
    Burgers,
    GradientEnhanced,
    Heat,
    KdV,
    NavierStokes2D,
    PointFunction,
    Poisson,
    Unknown,
    ball_solution,
    residual_of,
)  # fmt: skip
from kjet.problems import SineGordonHDProblem


def test_matches_nested_autograd(network, points, nested, evaluate):
    equation = AllenCahn(coords=("x", "y", "t"), diffusion=0.2, reaction=3.0, source=lambda x, y: torch.sin(x) * y)
    f, x = network(3, 1), points(7, 3)
    enhanced = GradientEnhanced(equation, weight=0.25)
    found = evaluate(enhanced.record(), f, x, enhanced.parameters())
    N = nested(f, x, equation.coords, equation.fields)
    u, p = N.fields["u"], N.points
    residual = N.d(u, "t") - 0.2 * N.lap(u, "xy") - 3 * (u - u**3) - torch.sin(p["x"]) * p["y"]
    expected = {
        "residual": residual, "residual_x": 0.5 * N.d(residual, "x"), "residual_y": 0.5 * N.d(residual, "y"),
    }  # fmt: skip
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert float(value.detach().abs().max()) > 1e-2
        torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-11)


def test_systems_and_chosen_coordinates():
    recorded = GradientEnhanced(NavierStokes2D(reynolds=20.0), along=["y"]).record()
    assert recorded.names == ("momentum_x", "momentum_y", "continuity", "momentum_x_y", "momentum_y_y", "continuity_y")
    assert GradientEnhanced(Burgers(), along=["t"]).record().names == ("residual", "residual_t")


def test_vanishes_on_the_solution():
    """With a source whose derivative is taken by reverse mode through Taylor arithmetic."""
    problem = SineGordonHDProblem(dim=4).build()
    x = problem.domain.interior(5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).x
    enhanced = GradientEnhanced(problem.equation, weight=1.0)
    found = residual_of(enhanced, {"u": problem.reference}, x)
    assert set(found) == {"residual", *(f"residual_x{i}" for i in range(1, 5))}
    for value in found.values():
        assert float(value.abs().max()) < 1e-11
    other = PointFunction(ball_solution(4, seed=1).value, problem.domain.coords)
    wrong = residual_of(enhanced, {"u": other}, x)
    assert min(float(value.abs().max()) for value in wrong.values()) > 1e-2


def test_sampled_coordinates_estimate_the_whole_sum():
    """Mean over draws of the weighted squares equals the sum over all coordinates: here every draw is tried."""
    coords = ("a", "b", "c")
    equation = Poisson(coords=coords, source=lambda a, b, c: a * b**2 + torch.sin(c))
    x = torch.rand(4, 3, dtype=torch.float64)

    def squares(e):
        values = residual_of(e, {"u": 0.0}, x)
        return sum(float((v**2).sum()) for name, v in values.items() if name != "residual")

    single = [squares(GradientEnhanced(equation, weight=0.3 * 3, along=[name])) for name in coords]
    assert squares(GradientEnhanced(equation, weight=0.3)) == pytest.approx(sum(single) / 3)
    drawn = [GradientEnhanced(equation, weight=0.3, samples=1, seed=seed) for seed in range(20)]
    assert {e.along for e in drawn} == {("a",), ("b",), ("c",)}
    for e in drawn:
        assert squares(e) == pytest.approx(single[coords.index(e.along[0])])


def test_passes_on_what_belongs_to_the_equation():
    heat = Heat(diffusivity=Unknown(0.5, low=0.0), source=lambda x: x)
    enhanced = GradientEnhanced(heat)
    assert enhanced.parameters() == heat.parameters()
    assert set(enhanced.functions()) == {"source"}
    assert (enhanced.fields, enhanced.coords, enhanced.time) == (heat.fields, heat.coords, heat.time)
    assert enhanced.record().order == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GradientEnhanced("heat"), "takes an equation"),
        (lambda: GradientEnhanced(KdV(), weight=0.0), "must be positive; got 0.0"),
        (lambda: GradientEnhanced(KdV(), along=["z"]), r'unknown coordinate "z" of KdV'),
        (lambda: GradientEnhanced(Poisson(), samples=3), "whole number from 1 to 2, the spatial ones; got 3"),
        (lambda: GradientEnhanced(Poisson(), along=["x"], samples=1), "not both"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
