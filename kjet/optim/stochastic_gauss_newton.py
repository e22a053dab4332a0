"""Exact Gauss-Newton on random parts of the residuals."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..typing import Tensor
from .capabilities import Subsets, demand
from .damped import DampedDescent, Proposal, bend_of
from .gram import Linearization, linearize
from .line_search import LineSearch, Outcome, backtracking
from .nystrom import generator_of
from .objective import State

__all__ = ["StochasticGaussNewton"]

_ARMIJO = 1e-4
_WORSE = 2.0


@dataclass(frozen=True, kw_only=True)
class StochasticGaussNewton(DampedDescent):
    """Gauss-Newton steps on mini-batches, solved exactly in the space of the batch's residuals.

    Each step draws points anew, or a `fraction` of the residuals, or both, and solves
    ``(J J^T + lambda I) z = r``, ``d = J^T z`` on them: cheap where the batch is small, whatever the number of
    parameters. The direction is averaged over steps, ``m <- momentum m + (1 - momentum) d`` with its bias corrected;
    a line search drops an average that does not descend. The loss reported is that of the batch.

    Attributes:
        fraction: Part of the residuals of each term that a step takes; 1 for all, and points drawn at each step.
        momentum: Memory of the average, in [0, 1).
        line_search: Whether the step length is the first of ``2^-i`` that fulfils Armijo's condition on the batch;
            else it is `learning_rate`, and the damping follows the gain ratio on the batch; it grows within a step that
            would double the loss.
        learning_rate: Step length without a line search, in (0, 1].
        acceleration: Whether steps follow the bend of the batch's residual, as in :class:`kjet.optim.GaussNewton`.
        seed: Seed of the parts.

    The others are those of :class:`kjet.optim.DampedDescent`; the least damping is larger than that of methods that see
    all residuals, since exact solutions for one batch disturb the others.

    Raises:
        ConfigError: If a value is out of range.

    Cost: with b residuals in the batch one Jacobian of ``b p`` numbers, ``b p min(b, p)`` for its Gram matrix, and
    ``min(b, p)^3 / 3``.

    Ref: Korbit, Adeoye, Bemporad, Zanon, *Exact Gauss-Newton optimization for training deep neural networks*, 2024,
    algorithm 1.

    >>> StochasticGaussNewton(fraction=0.0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: StochasticGaussNewton: fraction = 0.0; expected a number in (0, 1]. Use 1, or 0.1.
    """

    damping: float = 1e-4
    damping_floor: float = 1e-8
    fraction: float = 1.0
    momentum: float = 0.0
    line_search: bool = True
    learning_rate: float = 1.0
    acceleration: bool = True
    seed: int = 0

    def _check(self) -> None:
        self._require(0 < self.fraction <= 1, "fraction", "a number in (0, 1]", "Use 1, or 0.1.")
        self._require(0 <= self.momentum < 1, "momentum", "a number in [0, 1)", "Use 0, or 0.9.")
        self._require(0 < self.learning_rate <= 1, "learning_rate", "a number in (0, 1]", "Use 1.")
        self._require(self.seed >= 0, "seed", "an integer from 0", "Use 0.")

    def _start(self, theta: Tensor) -> State:
        state: State = {"draws": 0}
        return state | self._no_momentum(theta) if self.momentum > 0 else state

    def _no_momentum(self, theta: Tensor) -> State:
        return {"momentum": torch.zeros_like(theta), "momentum_steps": 0}

    def resample_every(self, state: State) -> int:
        """Draw points anew at each step."""
        return 1

    def _objective(self, objective: Any, state: State) -> Any:
        demand(objective, type(self).__name__)
        if self.fraction == 1:
            return objective
        state.pop("loss", None)  # that of another part
        state["draws"] = int(state["draws"]) + 1
        parts = demand(objective, type(self).__name__, Subsets)
        return parts.subset(self.fraction, generator_of(self.seed, int(state["draws"])))

    def _model(self, objective: Any, theta: Tensor, state: State) -> _Batch:
        return _Batch(self, theta, linearize(objective, theta, state, "auto"))

    def _search(self, phi: Callable[[float], float], loss: float, proposal: Proposal) -> LineSearch:
        if self.line_search:
            return backtracking(phi, loss, proposal.slope, _ARMIJO, self.halvings)
        value = phi(self.learning_rate)
        if value < _WORSE * loss:
            return LineSearch(self.learning_rate, value, math.nan, None, 1, Outcome.DECREASE)
        outcome = Outcome.NO_DECREASE if math.isfinite(value) else Outcome.NOT_FINITE
        return LineSearch(0.0, loss, math.nan, None, 1, outcome)

    def _factor(self, found: LineSearch, loss: float, proposal: Proposal) -> float:
        if self.line_search:
            return super()._factor(found, loss, proposal)
        ratio = (loss - found.value) / proposal.decrease
        return 1 / 3 if ratio > 0.75 else 1.0 if ratio > 0.25 else 3.0


@dataclass(frozen=True)
class _Batch:
    """The residuals of a batch, linearized, and what is remembered of earlier batches."""

    method: StochasticGaussNewton
    theta: Tensor
    linear: Linearization

    @property
    def loss(self) -> float:
        return self.linear.loss

    @property
    def evaluations(self) -> int:
        return self.linear.evaluations

    @property
    def gradient_norm(self) -> float:
        return 2.0 * float(self.linear.gram.gradient(self.linear.residual).norm())

    def solve(self, state: State, damping: float) -> Proposal:
        gram, residual, mu = self.linear.gram, self.linear.residual, self.method.momentum
        factor = gram.factor(damping)
        solved = factor.solve(residual)

        def curve(ahead: Tensor, h: float, d: Tensor = solved.vector) -> Tensor:
            return -factor.solve(bend_of(ahead, residual, gram.apply(d), h)).vector

        curved = curve if self.method.acceleration else None
        gradient, info = gram.gradient(residual), {"residuals": float(residual.numel())}
        plain = Proposal(
            solved.vector, solved.decrease, solved.damping, -2.0 * float(gradient @ solved.vector), info, curve=curved
        )
        old = state.get("momentum")
        if not isinstance(old, Tensor):
            return plain
        k = int(state["momentum_steps"]) + 1
        average = mu * old.to(solved.vector) + (1.0 - mu) * solved.vector
        kept: State = {"momentum": average.to(self.theta.dtype), "momentum_steps": k}
        d = average / (1.0 - mu**k)
        slope = -2.0 * float(gradient @ d)
        if self.method.line_search and not slope < 0:
            anew: State = {"momentum": (1.0 - mu) * solved.vector.to(self.theta.dtype), "momentum_steps": 1}
            return replace(plain, kept=anew)
        forget = self.method._no_momentum(self.theta) if k > 1 else {}
        bent = (lambda ahead, h: curve(ahead, h, d)) if self.method.acceleration else None
        return Proposal(d, solved.decrease, solved.damping, slope, info, kept, forget, bent)
