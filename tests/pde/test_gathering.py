"""Sums of derivatives taken together: the same residuals from fewer channels."""

import pytest
import torch

from kjet.jets import Plan
from kjet.pde import Equation, Unknown
from kjet.pde.recording import Values


class Advected(Equation):
    fields, coords = ("u",), ("x", "y", "t")
    nu: float | Unknown = 0.3
    speed: float = 2.0

    def residual(self, u, p):
        return u.t + u * u.x - p.nu**2 * (u.xx + u.yy) / 2 + p.speed * u.y - torch.sin(u)


class Pair(Equation):
    fields, coords = ("u", "v"), ("x", "t")
    nu: float = 0.3

    def residual(self, u, v, p):
        return u.t - p.nu * u.xx + v, v.t - p.nu * v.xx - u.x


class Shared(Equation):
    fields, coords = ("u",), ("x", "t")

    def residual(self, u, p):
        return u.t - 0.1 * u.xx, u.xx - torch.sin(u)


class Beam(Equation):
    fields, coords = ("u",), ("x", "t")

    def residual(self, u, p):
        return {"beam": u.tt + 0.1 * u.xxxx - 0.5 * u.xx, "slope": u.x**2 - 1}


def evaluate(recorded, x, f, parameters):
    plan = recorded.plan
    return recorded(Values(x, recorded.field_values(plan(f, x)), parameters))


def smooth(x):
    phase = (x * torch.arange(1, x.shape[-1] + 1, dtype=x.dtype)).sum(-1, keepdim=True)
    return torch.cat([torch.sin(phase), torch.exp(-phase / 3) * x[..., :1]], -1)


@pytest.mark.parametrize("equation", [Advected(), Pair(), Shared(), Beam()], ids=lambda e: type(e).__name__)
def test_the_residual_stays_the_same(equation):
    x = torch.rand(7, len(equation.coords), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    recorded = equation.record()
    known = equation.parameters()
    for plain, other in zip(
        evaluate(recorded, x, smooth, known), evaluate(recorded.gathered(known), x, smooth, known), strict=True
    ):
        torch.testing.assert_close(other, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("equation", "before", "after"), [(Advected(), 6, 4), (Pair(), 4, 3), (Beam(), 7, 7)])
def test_channels(equation, before, after):
    recorded = equation.record()
    assert recorded.plan.cost() == before
    assert recorded.gathered(equation.parameters()).plan.cost() == after


def test_an_unknown_coefficient_is_left_alone():
    equation = Advected(nu=Unknown(0.3))
    gathered = equation.record().gathered({"speed": 2.0})
    assert "nu" in gathered.parameters
    x = torch.rand(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    at = {"nu": torch.tensor(0.4, dtype=torch.float64), "speed": 2.0}
    torch.testing.assert_close(
        evaluate(gathered, x, smooth, at)[0], evaluate(equation.record(), x, smooth, at)[0], rtol=1e-12, atol=1e-12
    )


def test_a_derivative_that_is_read_twice_stays():
    recorded = Shared().record()
    assert recorded.gathered({}) is recorded
    assert isinstance(recorded.plan, Plan)
