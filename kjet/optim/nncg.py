"""Newton's method by Nystrom-preconditioned conjugate gradients: a finisher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..typing import Float, Tensor
from .capabilities import HessianProducts, TwiceDifferentiable, demand
from .damped import DampedDescent, Proposal, loss_at
from .krylov import accurate_dtype, conjugate_gradients
from .line_search import LineSearch, backtracking
from .nystrom import Nystrom, generator_of, sketch
from .objective import State, require_finite, tensor_of

__all__ = ["NysNewtonCG"]


@dataclass(frozen=True, kw_only=True)
class NysNewtonCG(DampedDescent):
    """Damped Newton steps on the full Hessian: to go on where Adam or L-BFGS have come to rest.

    ``(H + mu I) d = g`` is solved by conjugate gradients with a Nystrom approximation of ``H`` as preconditioner, and
    ``theta - t d`` taken with the first ``t = 2^-i`` that fulfils Armijo's condition. Directions of negative curvature
    end the iteration with what it has, which descends. Unlike Gauss-Newton it knows the curvature of the residuals
    themselves, which matters where the loss stays large.

    ``mu`` is `damping` times the sum of the eigenvalues known, over the number of parameters.

    Attributes:
        rank: Eigenvectors of the preconditioner.
        sketch_every: Steps that the preconditioner is kept for.
        max_iterations: Most iterations for one direction.
        accuracy: Relative size of the residual that ends the iteration.
        armijo: Part of the decrease that the slope promises, which a step must bring.
        seed: Seed of the test vectors.

    The others are those of :class:`kjet.optim.DampedDescent`.

    Raises:
        ConfigError: If a value is out of range.

    Cost: one product with the Hessian an iteration, each of some three to four gradients; `rank` products for each
    sketch, and ``p rank`` numbers that are kept.

    Ref: Rathore, Lei, Frangella, Lu, Udell, *Challenges in training PINNs: a loss landscape perspective*, 2024,
    algorithm 4.

    >>> NysNewtonCG(armijo=0.7)
    Traceback (most recent call last):
    kjet.errors.ConfigError: NysNewtonCG: armijo = 0.7; expected a number in (0, 1/2). Use 1e-4.
    """

    damping: float = 1e-4
    rank: int = 60
    sketch_every: int = 20
    max_iterations: int = 200
    accuracy: float = 1e-6
    armijo: float = 1e-4
    seed: int = 0

    def _check(self) -> None:
        self._require(self.rank >= 1, "rank", "a positive integer", "Use 60.")
        self._require(self.sketch_every >= 1, "sketch_every", "a positive integer", "Use 20.")
        self._require(self.max_iterations >= 1, "max_iterations", "a positive integer", "Use 200.")
        self._require(0 < self.accuracy < 1, "accuracy", "a number in (0, 1)", "Use 1e-6.")
        self._require(0 < self.armijo < 0.5, "armijo", "a number in (0, 1/2)", "Use 1e-4.")
        self._require(self.seed >= 0, "seed", "an integer from 0", "Use 0.")

    def _start(self, theta: Tensor) -> State:
        return {"draws": 0}

    def resample_every(self, state: State) -> int:
        """Keep points for 20 steps: each is worth many of other methods."""
        return 20

    def _search(self, phi: Callable[[float], float], loss: float, proposal: Proposal) -> LineSearch:
        return backtracking(phi, loss, proposal.slope, self.armijo, self.halvings)

    def _model(self, objective: Any, theta: Tensor, state: State) -> _Newton:
        loss, evaluations = loss_at(demand(objective, type(self).__name__, TwiceDifferentiable), theta, state)
        products = objective.hessian(theta)
        require_finite("gradient", products.gradient)
        if "basis" not in state or int(state["steps"]) % self.sketch_every == 0:
            self._sketch(products, state)
        known = Nystrom(tensor_of(state, "basis"), tensor_of(state, "eigenvalues"))
        return _Newton(self, products, known, loss, evaluations + 1)

    def _sketch(self, products: HessianProducts, state: State) -> None:
        state["draws"] = int(state["draws"]) + 1
        gradient, p = products.gradient, products.gradient.numel()
        generator = generator_of(self.seed, int(state["draws"]))
        test = torch.randn(min(self.rank, p), p, generator=generator, dtype=torch.float64).to(gradient.device)
        known = sketch(lambda rows: products.hvp(rows.to(gradient)), test.to(accurate_dtype(gradient.device)))
        state |= {"basis": known.basis, "eigenvalues": known.eigenvalues}


@dataclass(frozen=True)
class _Newton:
    """The loss to second order, solved by conjugate gradients."""

    method: NysNewtonCG
    products: HessianProducts
    known: Nystrom
    loss: float
    evaluations: int

    @property
    def gradient(self) -> Float[Tensor, " p"]:
        return self.products.gradient.to(self.known.basis)

    @property
    def gradient_norm(self) -> float:
        return float(self.gradient.norm())

    def solve(self, state: State, damping: float) -> Proposal:
        gradient, given = self.gradient, self.products.gradient.dtype
        scale = float(self.known.eigenvalues.sum()) / gradient.numel() or 1.0
        shift = damping * scale
        found = conjugate_gradients(
            lambda v: self.products.hvp(v.to(given)).to(gradient), gradient, shift, self.known.inverse(shift),
            self.method.accuracy, self.method.max_iterations,
        )  # fmt: skip
        # gain = 2 g.d - d.(H + mu) d
        decrease = 0.5 * (found.gain + shift * float(found.x @ found.x))
        info = {
            "iterations": float(found.iterations), "relative_residual": found.relative, "mu": shift,
            "negative_curvature": float(found.indefinite), "predicted_decrease": decrease,
        }  # fmt: skip
        return Proposal(found.x, decrease, damping, -float(gradient @ found.x), info)
