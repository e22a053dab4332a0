"""What the quasi-Newton methods share: the line search, its failures, and what is kept between steps."""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from ..typing import Float, Tensor
from .line_search import LineSearch, Outcome, Phi, strong_wolfe
from .objective import Objective, State, Step, require, require_finite, tensor_of
from .progress import rounding_level, stopped, track

__all__ = ["Pair", "QuasiNewton"]

_CACHED = ("loss", "gradient", "direction", "decrease")
_SHORTEST_TRIAL = 1e-2
_LEAST_CURVATURE = 1e-2


@dataclass(frozen=True)
class Pair:
    """What one accepted step tells about the curvature.

    Attributes:
        s: Change of the parameters.
        y: Change of the gradient.
        sy: ``s . y``, positive.
        step: Step length `t` along the direction ``-H g``.
        slope: ``-g . H g``, so that ``s . H^-1 s = -t^2 slope``.
        gradient: The new gradient.
    """

    s: Float[Tensor, " p"]
    y: Float[Tensor, " p"]
    sy: float
    step: float
    slope: float
    gradient: Float[Tensor, " p"]


@dataclass(frozen=True, kw_only=True)
class QuasiNewton(ABC):
    """Line-search descent along ``-H g``, with ``H`` learnt from the changes of the gradient.

    Loss and gradient at the new point come from the line search and are kept, so that most steps take one evaluation.
    Where no step along ``-H g`` lowers the loss, the gradient is tried; if that does, ``H`` starts again from the
    identity, else the step says that it stalled and ``H`` is kept.

    Attributes:
        c1: Sufficient decrease of the strong Wolfe conditions.
        c2: Curvature of the strong Wolfe conditions.
        max_evaluations: Budget of one line search.
        tolerance: Relative decrease that counts as progress.
        patience: Steps in a row without progress before the status is ``STALLED``.
    """

    c1: float = 1e-4
    c2: float = 0.9
    max_evaluations: int = 25
    tolerance: float = 1e-10
    patience: int = 10

    def __post_init__(self) -> None:
        name = type(self).__name__
        require(0 < self.c1 < 0.5, name, "c1", self.c1, "a number in (0, 1/2)", "Use 1e-4.")
        require(self.c1 < self.c2 < 1, name, "c2", self.c2, "a number in (c1, 1)", "Use 0.9.")
        budget = self.max_evaluations
        require(budget >= 1, name, "max_evaluations", budget, "a positive integer", "Use 25.")
        require(self.tolerance >= 0, name, "tolerance", self.tolerance, "a number from 0", "Use 1e-10.")
        require(self.patience >= 1, name, "patience", self.patience, "a positive integer", "Use 10.")
        self._check()

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step: no curvature is known."""
        return {"steps": 0, "slow": 0, "fresh": True, "resets": 0} | self._no_curvature(theta)

    def resample_every(self, state: State) -> int:
        """Keep points for 300 steps, as the curvature is learnt on them."""
        return 300

    def refresh(self, state: State) -> State:
        """Drop loss, gradient and direction; keep the curvature."""
        return {key: value for key, value in state.items() if key not in _CACHED} | {"slow": 0}

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Take one step; what the state holds of the curvature is updated in place.

        Raises:
            DivergenceError: If loss or gradient at `theta` are not finite.
        """
        state, evaluations = _evaluated(objective, theta, state)
        loss, gradient = float(state["loss"]), tensor_of(state, "gradient")
        if not bool(gradient.any()):
            return self._stop(theta, state, "the gradient is zero", evaluations)
        fresh = bool(state["fresh"])
        d = -gradient if fresh else _direction_of(self, state, gradient)
        slope = float(gradient @ d)
        first = _first_without_curvature(loss, slope) if fresh else _first_trial(state, slope)
        found = self._search(objective, theta, d, loss, slope, first)
        evaluations += found.evaluations
        if not _improves(found, loss) and not fresh:
            d = -gradient
            slope = float(gradient @ d)
            found = self._search(objective, theta, d, loss, slope, _first_without_curvature(loss, slope))
            evaluations += found.evaluations
            if _improves(found, loss):
                self._forget(state)
                state |= {"fresh": True, "resets": int(state["resets"]) + 1}
        if not _improves(found, loss):
            cause = f"{found.outcome.value}, not even along the gradient"
            return self._stop(theta, state, cause, evaluations, found.outcome is not Outcome.NOT_FINITE)
        return self._accept(theta, d, slope, found, state, evaluations)

    def _search(
        self, objective: Objective, theta: Tensor, d: Tensor, loss: float, slope: float, first: float
    ) -> LineSearch:
        rounding = rounding_level(theta.dtype)
        phi = _phi(objective, theta, d)
        return strong_wolfe(phi, loss, slope, first, self.c1, self.c2, self.max_evaluations, rounding)

    def _accept(
        self, theta: Tensor, d: Tensor, slope: float, found: LineSearch, state: State, evaluations: int
    ) -> Step:
        old_gradient, before, gradient = tensor_of(state, "gradient"), float(state["loss"]), found.gradient
        assert gradient is not None  # strong_wolfe returns the gradient of every trial that lowers the loss
        s, y = found.step * d, gradient - old_gradient
        # s.y without another product
        sy = found.step * (found.slope - slope)
        state |= {"loss": found.value, "gradient": gradient, "steps": int(state["steps"]) + 1}
        state["decrease"] = before - found.value
        state.pop("direction", None)
        info = {"step_length": found.step, "slope": slope, "resets": float(state["resets"])}
        # Wolfe steps have s.y >= (1 - c2) t |slope|; steps that only lower the loss need not have any curvature.
        if sy > _LEAST_CURVATURE * (1.0 - self.c2) * abs(found.step * slope):
            info |= self._update(state, d, Pair(s, y, sy, found.step, slope, gradient))
            state["fresh"] = False
        status, reason = track(state, before, found.value, theta.dtype, self.tolerance, self.patience)
        # the very point of the line search, not theta + s, which may round otherwise
        return Step(torch.add(theta, d, alpha=found.step), found.value, state, status, evaluations, info, reason)

    def _stop(self, theta: Tensor, state: State, cause: str, evaluations: int, evaluable: bool = True) -> Step:
        status, reason = stopped(theta.dtype, cause, evaluable=evaluable)
        info = {"resets": float(state["resets"])}
        return Step(theta, float(state["loss"]), state, status, evaluations, info, reason)

    @abstractmethod
    def _check(self) -> None:
        """Check the hyperparameters of the subclass."""

    @abstractmethod
    def _no_curvature(self, theta: Tensor) -> State:
        """Return the part of the state that holds curvature, holding none."""

    @abstractmethod
    def _forget(self, state: State) -> None:
        """Empty that part, in place."""

    @abstractmethod
    def _direction(self, state: State, gradient: Tensor) -> Tensor:
        """Return ``-H g``."""

    @abstractmethod
    def _update(self, state: State, direction: Tensor, pair: Pair) -> dict[str, float]:
        """Learn from an accepted step along `direction`; return numbers worth logging."""


def _evaluated(objective: Objective, theta: Tensor, state: State) -> tuple[State, int]:
    """Return a copy of the state that holds loss and gradient, and the evaluations that it took."""
    if "loss" in state:
        return state.copy(), 0
    loss, gradient = objective.value_and_gradient(theta)
    require_finite("loss", loss)
    require_finite("gradient", gradient)
    return state | {"loss": float(loss), "gradient": gradient}, 1


def _direction_of(method: QuasiNewton, state: State, gradient: Tensor) -> Tensor:
    cached = state.get("direction")
    return cached if isinstance(cached, Tensor) else method._direction(state, gradient)


def _first_without_curvature(loss: float, slope: float) -> float:
    """Go to zero loss on a quadratic along the gradient, but over a length of one at most."""
    if not slope < 0:
        return 1.0
    return max(min(2.0 * loss / -slope, 1.0 / math.sqrt(-slope)), sys.float_info.min)


def _first_trial(state: State, slope: float) -> float:
    """Expect the decrease of the last step, up to the unit step (Nocedal and Wright, (3.60)).

    Self-scaling only ever lengthens directions: a unit first trial is rejected every other time.
    """
    if "decrease" not in state or not slope < 0:
        return 1.0
    return min(1.0, max(1.01 * 2.0 * float(state["decrease"]) / -slope, _SHORTEST_TRIAL))


def _phi(objective: Objective, theta: Tensor, d: Tensor) -> Phi:
    def phi(t: float) -> tuple[float, float, Tensor]:
        value, gradient = objective.value_and_gradient(torch.add(theta, d, alpha=t))
        return float(value), float(gradient @ d), gradient

    return phi


def _improves(found: LineSearch, loss: float) -> bool:
    return found.step > 0 and found.value <= loss
