"""Conjugate gradients and low-rank approximations against dense solutions."""

from __future__ import annotations

import pytest
import torch

from kjet.errors import DivergenceError
from kjet.optim.krylov import DenseProducts, conjugate_gradients, forcing_term, least_squares
from kjet.optim.nystrom import Nystrom, generator_of, sketch


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def spectrum(n, values, seed=0):
    """A symmetric matrix of given eigenvalues."""
    Q = torch.linalg.qr(normal(n, n, seed=seed)).Q
    return (Q * values) @ Q.T


@pytest.mark.parametrize(("r", "p"), [(8, 20), (20, 8)])
@pytest.mark.parametrize("shift", [0.1, 0.0])
def test_least_squares(r, p, shift):
    J, residual = normal(r, p), normal(r, seed=1)
    found = least_squares(DenseProducts(residual, J), J.T @ residual, shift, tolerance=1e-13)
    stacked = torch.cat([J, shift**0.5 * torch.eye(p, dtype=J.dtype)])
    # without damping: the least norm, which conjugate gradients from zero give
    expected = torch.linalg.pinv(stacked) @ torch.cat([residual, residual.new_zeros(p)])
    torch.testing.assert_close(found.x, expected, rtol=1e-9, atol=1e-9)
    gain = residual.square().sum() - (residual - J @ found.x).square().sum() - shift * found.x.square().sum()
    assert found.gain == pytest.approx(float(gain), rel=1e-9)
    assert found.iterations <= min(r, p) + 2


def test_each_iterate_of_least_squares_descends():
    J, residual = spectrum(30, torch.logspace(0, -6, 30, dtype=torch.float64)), normal(30, seed=1)
    products, gradient = DenseProducts(residual, J), J.T @ residual
    gains = [least_squares(products, gradient, 1e-9, max_iterations=k).gain for k in range(1, 12)]
    assert gains == sorted(gains)
    for k in range(1, 12):
        assert float(gradient @ least_squares(products, gradient, 1e-9, max_iterations=k).x) > 0


def test_vectors_are_accurate_although_products_are_single():
    J, residual = normal(20, 10), normal(20, seed=1)
    single = DenseProducts(residual.float(), J.float())
    found = least_squares(single, J.T @ residual, 0.0, tolerance=1e-6)
    assert found.x.dtype == torch.float64
    # rounding of the products times the condition number
    torch.testing.assert_close(found.x, torch.linalg.lstsq(J, residual).solution, rtol=1e-4, atol=1e-5)


def test_conjugate_gradients_solve():
    A, b = spectrum(25, torch.logspace(0, -3, 25, dtype=torch.float64)), normal(25, seed=1)
    found = conjugate_gradients(lambda v: A @ v, b, 0.01, tolerance=1e-12)
    expected = torch.linalg.solve(A + 0.01 * torch.eye(25, dtype=A.dtype), b)
    torch.testing.assert_close(found.x, expected, rtol=1e-9, atol=1e-9)
    assert found.gain == pytest.approx(float(b @ expected), rel=1e-9)
    assert not found.indefinite


def test_negative_curvature_ends_the_iteration_with_a_descent_direction():
    values = torch.linspace(-1.0, 3.0, 12, dtype=torch.float64)
    A, b = spectrum(12, values), normal(12, seed=1)
    found = conjugate_gradients(lambda v: A @ v, b, 0.0)
    assert found.indefinite
    assert float(b @ found.x) > 0
    at_once = conjugate_gradients(lambda v: -v, b, 0.0)
    assert torch.equal(at_once.x, b)
    assert at_once.gain > 0


def test_zero_right_hand_side_takes_no_product():
    def refuse(v):
        raise AssertionError("a product")

    found = conjugate_gradients(refuse, torch.zeros(3, dtype=torch.float64), 1.0)
    assert (found.iterations, float(found.x.norm())) == (0, 0.0)


def test_sketch_is_exact_up_to_its_rank():
    values = torch.zeros(30, dtype=torch.float64)
    values[:6] = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0, 0.5])
    A = spectrum(30, values)
    found = sketch(lambda rows: rows @ A, normal(9, 30, seed=2))
    # the square root of rounding: what is smaller cannot be told from the shift
    torch.testing.assert_close(found.eigenvalues[:6], values[:6], rtol=1e-7, atol=1e-7)
    torch.testing.assert_close((found.basis * found.eigenvalues) @ found.basis.T, A, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(found.basis.T @ found.basis, torch.eye(9, dtype=A.dtype), rtol=0, atol=1e-10)


def test_sketch_stays_below_the_matrix():
    """A Nystrom approximation never exceeds what it approximates, in the order of symmetric matrices."""
    A = spectrum(40, torch.logspace(0, -8, 40, dtype=torch.float64))
    found = sketch(lambda rows: rows @ A, normal(10, 40, seed=3))
    left = A - (found.basis * found.eigenvalues) @ found.basis.T
    assert float(torch.linalg.eigvalsh(left)[0]) > -1e-10
    assert float(torch.linalg.eigvalsh(left)[-1]) < 0.1


def test_preconditioned_iterations_do_not_depend_on_the_condition_number():
    A, b = spectrum(200, torch.logspace(0, -10, 200, dtype=torch.float64)), normal(200, seed=1)
    shift = 1e-6
    known = sketch(lambda rows: rows @ A, normal(150, 200, seed=2))
    plain = conjugate_gradients(lambda v: A @ v, b, shift, tolerance=1e-8)
    quick = conjugate_gradients(lambda v: A @ v, b, shift, known.inverse(shift), tolerance=1e-8)
    assert quick.iterations < 25 < plain.iterations / 10
    expected = torch.linalg.solve(A + shift * torch.eye(200, dtype=A.dtype), b)
    assert float((quick.x - expected).norm() / expected.norm()) < 1e-5


def test_inverse_is_positive_definite_without_any_curvature():
    inverse = Nystrom(torch.eye(4, dtype=torch.float64)[:, :2], torch.zeros(2, dtype=torch.float64)).inverse(0.0)
    v = normal(4)
    assert float(v @ inverse(v)) > 0


def test_sketch_of_indefinite_and_zero_matrices():
    A = spectrum(12, torch.linspace(-1.0, 3.0, 12, dtype=torch.float64))
    found = sketch(lambda rows: rows @ A, torch.eye(12, dtype=A.dtype))
    assert bool((found.eigenvalues >= 0).all())
    assert float(found.eigenvalues[0]) == pytest.approx(3.0, rel=0.1)
    zero = sketch(torch.zeros_like, normal(3, 12))
    assert float(zero.eigenvalues.max()) == 0.0


def test_products_that_are_not_finite_are_named():
    with pytest.raises(DivergenceError, match="3 test vectors are not finite"):
        sketch(lambda rows: rows * torch.nan, normal(3, 5))


def test_draws_are_told_apart_by_seed_and_count():
    drawn = {float(torch.rand((), generator=generator_of(seed, count))) for seed in (0, 1) for count in range(5)}
    assert len(drawn) == 10


def test_forcing_term_follows_the_gradient():
    assert forcing_term(1.0, None, None, 0.3) == 0.3
    assert forcing_term(0.1, 1.0, 0.1, 0.3) == pytest.approx(0.01)
    # a term above sqrt(1/10) falls no faster than to its square
    assert forcing_term(1e-3, 1.0, 0.9, 0.95) == pytest.approx(0.81)
    assert forcing_term(2.0, 1.0, 0.1, 0.3) == 0.3
    assert forcing_term(1e-9, 1.0, 0.1, 0.3) == 1e-12
