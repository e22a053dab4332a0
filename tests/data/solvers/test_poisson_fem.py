import itertools
import math
import sys

import pytest
import torch

from kjet.data.solvers import darcy, lshape_singular, poisson_fem
from kjet.errors import ConfigError


def test_without_scikit_fem_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "skfem", None)
    with pytest.raises(ImportError, match=r"pip install kjet\[fem\]"):
        poisson_fem("square")


def test_wrong_arguments_are_refused():
    pytest.importorskip("skfem")
    with pytest.raises(ConfigError, match='Did you mean "lshape"'):
        poisson_fem("l-shape")
    with pytest.raises(ConfigError, match="degree is 5"):
        poisson_fem("square", degree=5)
    with pytest.raises(ConfigError, match="vertices"):
        poisson_fem((torch.zeros(3, 3), torch.zeros(1, 3, dtype=torch.int64)))


def inside(n=400):
    x, y = torch.rand(2, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, y


def rms(found, exact):
    return float((found - exact).pow(2).mean().sqrt())


@pytest.mark.parametrize(("degree", "order"), [(1, 2), (2, 3), (3, 4), (4, 5)])
def test_order_on_a_smooth_solution(degree, order):
    pytest.importorskip("skfem")

    def exact(x, y):
        return torch.sin(2 * x + 1) * torch.exp(y)

    def source(x, y):
        return 3 * exact(x, y)

    x, y = inside()
    errors = [rms(poisson_fem("square", source, exact, r, degree)(x, y), exact(x, y)) for r in (2, 3, 4)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(errors)]
    assert all(order - 0.3 < found < order + 0.5 for found in orders)


def test_singular_solution_on_the_lshape():
    """The corner limits the order to 4/3 whatever the degree."""
    pytest.importorskip("skfem")
    x, y = inside(1500)
    x, y = 2 * x - 1, 2 * y - 1
    keep = (x < 0) | (y > 0)
    x, y = x[keep], y[keep]
    errors = [rms(poisson_fem("lshape", 0.0, lshape_singular, r, 2)(x, y), lshape_singular(x, y)) for r in (2, 3, 4, 5)]
    assert errors[-1] < 3e-4
    assert 1.2 < math.log2(errors[0] / errors[-1]) / 3 < 1.8


def test_polynomials_of_the_degree_are_exact():
    pytest.importorskip("skfem")
    x, y = inside(50)
    u = poisson_fem("square", -2.0, lambda x, y: x**2 + x * y, refinements=1, degree=2)
    assert torch.allclose(u(x, y), x**2 + x * y, atol=1e-12)
    assert torch.allclose(u.values, u.points[:, 0] ** 2 + u.points[:, 0] * u.points[:, 1], atol=1e-12)


def test_agrees_with_the_finite_volumes():
    pytest.importorskip("skfem")
    grid = torch.linspace(0, 1, 65, dtype=torch.float64)
    x, y = torch.meshgrid(grid, grid, indexing="ij")
    assert (poisson_fem("square", 1.0, refinements=4, degree=3)(x, y) - darcy(torch.ones(65, 65))).abs().max() < 5e-5


def test_a_mesh_of_ones_own_and_its_parts():
    pytest.importorskip("skfem")
    vertices = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]])
    u = poisson_fem((vertices, torch.tensor([[0, 1, 2]])), 0.0, lambda x, y: 3 * x - y, refinements=2, degree=1)
    assert u.triangles.shape == (16, 3)
    assert u.vertices.shape == (15, 2)
    corners = u.vertices[u.triangles]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    assert float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).abs().sum() / 2) == pytest.approx(1.0)
    at = torch.tensor([[0.3, 0.2], [1.0, 0.1]])
    assert torch.allclose(u(at[:, 0], at[:, 1]), (3 * at[:, 0] - at[:, 1]).double(), atol=1e-6)


def test_points_outside_are_refused_and_corners_are_not():
    pytest.importorskip("skfem")
    u = poisson_fem("lshape", refinements=1)
    with pytest.raises(ConfigError, match="outside the mesh"):
        u(torch.tensor([0.5]), torch.tensor([-0.5]))
    corners = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.0, -1.0], [1.0, 0.0], [0.0, 0.0]])
    assert u(corners[:, 0], corners[:, 1]).abs().max() < 1e-12
    assert u(torch.zeros(0), torch.zeros(0)).shape == (0,)
