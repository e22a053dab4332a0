"""Randomised approximations of positive semidefinite matrices by a few eigenvectors, to precondition with."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import DivergenceError
from ..typing import Float, Tensor

__all__ = ["Nystrom", "generator_of", "sketch"]

_MAX_SHIFTS = 12
_STRIDE = 1_000_003


@dataclass(frozen=True)
class Nystrom:
    """``A ~ U diag(eigenvalues) U^T`` with orthonormal columns ``U``.

    Attributes:
        basis: ``U``.
        eigenvalues: Falling, from 0.
    """

    basis: Float[Tensor, "p l"]
    eigenvalues: Float[Tensor, " l"]

    def inverse(self, shift: float) -> Callable[[Float[Tensor, " p"]], Float[Tensor, " p"]]:
        """Return the inverse of ``A + shift I``, with the least eigenvalue known for all that are not.

        It is positive definite. As a preconditioner it leaves a condition number of about
        ``(eigenvalues[-1] + shift) / shift``.

        Ref: Frangella, Tropp, Udell, *Randomized Nystrom preconditioning*, 2023, (1.3).

        >>> A = Nystrom(torch.eye(3)[:, :2], torch.tensor([3.0, 1.0]))
        >>> A.inverse(1.0)(torch.ones(3))
        tensor([0.2500, 0.5000, 0.5000])
        """
        rest = float(self.eigenvalues[-1]) + shift or 1.0
        # 1 / (e + shift) inside less the 1 / rest that is added everywhere
        inside = 1.0 / (self.eigenvalues + shift).clamp(min=torch.finfo(self.basis.dtype).tiny) - 1.0 / rest

        def apply(v: Tensor) -> Tensor:
            return v / rest + self.basis @ (inside * (self.basis.T @ v))

        return apply


def generator_of(seed: int, count: int) -> torch.Generator:
    """Return the generator of the `count`-th draw: a number in the state is all that resuming needs.

    >>> torch.rand(1, generator=generator_of(0, 3)) == torch.rand(1, generator=generator_of(0, 3))
    tensor([True])
    """
    return torch.Generator().manual_seed(seed * _STRIDE + count)


def sketch(apply: Callable[[Float[Tensor, "l p"]], Float[Tensor, "l p"]], test: Float[Tensor, "l p"]) -> Nystrom:
    """Approximate a symmetric matrix from its products with test vectors.

    ``Y = A Q`` with ``Q`` an orthonormal basis of the test vectors, and ``A ~ Y (Q^T Y)^-1 Y^T``. A shift of ``A`` by
    rounding makes ``Q^T Y`` positive definite and is taken off the eigenvalues again; where the matrix is indefinite
    the shift is larger, and what is negative becomes zero.

    Args:
        apply: Vectors as rows to their products with ``A``.
        test: Test vectors as rows, no more than they are long.

    Raises:
        DivergenceError: If the products are not finite.

    Cost: one product for each test vector, and ``O(p l^2)``.

    Ref: Frangella, Tropp, Udell, *Randomized Nystrom preconditioning*, 2023, algorithm 2.1; Tropp et al., *Fixed-rank
    approximation of a positive-semidefinite matrix from streaming data*, 2017, for the shift.

    >>> A = torch.diag(torch.tensor([4.0, 1.0, 0.0], dtype=torch.float64))
    >>> sketch(lambda rows: rows @ A, torch.eye(3, dtype=torch.float64)[:2]).eigenvalues
    tensor([4.0000, 1.0000], dtype=torch.float64)
    """
    Q = torch.linalg.qr(test.T).Q
    Y = apply(Q.T).to(Q).T
    size = float(Y.norm())
    if not math.isfinite(size):
        raise DivergenceError(
            f"products of the curvature with {len(test)} test vectors are not finite; "
            "scale the equation or the weights down, or look for a division by zero in the equation"
        )
    if size == 0:
        return Nystrom(Q, Q.new_zeros(Q.shape[1]))
    core = Q.T @ Y
    core = 0.5 * (core + core.T)
    shift = torch.finfo(Q.dtype).eps * math.sqrt(len(Q)) * size
    shift += max(0.0, -1.1 * float(torch.linalg.eigvalsh(core)[0]))
    for _ in range(_MAX_SHIFTS):
        shifted = core.clone()
        shifted.diagonal().add_(shift)
        factor, info = torch.linalg.cholesky_ex(shifted)
        if int(info) == 0:
            break
        shift *= 10.0
    B = torch.linalg.solve_triangular(factor, (Y + shift * Q).T, upper=False).T
    basis, values, _ = torch.linalg.svd(B, full_matrices=False)
    return Nystrom(basis.contiguous(), (values.square() - shift).clamp(min=0.0))
