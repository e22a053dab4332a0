"""Residuals taken apart into what they are sums of."""

from __future__ import annotations

import pytest
import torch

from kjet.pde import AllenCahn, Burgers, Heat, NavierStokes2D, Poisson, Values
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


def test_parts_say_what_they_are():
    assert split_terms(Burgers().record())["residual"].names == ("u_t", "u u_x", "-nu u_xx")


def test_factors_without_fields_are_multiplied_out():
    class Factored(Heat):
        def residual(self, u, p):
            return p.diffusivity * (u.t - u.xx) + 2 * p.x * (u + u.x)

    parts = [str(part) for part in additive_terms(Factored().record()._outputs[0])]
    assert len(parts) == 4
