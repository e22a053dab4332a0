"""Gauss-Newton with a randomised low-rank approximation of its Gram matrix, sharpened by conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..typing import Tensor
from .capabilities import demand
from .damped import DampedDescent, loss_at
from .gauss_newton_cg import LeastSquaresModel, half_gradient, range_sketch
from .krylov import DenseProducts, accurate_dtype
from .objective import State, require_finite

__all__ = ["GaussNewtonNystrom"]


@dataclass(frozen=True, kw_only=True)
class GaussNewtonNystrom(DampedDescent):
    """Damped Gauss-Newton steps from a sketch of the Jacobian, where the Gram matrix is too large to be factorized.

    The Jacobian is formed, its Gram matrix is not: `rank` eigenvectors approximate it. With ``iterations=1`` that is
    the solver: the direction is that of the approximation, with its length made optimal. With more it preconditions
    conjugate gradients on the exact system, and the direction converges to that of :class:`kjet.optim.GaussNewton`.

    Attributes:
        rank: Eigenvectors of the approximation; all of them where there are fewer residuals or parameters.
        iterations: Most iterations of conjugate gradients; 1 takes the approximation alone.
        accuracy: Relative size of the gradient of the quadratic that ends the iteration.
        acceleration: Whether steps follow the bend of the residual, as in :class:`kjet.optim.GaussNewton`, by another
            solution of the system.
        seed: Seed of the sketch; each step draws its own.

    The others are those of :class:`kjet.optim.DampedDescent`.

    Raises:
        ConfigError: If a value is out of range.

    Cost: one Jacobian, ``3 r p rank`` for the sketch and ``2 r p`` an iteration, in place of ``r p min(r, p)``: worth
    it where `rank` is a tenth of the smaller side or less.

    Ref: Frangella, Tropp, Udell, *Randomized Nystrom preconditioning*, 2023; Guzman-Cordero et al., *Improving energy
    natural gradient descent through Woodbury, momentum, and randomization*, 2025, section 3.3.

    >>> GaussNewtonNystrom(rank=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: GaussNewtonNystrom: rank = 0; expected a positive integer. Use 100.
    """

    rank: int = 100
    iterations: int = 30
    accuracy: float = 1e-6
    acceleration: bool = True
    seed: int = 0

    def _check(self) -> None:
        self._require(self.rank >= 1, "rank", "a positive integer", "Use 100.")
        self._require(self.iterations >= 1, "iterations", "a positive integer", "Use 30, or 1 for the sketch alone.")
        self._require(0 < self.accuracy < 1, "accuracy", "a number in (0, 1)", "Use 1e-6.")
        self._require(self.seed >= 0, "seed", "an integer from 0", "Use 0.")

    def _start(self, theta: Tensor) -> State:
        return {"draws": 0}

    def _model(self, objective: Any, theta: Tensor, state: State) -> LeastSquaresModel:
        residual, jacobian = demand(objective, type(self).__name__).residual_and_jacobian(theta)
        require_finite("residual", residual)
        require_finite("Jacobian", jacobian)
        accurate = accurate_dtype(theta.device)
        products = DenseProducts(residual.to(accurate), jacobian.to(accurate))
        loss, evaluations = loss_at(objective, theta, state)
        r, p = jacobian.shape
        state["resample_every"] = 1 if r < p else 10
        scale = float(products.jacobian.square().sum()) / min(r, p) or 1.0
        known = range_sketch(products, min(self.rank, r, p), self.seed, state)
        return LeastSquaresModel(
            products, half_gradient(products), loss, evaluations + 1, scale, known, self.accuracy, self.iterations,
            self.acceleration,
        )  # fmt: skip
