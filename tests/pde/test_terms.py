"""Residuals taken apart into what they are sums of."""

from __future__ import annotations

import pytest
import torch

from kjet.pde import AllenCahn, Burgers, Equation, Heat, NavierStokes2D, Poisson, Values
from kjet.pde.terms import additive_terms, split_terms

EQUATIONS = [Burgers(), AllenCahn(), NavierStokes2D(), Heat(source=lambda x, t: x * t), Poisson(coords=("x", "y"))]


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda e: type(e).__name__)
def test_parts_add_up(equation, network):
    recorded = equation.record()
    f, x = network(recorded.frame.d, len(recorded.frame.fields)), torch.rand(11, recorded.frame.d, dtype=torch.float64)
    numbers = equation.parameters()

    def evaluate(what):
        return what(Values(x, what.field_values(what.plan(f, x)), numbers))

    whole = dict(zip(recorded.names, evaluate(recorded), strict=True))
    for name, parts in split_terms(recorded).items():
        values = evaluate(parts)
        assert torch.allclose(sum(values), whole[name], rtol=1e-12, atol=1e-12)


class Long(Equation):
    fields, coords = ("u",), ("x", "y")

    def residual(self, u, p):
        factor = (
            torch.tanh(p.x * p.y)
            * torch.cosh(5.5 * p.x)
            * torch.cos(7.0 * p.y)
            * torch.sin(3.0 * p.x + 2.0 * p.y)
            * torch.exp(-p.x - p.y)
        )
        return factor * u.x + factor * u.y + factor * u.x * u.y - u


def test_long_parts_that_begin_alike_are_told_apart():
    names = split_terms(Long().record())["residual"].names
    assert len(set(names)) == 4
    assert all(len(name) <= 64 for name in names)
    assert names[1].endswith("... (2)")


def test_parts_say_what_they_are():
    assert split_terms(Burgers().record())["residual"].names == ("u_t", "u u_x", "-nu u_xx")


def test_factors_without_fields_are_multiplied_out():
    class Factored(Heat):
        def residual(self, u, p):
            return p.diffusivity * (u.t - u.xx) + 2 * p.x * (u + u.x)

    parts = [str(part) for part in additive_terms(Factored().record()._outputs[0])]
    assert len(parts) == 4
