"""Damped least-squares directions from one Gram matrix, in residual or in parameter space."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch

from ..errors import DivergenceError
from ..typing import Float, Tensor
from .capabilities import Spread
from .objective import Objective, State, require_finite

__all__ = ["Direction", "Factor", "Gram", "Linearization", "Space", "linearize"]

Space = str
"""``"residual"``, ``"parameter"`` or ``"auto"``, the smaller of the two."""

_RETRY_FACTOR = 1e4
_MAX_RETRIES = 8
_BLOCKS, _LARGE = 8, 512  # of a symmetric product, and from where they pay


@dataclass(frozen=True)
class Direction:
    """Solution of a damped least-squares problem.

    Attributes:
        vector: ``d``, in the precision of the Gram matrix.
        decrease: ``|r|^2 - |r - J d|^2``, what the linear model promises for the full step.
        damping: Relative damping that was used: the one asked for, or more where the factorization needed it.
        retries: Factorizations that failed.
    """

    vector: Float[Tensor, " p"]
    decrease: float
    damping: float
    retries: int


@dataclass(frozen=True)
class Gram:
    """``J J^T`` or ``J^T J`` with its Jacobian, ready for any number of dampings and right-hand sides.

    The damping is relative: ``lambda = damping * scale`` with ``scale = trace(J J^T) / min(r, p)``, the mean of the
    eigenvalues that can differ from zero. It is the same in both spaces, and multiplying the residual by a constant
    changes no direction. `build` forms the matrix in float64 whatever the precision of the Jacobian, since its
    condition number is the square of the Jacobian's.

    Rows may be spread over processes: each has its own of the Jacobian, and all have the same matrix. In parameter
    space that is a sum of theirs; in residual space each makes its rows of the matrix from the Jacobians of all.

    Attributes:
        jacobian: ``J``, in the precision of the matrix; the rows of this process.
        matrix: ``J J^T`` (r, r) or ``J^T J`` (p, p).
        scale: Mean eigenvalue.
        in_residual_space: Which of the two it is.
        spread: How processes exchange what each has; None for one alone.
    """

    jacobian: Float[Tensor, "r p"]
    matrix: Float[Tensor, "q q"]
    scale: float
    in_residual_space: bool
    spread: Spread | None = None

    @classmethod
    def build(cls, jacobian: Float[Tensor, "r p"], space: Space = "auto", spread: Spread | None = None) -> Gram:
        """Form the smaller Gram matrix, or the one that is asked for; costs ``r p min(r, p)``.

        Raises:
            DivergenceError: If an entry of the Jacobian is not finite, or the matrix overflows.

        >>> Gram.build(torch.ones(2, 5)).matrix.shape
        torch.Size([2, 2])
        """
        J = jacobian.to(_accurate_dtype(jacobian.device))
        r, p = J.shape
        if spread is not None:
            r = int(spread.total(J.new_tensor(float(r))))
        in_residual_space = space == "residual" or (space == "auto" and r <= p)
        if spread is None:
            matrix = _square(J.T if in_residual_space else J)
        elif in_residual_space:
            matrix = torch.cat(spread.gather(torch.cat([J @ other.T for other in spread.gather(J)], 1)))
        else:
            matrix = spread.total(_square(J))
        trace = float(matrix.trace())
        if not trace < float("inf"):
            require_finite("Jacobian", jacobian)
            raise DivergenceError(
                f"the trace of the Gram matrix of a {r} x {p} Jacobian is {trace}. "
                "Scale the equation or the weights down."
            )
        # A zero Jacobian has no scale; any positive number gives its direction, zero.
        return cls(J, matrix, trace / min(r, p) or 1.0, in_residual_space, spread)

    def gradient(self, residual: Float[Tensor, " r"]) -> Float[Tensor, " p"]:
        """Return ``J^T r``, half the gradient of the loss."""
        own = self.jacobian.T @ residual.to(self.jacobian.dtype)
        return own if self.spread is None else self.spread.total(own)

    def apply(self, vector: Float[Tensor, " p"]) -> Float[Tensor, " r"]:
        """Return ``J v``."""
        return self.jacobian @ vector.to(self.jacobian.dtype)

    def factor(self, damping: float) -> Factor:
        """Factorize the damped matrix, for any number of right-hand sides.

        Where the Cholesky factorization fails, it is tried again with 1e4 times the damping. Costs a third of
        ``min(r, p)^3``.

        Raises:
            DivergenceError: If no damping makes the matrix positive definite, for it is not finite.
        """
        for retries in range(_MAX_RETRIES):
            damped = self.matrix.clone()
            damped.diagonal().add_(damping * self.scale)
            factor, info = torch.linalg.cholesky_ex(damped)
            if int(info) == 0:
                return Factor(self, factor, damping, retries)
            damping *= _RETRY_FACTOR
        raise DivergenceError(
            f"the Gram matrix is not positive definite with a relative damping of {damping:.0e}. "
            "The Jacobian is not finite or too large: scale the equation or the weights down."
        )

    def solve(self, residual: Float[Tensor, " r"], damping: float) -> Direction:
        """Minimize ``|r - J d|^2 + lambda |d|^2`` over ``d``; see `factor` and `Factor.solve`.

        Raises:
            DivergenceError: If no damping makes the matrix positive definite, for it is not finite.

        >>> gram = Gram.build(torch.tensor([[2.0, 0.0]], dtype=torch.float64))
        >>> gram.solve(torch.tensor([2.0], dtype=torch.float64), damping=1.0).vector
        tensor([0.5000, 0.0000], dtype=torch.float64)
        """
        return self.factor(damping).solve(residual)


@dataclass(frozen=True)
class Factor:
    """A Gram matrix with damping, factorized.

    Attributes:
        gram: The matrix.
        cholesky: Lower factor of ``matrix + damping * scale * I``.
        damping: Relative damping that was used: the one asked for, or more where the factorization needed it.
        retries: Factorizations that failed.
    """

    gram: Gram
    cholesky: Float[Tensor, "q q"]
    damping: float
    retries: int

    def solve(self, residual: Float[Tensor, " r"]) -> Direction:
        """Minimize ``|r - J d|^2 + lambda |d|^2`` over ``d``.

        In residual space ``(J J^T + lambda I) z = r``, ``d = J^T z``; in parameter space
        ``(J^T J + lambda I) d = J^T r``; the same vector. Costs ``r p``.

        Ref: Mueller and Zeinhofer, *Achieving high accuracy with PINNs via energy natural gradients*, 2023;
        Guzman-Cordero et al., *Improving energy natural gradient descent through Woodbury, momentum, and
        randomization*, 2025, for the residual space.
        """
        gram = self.gram
        r = residual.to(gram.matrix.dtype)
        gradient = gram.gradient(r)
        if gram.in_residual_space:
            every = [r] if gram.spread is None else gram.spread.gather(r)
            parts = torch.cholesky_solve(torch.cat(every)[:, None], self.cholesky)[:, 0].split([len(x) for x in every])
            vector = gram.gradient(parts[0 if gram.spread is None else gram.spread.rank])
        else:
            vector = torch.cholesky_solve(gradient[:, None], self.cholesky)[:, 0]
        # |J d|^2 = d . (J^T r - lambda d), by the normal equations
        decrease = float(vector @ gradient) + self.damping * gram.scale * float(vector @ vector)
        return Direction(vector, decrease, self.damping, self.retries)


@dataclass(frozen=True)
class Linearization:
    """The residual and its Gram matrix at the start of a step.

    Attributes:
        residual: ``r``.
        gram: Gram matrix of the Jacobian.
        loss: Loss, computed as that of the trials is: ``|r|^2`` from the Jacobian's pass may differ in the last digits.
        evaluations: Calls that it took.
        rows: Number of residuals, those of other processes included.
    """

    residual: Float[Tensor, " r"]
    gram: Gram
    loss: float
    evaluations: int
    rows: int


def linearize(objective: Objective, theta: Float[Tensor, " p"], state: State, space: Space) -> Linearization:
    """Evaluate residual and Jacobian, and the loss where ``state["loss"]`` does not hold it.

    Raises:
        DivergenceError: If one of them is not finite.
    """
    spread = objective if isinstance(objective, Spread) else None
    evaluations = 1
    if "loss" in state:
        loss = float(state["loss"])
    else:
        # that of all processes, so that all of them raise or none
        found = objective.loss(theta)
        require_finite("loss", found)
        loss, evaluations = float(found), 2
    residual, jacobian = objective.residual_and_jacobian(theta)
    require_finite("residual", residual)
    gram = Gram.build(jacobian, space, spread)
    rows = residual.numel() if spread is None else int(spread.total(theta.new_tensor(float(residual.numel()))))
    return Linearization(residual, gram, loss, evaluations, rows)


def _square(A: Float[Tensor, "m q"]) -> Float[Tensor, "q q"]:
    """Return ``A^T A``, with little more than half of its products: blocks above the diagonal are copied."""
    q = A.shape[1]
    matrix = A.new_empty(q, q)
    ends = [q * i // _BLOCKS for i in range(_BLOCKS + 1)] if q >= _LARGE else [0, q]
    for first, last in itertools.pairwise(ends):
        torch.mm(A[:, first:last].T, A[:, :last], out=matrix[first:last, :last])
        matrix[:first, first:last] = matrix[first:last, :first].T
    return matrix


def _accurate_dtype(device: torch.device) -> torch.dtype:
    # Metal has no float64.
    return torch.float32 if device.type == "mps" else torch.float64
