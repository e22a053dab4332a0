"""Finite elements on plates with holes: orders of convergence, and what is refused."""

import itertools
import math

import numpy as np
import pytest
import torch

from kjet.data.solvers import CellMesh, diffusion_fem, flow_fem, heat_fem, heat_in_odd_square, kovasznay
from kjet.errors import ConfigError

skfem = pytest.importorskip("skfem")

HOLE = (0.2, -0.1, 0.4)


def plate(n):
    return CellMesh((-1.0, 1.0), (-1.0, 1.0), holes=(HOLE,), n=n)


def points(count=800):
    x, y = 2 * torch.rand(2, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1
    keep = torch.hypot(x - HOLE[0], y - HOLE[1]) > HOLE[2]
    return x[keep], y[keep]


def rms(found, exact):
    return float((found - exact).pow(2).mean().sqrt())


def orders(errors):
    return [math.log2(a / b) for a, b in itertools.pairwise(errors)]


def exact(x, y):
    return torch.sin(2 * x + 1) * torch.exp(y)


def slopes(x, y):
    return 2 * torch.cos(2 * x + 1) * torch.exp(y), exact(x, y)


def coefficient(x, y):
    return 1 + x * y / 2


def source(x, y):
    u_x, u_y = slopes(x, y)
    return 3 * coefficient(x, y) * exact(x, y) - (y * u_x + x * u_y) / 2 + 2 * exact(x, y)


def flux(x, y):
    """``a n . grad u + 3 u`` on the circle, whose normal points to its middle."""
    away, (u_x, u_y) = torch.hypot(x - HOLE[0], y - HOLE[1]), slopes(x, y)
    normal = ((HOLE[0] - x) / away, (HOLE[1] - y) / away)
    return coefficient(x, y) * (normal[0] * u_x + normal[1] * u_y) + 3 * exact(x, y)


def test_area_between_square_and_circle():
    one = skfem.Functional(lambda w: 1.0 + 0 * w.x[0])
    errors = [
        abs(one.assemble(skfem.Basis(plate(n).build(), skfem.ElementTriP2(), intorder=6)) - (4 - math.pi * 0.16))
        for n in (4, 8, 16)
    ]
    assert min(orders(errors)) > 3.7


@pytest.mark.parametrize(("degree", "order"), [(1, 1.7), (2, 2.6), (3, 3.5), (4, 3.7)])
def test_order_beside_a_curved_boundary_with_exchange(degree, order):
    x, y = points()
    errors = []
    for n in (3, 6, 12):
        given = {"dirichlet": {"outside": exact}, "robin": {"circle0": (3.0, flux)}}
        u = diffusion_fem(plate(n), coefficient=coefficient, reaction=2.0, source=source, degree=degree, **given)
        errors.append(rms(u(x, y), exact(x, y)))
    assert min(orders(errors)) > order


def test_order_in_time():
    """``u = cos(pi x) sin(3 t)``, insulated."""
    x = torch.linspace(0, 1, 30, dtype=torch.float64)
    errors = []
    for steps in (4, 8, 16):
        u = heat_fem(
            CellMesh((0.0, 1.0), (0.0, 1.0), n=5),
            np.linspace(0.0, 1.0, steps + 1),
            source=lambda x, y: torch.cos(math.pi * x),
            pulse=lambda t: 3 * math.cos(3 * t) + math.pi**2 * math.sin(3 * t),
            degree=4,
        )
        errors.append(float((u(x, x, x) - torch.cos(math.pi * x) * torch.sin(3 * x)).abs().max()))
    assert min(orders(errors)) > 3.4


def test_kovasznay_flow_around_a_hole():
    x, y = points()
    errors = []
    for n in (4, 8, 16):
        given = tuple(lambda x, y, i=i: kovasznay(x, y, 20.0)[i] for i in (0, 1))
        flow = flow_fem(plate(n), {"outside": given, "circle0": given}, reynolds=20.0)
        u, v, p = kovasznay(x, y, 20.0)
        gap = flow.p(x, y) - p
        errors.append((rms(flow.u(x, y), u), rms(flow.v(x, y), v), rms(gap, gap.mean())))
    for column, order in zip(zip(*errors, strict=True), (2.6, 2.4, 1.7), strict=True):
        assert min(orders(column)) > order


def test_stokes_flow_is_of_reynolds_number_zero():
    given = (lambda x, y: x * y**3, lambda x, y: (x**4 - y**4) / 4)
    flow = flow_fem(CellMesh((-1.0, 1.0), (-1.0, 1.0), n=8), {"outside": given}, reynolds=0.0)
    x, y = points(200)
    gap = flow.p(x, y) - (3 * x**2 * y - y**3)
    assert rms(flow.u(x, y), given[0](x, y)) < 1e-3
    assert rms(gap, gap.mean()) < 2e-2


def test_points_outside_are_refused_and_those_on_the_circle_are_not():
    u = diffusion_fem(plate(8), dirichlet={"outside": lambda x, y: x, "circle0": lambda x, y: x})
    angle = torch.linspace(0, 6, 50, dtype=torch.float64)
    x, y = HOLE[0] + HOLE[2] * torch.cos(angle), HOLE[1] + HOLE[2] * torch.sin(angle)
    assert rms(u(x, y), x) < 1e-4
    with pytest.raises(ConfigError, match="1 of 1 points lie outside the mesh"):
        u(torch.tensor([0.2]), torch.tensor([0.0]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CellMesh((0.0, 0.0), (0.0, 1.0)), "lines of constant x must be at least two, ascending"),
        (lambda: CellMesh((0.0, 1.0), (0.0, 1.0), holes=((0.0, 0.5, 0.2),)), "within one cell"),
        (lambda: CellMesh((0.0, 1.0), (0.0, 1.0), holes=((0.3, 0.5, 0.1), (0.7, 0.5, 0.1))), "in the same cell"),
        (lambda: CellMesh((0.0, 1.0), (0.0, 1.0), n=0), "n is 0"),
        (lambda: diffusion_fem(plate(2), dirichlet={"circle": 0.0}), 'Did you mean "circle0"'),
        (lambda: diffusion_fem(plate(2), degree=5), "degree is 5"),
        (lambda: heat_fem(plate(2), [0.0]), "times must be at least two"),
        (lambda: flow_fem(plate(2), {"wall": (0.0, 0.0)}, reynolds=1.0), "boundary part"),
        (lambda: heat_in_odd_square(lambda x, y: x, lambda u, x, y, t: u, 1.0, 1.0, n=4), "the start is not odd in x"),
    ],
)
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
