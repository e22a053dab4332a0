"""Information about few parameters when many others are free, too."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...errors import DivergenceError
from ...typing import Float, Tensor

__all__ = ["Marginal", "marginal_information"]

_DAMPING = 1e-13


@dataclass(frozen=True, eq=False)
class Marginal:
    """What is left of the information about parameters, and how they follow the data.

    Attributes:
        information: Schur complement (k, k) of the nuisance block of ``J^T J``.
        full: The block itself (k, k), as if the others were known.
        response: Change (k, r) of the parameters at the minimum of ``|r + J d|^2`` with each entry of ``-r``; None
            where the information has no inverse.
        nuisance: Leverage (r,) of each residual for the nuisance parameters.
    """

    information: Float[Tensor, "k k"]
    full: Float[Tensor, "k k"]
    response: Float[Tensor, "k r"]
    nuisance: Float[Tensor, " r"]


def marginal_information(
    wanted: Float[Tensor, "r k"], nuisance: Float[Tensor, "r q"], *, damping: float = _DAMPING
) -> Marginal:
    """Marginalise a Gauss-Newton matrix over nuisance parameters.

    With ``J = [A, B]`` the Schur complement of ``B^T B`` is ``A^T (1 - P) A``, P the projection on the range of B. It
    is the inverse of the block of ``(J^T J)^-1`` that belongs to A, and the curvature of the profile
    ``min_b |A a + B b|^2``.

    Args:
        wanted: Derivatives A with respect to the parameters of interest.
        nuisance: Derivatives B with respect to the others.
        damping: Relative to the mean eigenvalue of ``B^T B``: weights that hardly change a residual stay as they are.

    Raises:
        DivergenceError: If the matrix is not finite.

    Cost: ``r q^2 + q^3``; float64.

    >>> A, B = torch.tensor([[1.0], [1.0], [0.0]]), torch.tensor([[1.0], [-1.0], [1.0]])
    >>> marginal_information(A.double(), B.double()).information  # orthogonal, so nothing is lost
    tensor([[2.]], dtype=torch.float64)
    """
    A, B = wanted.to(torch.float64), nuisance.to(torch.float64)
    q = B.shape[1]
    if q == 0:
        rest, leverage, penalty = A, A.new_zeros(len(A)), torch.zeros_like(A.T @ A)
    else:
        gram = B.T @ B
        scale = float(gram.trace()) / min(B.shape) or 1.0
        gram.diagonal().add_(damping * scale)
        factor, info = torch.linalg.cholesky_ex(gram)
        if int(info):
            raise DivergenceError(
                "the Gauss-Newton matrix of the weights is not positive definite; its Jacobian is not finite or "
                "too large. Scale the equation, or train for longer."
            )
        half = torch.linalg.solve_triangular(factor, B.T, upper=False)  # (q, r), half^T half = damped P
        inner = half @ A
        rest, leverage = A - half.T @ inner, half.square().sum(0)
        penalty = A.T @ (half.T @ inner) - (half.T @ inner).T @ (half.T @ inner)
    # A^T (1 - P) A, as |(1 - P) A|^2 plus what the damping leaves, which stays positive in rounding
    information = rest.T @ rest + 0.5 * (penalty + penalty.T)
    response = torch.linalg.pinv(information, hermitian=True) @ rest.T
    return Marginal(information, A.T @ A, response, leverage)
