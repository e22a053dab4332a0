"""Products with Jacobian and Hessian, columns of the Jacobian and random parts of the residuals, against dense ones."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from kjet.data import Points
from kjet.errors import ConfigError
from kjet.optim.capabilities import BlockJacobian, MatrixFree, Subsets, TwiceDifferentiable


def _cases():
    """The table of cases of the test of the objective itself."""
    name = "kjet_objective_cases"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("test_objective.py"))
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TABLE = _cases()
NAMES = tuple(TABLE.CASES)
SOME = ("mlp", "hard", "periodic_rows", "integral", "modified_mlp", "navier_stokes", "fourth_order", "unknown_bounded",
        "outside_linear_layers", "tied_weights", "frozen_layers")  # fmt: skip


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
def test_products_with_the_jacobian(name):
    objective = TABLE.build(TABLE.CASES[name])
    theta = objective.model.flat() * 1.1  # not the parameters that the model holds
    r, J = objective.residual_and_jacobian(theta)
    products = objective.products(theta)
    assert isinstance(objective, MatrixFree)
    assert relative(products.residual, r) < 1e-12
    V, Z = normal(3, len(theta)), normal(3, len(r))
    assert relative(products.jvp(V), V @ J.T) < 1e-12
    objective.loss(2.0 * theta)  # moves the parameters of the model
    assert relative(products.vjp(Z), Z @ J) < 1e-12
    assert relative(products.jvp(V[0]), J @ V[0]) < 1e-12
    assert relative(products.vjp(Z[0]), J.T @ Z[0]) < 1e-12
    assert not products.jvp(V).requires_grad
    assert not products.residual.requires_grad


@pytest.mark.parametrize("name", SOME)
def test_products_with_the_hessian(name):
    objective = TABLE.build(TABLE.CASES[name])
    theta = objective.model.flat() * 1.1
    function = TABLE.residual_function(objective)
    expected = torch.func.jacrev(torch.func.grad(lambda x: function(x).square().sum()))(theta)
    products = objective.hessian(theta)
    assert isinstance(objective, TwiceDifferentiable)
    assert relative(products.gradient, objective.value_and_gradient(theta)[1]) < 1e-12
    V = normal(3, len(theta))
    objective.loss(2.0 * theta)
    assert relative(products.hvp(V), V @ expected) < 1e-11
    assert relative(products.hvp(V[0]), expected @ V[0]) < 1e-11


@pytest.mark.parametrize("name", NAMES)
def test_columns_of_the_jacobian(name):
    objective = TABLE.build(TABLE.CASES[name])
    theta = objective.model.flat()
    r, J = objective.residual_and_jacobian(theta)
    assert isinstance(objective, BlockJacobian)
    third = len(theta) // 3
    for first, last in ((0, third), (third, 2 * third), (2 * third, len(theta)), (len(theta) - 1, len(theta))):
        residual, columns = objective.residual_and_columns(theta, first, last)
        assert torch.equal(residual, r)
        assert torch.equal(columns, J[:, first:last])


def test_products_through_passes_that_are_computed_again():
    names = tuple(f"x{i}" for i in range(130))
    box = TABLE.Box([(0.0, 1.0)] * 130, coords=names)
    problem = TABLE.Problem(TABLE.Poisson(coords=names), box, [TABLE.Dirichlet(u=1.0)])
    objective = TABLE.build(TABLE.Case(lambda: problem))
    assert objective.terms[0].recorded.plan.outer
    theta = objective.model.flat()
    r, J = objective.residual_and_jacobian(theta)
    products, V, Z = objective.products(theta), normal(2, len(theta)), normal(2, len(r))
    assert relative(products.jvp(V), V @ J.T) < 1e-12
    assert relative(products.vjp(Z), Z @ J) < 1e-12
    gradient = objective.value_and_gradient
    step = 1e-5  # central differences: 1e-10 of truncation, 1e-11 of rounding, times the derivatives' growth
    slope = (gradient(theta + step * V[0])[1] - gradient(theta - step * V[0])[1]) / (2.0 * step)
    assert relative(objective.hessian(theta).hvp(V[0]), slope) < 1e-6


def test_a_random_part_has_the_mean_of_the_whole():
    objective = TABLE.build(TABLE.CASES["unknown"], n=16, boundary=12)
    assert isinstance(objective, Subsets)
    theta = objective.model.flat()
    generator = torch.Generator().manual_seed(0)
    parts = [objective.subset(0.25, generator) for _ in range(2000)]
    assert [len(term.points) for term in parts[0].terms] == [4, 3, 1]
    losses = torch.stack([part.loss(theta) for part in parts])
    # five standard errors
    assert abs(float(losses.mean() - objective.loss(theta))) < 5.0 * float(losses.std()) / len(parts) ** 0.5
    assert float(losses.std()) > 0


def test_rows_of_a_part_are_rows_of_the_whole():
    objective = TABLE.build(TABLE.CASES["unknown"], n=16, boundary=12)
    theta = objective.model.flat()
    part = objective.subset(0.5, torch.Generator().manual_seed(1))
    whole, rows = objective.residual(theta), part.residual(theta)
    start = place = 0
    for term, piece in zip(objective.terms, part.terms, strict=True):
        scale = (piece.rows / term.rows) ** 0.5
        own = rows[place : place + piece.rows] * scale
        assert all(bool(torch.isclose(whole[start : start + term.rows], value, rtol=1e-12).any()) for value in own)
        start, place = start + term.rows, place + piece.rows
    assert relative(part.residual_and_jacobian(theta)[0], rows) < 1e-14
    again = objective.subset(0.5, torch.Generator().manual_seed(1))
    assert torch.equal(again.residual(theta), rows)


def test_integrals_and_pairs_stay_whole():
    for name in ("integral", "periodic_rows"):
        objective = TABLE.build(TABLE.CASES[name])
        part = objective.subset(0.3, torch.Generator())
        assert len(part.terms[0].points) < len(objective.terms[0].points)
        undivided = [t for t in objective.terms if not t.divisible]
        assert undivided
        assert all(t in part.terms for t in undivided)


def test_products_need_a_sum_of_squares():
    objective = TABLE.build(TABLE.CASES["mlp"])
    term = objective.terms[0]
    broken = objective.with_terms([TABLE.replace(term, others=())])
    with pytest.raises(ConfigError, match="no sum of squares"):
        broken.products(objective.model.flat())
    assert isinstance(term.points, Points)
