"""Damped least squares against dense solutions."""

from __future__ import annotations

import pytest
import torch

from kjet.errors import DivergenceError
from kjet.optim.gram import Gram


def _jacobian(r, p, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    J = torch.randn(r, p, generator=generator, dtype=torch.float64)
    return J.to(dtype), torch.randn(r, generator=generator, dtype=torch.float64).to(dtype)


@pytest.mark.parametrize(("r", "p"), [(5, 20), (20, 5), (9, 9)])
@pytest.mark.parametrize("space", ["auto", "residual", "parameter"])
def test_solution_minimizes_the_damped_problem(r, p, space):
    J, residual = _jacobian(r, p)
    solved = Gram.build(J, space).solve(residual, 1e-3)
    # the damped problem is an ordinary one with sqrt(lambda) I below J
    lam = 1e-3 * float(J.square().sum()) / min(r, p)
    stacked = torch.cat([J, lam**0.5 * torch.eye(p, dtype=J.dtype)])
    expected = torch.linalg.lstsq(stacked, torch.cat([residual, torch.zeros(p, dtype=J.dtype)])).solution
    torch.testing.assert_close(solved.vector, expected, rtol=1e-10, atol=1e-10)
    decrease = residual.square().sum() - (residual - J @ expected).square().sum()
    assert solved.decrease == pytest.approx(float(decrease), rel=1e-10)
    assert (solved.damping, solved.retries) == (1e-3, 0)


@pytest.mark.parametrize(("r", "p"), [(5, 20), (20, 5)])
def test_spaces_agree(r, p):
    J, residual = _jacobian(r, p)
    vectors = [Gram.build(J, space).solve(residual, 1e-4).vector for space in ("residual", "parameter")]
    torch.testing.assert_close(*vectors, rtol=1e-10, atol=1e-10)


def test_auto_takes_the_smaller_matrix():
    assert Gram.build(_jacobian(5, 20)[0]).matrix.shape == (5, 5)
    assert Gram.build(_jacobian(20, 5)[0]).matrix.shape == (5, 5)


def test_singular_matrix_is_damped_more():
    J = torch.ones(6, 6, dtype=torch.float64)
    J[0, 0] += 1e-9  # numerically of rank one
    solved = Gram.build(J).solve(torch.ones(6, dtype=torch.float64), 1e-19)
    assert solved.retries > 0
    assert solved.damping == pytest.approx(1e-19 * 1e4**solved.retries)
    torch.testing.assert_close(J @ solved.vector, torch.ones(6, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_float32_jacobian_is_solved_in_float64():
    J, residual = _jacobian(5, 20, torch.float32)
    solved = Gram.build(J).solve(residual, 1e-10).vector
    expected = Gram.build(J.double()).solve(residual.double(), 1e-10).vector
    assert solved.dtype == torch.float64
    assert torch.equal(solved, expected)


def test_zero_jacobian_gives_a_zero_direction():
    solved = Gram.build(torch.zeros(3, 4, dtype=torch.float64)).solve(torch.ones(3, dtype=torch.float64), 1e-3)
    assert not solved.vector.any()
    assert solved.decrease == 0.0


def test_entries_that_are_not_finite_are_counted():
    J = torch.ones(3, 4)
    J[0, 1] = torch.nan
    J[2, 2] = torch.inf
    with pytest.raises(DivergenceError, match="2 of 12 entries of the Jacobian"):
        Gram.build(J)


def test_overflow_is_named():
    with pytest.raises(DivergenceError, match="trace of the Gram matrix of a 3 x 4 Jacobian"):
        Gram.build(torch.full((3, 4), 1e200, dtype=torch.float64))
