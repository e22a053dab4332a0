"""Gauss-Newton without a matrix: conjugate gradients on products with the Jacobian and its transpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ..typing import Float, Tensor
from .capabilities import MatrixFree, Products, demand
from .damped import DampedDescent, Proposal, bend_of, loss_at
from .krylov import accurate_dtype, forcing_term, least_squares
from .nystrom import Nystrom, generator_of, sketch
from .objective import State, require_finite, tensor_of

__all__ = ["GaussNewtonCG", "LeastSquaresModel", "range_sketch"]

_PROBES = 8
_RESCALE = 10  # steps from one estimate of the mean eigenvalue to the next


@dataclass(frozen=True, kw_only=True)
class GaussNewtonCG(DampedDescent):
    """Damped Gauss-Newton steps whose systems are solved by conjugate gradients; the Jacobian is never formed.

    For networks and point sets whose Jacobian does not fit into memory. The direction minimizes
    ``|r - J d|^2 + lambda |d|^2`` as far as it pays: the iteration ends when the gradient of this quadratic has fallen
    by the forcing term of Eisenstat and Walker, or after `max_iterations`. Any iterate descends. Where the Jacobian
    does fit, :class:`kjet.optim.GaussNewton` is faster: to it a Jacobian costs as much as some ten iterations here.

    ``lambda`` is `damping` times the mean eigenvalue of the Gram matrix, estimated by products with random signs. With
    `rank` the iteration is preconditioned by a Nystrom approximation from as many products, renewed every
    `sketch_every` steps.

    Attributes:
        forcing: Relative size of the gradient at which the iteration ends, at the first step; later steps may be more
            accurate.
        max_iterations: Most iterations for one direction.
        rank: Eigenvectors of the preconditioner; 0 for none.
        sketch_every: Steps that the preconditioner is kept for.
        acceleration: Whether steps follow the bend of the residual, as in :class:`kjet.optim.GaussNewton`, by another
            solution of the system.
        seed: Seed of the random vectors.

    The others are those of :class:`kjet.optim.DampedDescent`.

    Raises:
        ConfigError: If a value is out of range.

    Cost: two products an iteration, each of some two to three gradients; for each sketch ``3 rank`` products, and
    ``p rank`` numbers that are kept.

    Ref: Martens, *Deep learning via Hessian-free optimization*, 2010; Eisenstat and Walker, *Choosing the forcing terms
    in an inexact Newton method*, 1996; Frangella, Tropp, Udell, *Randomized Nystrom preconditioning*, 2023.

    >>> GaussNewtonCG(forcing=2.0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: GaussNewtonCG: forcing = 2.0; expected a number in (0, 1). Use 0.1.
    """

    forcing: float = 0.1
    max_iterations: int = 200
    rank: int = 0
    sketch_every: int = 10
    acceleration: bool = True
    seed: int = 0

    def _check(self) -> None:
        self._require(0 < self.forcing < 1, "forcing", "a number in (0, 1)", "Use 0.1.")
        self._require(self.max_iterations >= 1, "max_iterations", "a positive integer", "Use 200.")
        self._require(self.rank >= 0, "rank", "an integer from 0", "Use 0 for no preconditioner, or 50.")
        self._require(self.sketch_every >= 1, "sketch_every", "a positive integer", "Use 10.")
        self._require(self.seed >= 0, "seed", "an integer from 0", "Use 0.")

    def _start(self, theta: Tensor) -> State:
        return {"draws": 0}

    def _model(self, objective: Any, theta: Tensor, state: State) -> LeastSquaresModel:
        products = demand(objective, type(self).__name__, MatrixFree).products(theta)
        gradient = half_gradient(products)
        loss, evaluations = loss_at(objective, theta, state)
        r, p = products.residual.numel(), theta.numel()
        state["resample_every"] = 1 if r < p else 10
        norm = float(gradient.norm())
        before, last = (float(state[k]) if k in state else None for k in ("gradient_before", "forcing"))
        state |= {"forcing": forcing_term(norm, before, last, self.forcing), "gradient_before": norm}
        extra = self._rescaled(products, p, state)
        extra += self._sketched(products, p, state)
        known = Nystrom(tensor_of(state, "basis"), tensor_of(state, "eigenvalues")) if "basis" in state else None
        return LeastSquaresModel(
            products, gradient, loss, evaluations + 1, float(state["scale"]), known, float(state["forcing"]),
            self.max_iterations, self.acceleration, extra,
        )  # fmt: skip

    def _rescaled(self, products: Products, p: int, state: State) -> int:
        """Estimate the mean eigenvalue of the Gram matrix from time to time; return the products that it took."""
        if "scale" in state and int(state["steps"]) % _RESCALE:
            return 0
        signs = _random(products, _PROBES, self.seed, state).sign()
        # E |J^T z|^2 = |J|_F^2 for random signs z
        square = float(products.vjp(signs).double().square().sum()) / _PROBES
        state["scale"] = square / min(p, products.residual.numel()) or 1.0
        return _PROBES

    def _sketched(self, products: Products, p: int, state: State) -> int:
        if self.rank == 0 or ("basis" in state and int(state["steps"]) % self.sketch_every):
            return 0
        known = range_sketch(products, min(self.rank, p, products.residual.numel()), self.seed, state)
        state |= {"basis": known.basis, "eigenvalues": known.eigenvalues}
        return 3 * known.basis.shape[1]


def half_gradient(products: Products) -> Float[Tensor, " p"]:
    """Return ``J^T r`` in the type of the iterations.

    Raises:
        DivergenceError: If the residual or the gradient is not finite.
    """
    require_finite("residual", products.residual)
    gradient = products.vjp(products.residual)
    require_finite("gradient", gradient)
    return gradient.to(accurate_dtype(gradient.device))


def range_sketch(products: Products, rank: int, seed: int, state: State) -> Nystrom:
    """Approximate ``J^T J`` on the range of ``J^T`` times random vectors; counts the draw in the state.

    Such vectors lean towards the large eigenvalues, as after one step of a power iteration, and do not depend on how
    the parameters are ordered.
    """
    test = products.vjp(_random(products, rank, seed, state))

    def apply(rows: Tensor) -> Tensor:
        return products.vjp(products.jvp(rows.to(test.dtype)))

    return sketch(apply, test.to(accurate_dtype(test.device)))


def _random(products: Products, count: int, seed: int, state: State) -> Float[Tensor, "s r"]:
    state["draws"] = int(state["draws"]) + 1
    residual = products.residual
    rows = torch.randn(count, residual.numel(), generator=generator_of(seed, int(state["draws"])), dtype=torch.float64)
    return rows.to(residual.device, residual.dtype)


@dataclass
class LeastSquaresModel:
    """``|r - J d|^2`` by products, solved by conjugate gradients.

    Attributes:
        products: Linearized residual.
        gradient: ``J^T r``.
        loss: ``|r|^2``.
        evaluations: Calls of the objective that it took.
        scale: Unit of the damping.
        known: Approximation of ``J^T J`` to precondition with.
        accuracy: Relative size of the gradient that ends the iteration.
        max_iterations: Most iterations.
        curved: Whether paths follow the bend of the residual.
        used: Products so far.
    """

    products: Products
    gradient: Float[Tensor, " p"]
    loss: float
    evaluations: int
    scale: float
    known: Nystrom | None
    accuracy: float
    max_iterations: int
    curved: bool = True
    used: int = field(default=0)

    @property
    def gradient_norm(self) -> float:
        """Norm of the gradient of the loss."""
        return 2.0 * float(self.gradient.norm())

    def solve(self, state: State, damping: float) -> Proposal:
        """Minimize ``|r - J d|^2 + lambda |d|^2``."""
        shift = damping * self.scale
        precondition = None if self.known is None else self.known.inverse(shift)
        found = least_squares(self.products, self.gradient, shift, precondition, self.accuracy, self.max_iterations)
        self.used += 2 * found.iterations
        # gain = |r|^2 - |r - J d|^2 - lambda |d|^2
        decrease = found.gain + shift * float(found.x @ found.x)
        info = {
            "iterations": float(found.iterations), "relative_residual": found.relative, "lambda": shift,
            "products": float(self.used), "predicted_decrease": decrease,
        }  # fmt: skip
        slope = -2.0 * float(self.gradient @ found.x)
        if not self.curved:
            return Proposal(found.x, decrease, damping, slope, info)

        def curve(ahead: Tensor, h: float) -> Tensor:
            given = self.products.residual
            bend = bend_of(ahead, given, self.products.jvp(found.x.to(given.dtype)).to(found.x), h)
            gradient = self.products.vjp(bend.to(given.dtype)).to(bend)
            return -least_squares(
                self.products, gradient, shift, precondition, self.accuracy, self.max_iterations, bend
            ).x

        return Proposal(found.x, decrease, damping, slope, info, curve=curve)
