"""What damped descent methods share: a direction, a damping that follows success, and a line search."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..typing import Float, Tensor
from .line_search import LineSearch, Outcome, grid_search
from .objective import Objective, State, Step, require, require_finite
from .progress import rounding_level, stopped, track

__all__ = ["MAX_DAMPING", "Curve", "DampedDescent", "LocalModel", "Proposal", "bend_of", "loss_at"]

MAX_DAMPING = 1e6
_FAILURE_FACTOR = 30.0
_DIFFERENCE = 0.1  # of the full step, to measure how the residual bends along it

Curve = Callable[[Tensor, float], Tensor]
"""Residual at ``theta - h d``, and ``h``, to the second-order term of the path."""


@dataclass(frozen=True)
class Proposal:
    """A direction to try.

    Attributes:
        vector: ``d``; the next parameters are ``theta - t d``.
        decrease: What the model promises for the full step; infinity where it promises nothing.
        damping: Damping that was used.
        slope: Derivative of the loss along ``-d``, negative.
        info: Numbers worth logging.
        kept: Entries of the state if the direction is taken.
        dropped: Entries of the state if it is not.
        curve: Makes the second-order term ``a`` of the path ``theta - t d + t^2 a``; None for a straight one.
    """

    vector: Float[Tensor, " p"]
    decrease: float
    damping: float
    slope: float
    info: dict[str, float] = field(default_factory=dict)
    kept: State = field(default_factory=dict)
    dropped: State = field(default_factory=dict)
    curve: Curve | None = None


class LocalModel(Protocol):
    """A quadratic model of the loss at the start of a step."""

    @property
    def loss(self) -> float:
        """Loss there."""
        ...

    @property
    def gradient_norm(self) -> float:
        """Norm of its gradient."""
        ...

    @property
    def evaluations(self) -> int:
        """Calls of the objective that it took."""
        ...

    def solve(self, state: State, damping: float) -> Proposal:
        """Minimize the model, damped."""
        ...


@dataclass(frozen=True, kw_only=True)
class DampedDescent(ABC):
    """Steps along ``-d``, with ``d`` the minimum of a damped quadratic model, that never raise the loss.

    The damping is relative to the curvature and follows success as in :class:`kjet.optim.GaussNewton`: divided by 5
    after a full step, by 2 after ``t >= 1/4``, times 3 after a shorter one, times 30 (then 900, ...) within a step
    where none lowers the loss.

    Attributes:
        damping: Relative damping of the first step.
        adaptive: Whether the damping follows success.
        damping_floor: Least damping.
        halvings: Shortest step tried is ``2^-halvings``.
        tolerance: Relative decrease that counts as progress.
        patience: Steps in a row without progress before the status is ``STALLED``.
    """

    damping: float = 1e-5
    adaptive: bool = True
    damping_floor: float = 1e-12
    halvings: int = 20
    tolerance: float = 1e-10
    patience: int = 10

    def __post_init__(self) -> None:
        self._require(0 < self.damping < math.inf, "damping", "a positive number", "Start from 1e-5.")
        floor = 0 < self.damping_floor <= self.damping
        self._require(floor, "damping_floor", "a number in (0, damping]", "Use 1e-12.")
        self._require(0 <= self.halvings <= 50, "halvings", "an integer from 0 to 50", "Use 20.")
        self._require(self.tolerance >= 0, "tolerance", "a number from 0", "Use 1e-10.")
        self._require(self.patience >= 1, "patience", "a positive integer", "Use 10.")
        self._check()

    def _require(self, condition: bool, name: str, expected: str, advice: str) -> None:
        require(condition, type(self).__name__, name, getattr(self, name), expected, advice)

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step."""
        return {"damping": self.damping, "steps": 0, "slow": 0} | self._start(theta)

    def resample_every(self, state: State) -> int:
        """Draw points anew each step if there are fewer residuals than parameters, which overfit them at once."""
        return int(state.get("resample_every", 10))

    def refresh(self, state: State) -> State:
        """Drop the cached loss; keep damping and curvature."""
        return {key: value for key, value in state.items() if key != "loss"} | {"slow": 0}

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Take one damped step.

        Raises:
            ConfigError: If the objective cannot give what the method needs.
            DivergenceError: If the residual, the gradient or the loss at `theta` is not finite.
        """
        state = state.copy()
        objective = self._objective(objective, state)
        model = self._model(objective, theta, state)
        return _Descent(self, objective, theta, model, state).run()

    def _objective(self, objective: Any, state: State) -> Any:
        """Return what this step descends; the whole objective by default."""
        return objective

    def _search(self, phi: Callable[[float], float], loss: float, proposal: Proposal) -> LineSearch:
        """Find a step length; the best of a logarithmic grid by default."""
        return grid_search(phi, loss, self.halvings)

    def _factor(self, found: LineSearch, loss: float, proposal: Proposal) -> float:
        """Return the factor of the damping after a step that was taken."""
        return 1 / 5 if found.step >= 1 else 1 / 2 if found.step >= 0.25 else 3.0

    @abstractmethod
    def _check(self) -> None:
        """Check the hyperparameters of the subclass."""

    @abstractmethod
    def _start(self, theta: Tensor) -> State:
        """Return the method's own state before the first step."""

    @abstractmethod
    def _model(self, objective: Any, theta: Tensor, state: State) -> LocalModel:
        """Make the model; may add to the state what it learns."""


def loss_at(objective: Objective, theta: Tensor, state: State) -> tuple[float, int]:
    """Return the loss that the state holds, or evaluate it; and the evaluations that it took.

    Raises:
        DivergenceError: If it is not finite.
    """
    if "loss" in state:
        return float(state["loss"]), 0
    loss = objective.loss(theta)
    require_finite("loss", loss)
    return float(loss), 1


def bend_of(ahead: Tensor, residual: Float[Tensor, " r"], applied: Float[Tensor, " r"], h: float) -> Tensor:
    """Return half the second derivative of the residual along ``-d``, from its value at ``theta - h d`` and ``J d``."""
    return (ahead.to(applied) - residual.to(applied) + h * applied) / h**2


@dataclass
class _Descent:
    """One step: directions of growing damping until one lowers the loss."""

    method: DampedDescent
    objective: Objective
    theta: Tensor
    model: LocalModel
    state: State
    attempts: int = 0
    tried: dict[str, float] = field(default_factory=dict)

    def run(self) -> Step:
        given, evaluations, raises = self.state.copy(), self.model.evaluations, 0
        while True:
            self.attempts += 1
            proposal = self.model.solve(self.state, float(self.state["damping"]))
            self.state["damping"], self.tried = proposal.damping, proposal.info
            d = proposal.vector.to(self.theta.dtype)
            if self.attempts == 1 and proposal.decrease <= rounding_level(self.theta.dtype) * self.model.loss:
                return self._stop(given, "the quadratic model predicts no decrease above rounding", evaluations)
            bend = self._bend(d, proposal)
            found = self.method._search(self._loss_along(d, bend), self.model.loss, proposal)
            evaluations += found.evaluations + (proposal.curve is not None)
            if found.step > 0:
                return self._accept(d, bend, found, proposal, evaluations)
            if proposal.dropped:
                self.state |= proposal.dropped
                given |= proposal.dropped
                continue
            raises += 1
            if not self.method.adaptive or float(self.state["damping"]) >= MAX_DAMPING:
                cause = f"no step of 1 to 2^-{self.method.halvings} lowers the loss, at any damping tried"
                return self._stop(given, cause, evaluations, found.outcome is not Outcome.NOT_FINITE)
            self.state["damping"] = min(float(self.state["damping"]) * _FAILURE_FACTOR**raises, MAX_DAMPING)

    def _bend(self, d: Tensor, proposal: Proposal) -> Tensor | None:
        """Second-order term of the path; None where there is none or the residual cannot be evaluated along it."""
        if proposal.curve is None:
            return None
        ahead = self.objective.residual(self.theta - _DIFFERENCE * d)
        if not bool(ahead.isfinite().all()):
            return None
        return proposal.curve(ahead, _DIFFERENCE).to(self.theta.dtype)

    def _along(self, d: Tensor, bend: Tensor | None, t: float) -> Tensor:
        straight = self.theta - t * d
        return straight if bend is None else straight + t**2 * bend

    def _loss_along(self, d: Tensor, bend: Tensor | None) -> Callable[[float], float]:
        return lambda t: float(self.objective.loss(self._along(d, bend, t)))

    def _info(self) -> dict[str, float]:
        return self.tried | {
            "damping": float(self.state["damping"]),
            "gradient_norm": self.model.gradient_norm,
            "attempts": float(self.attempts),
        }

    def _accept(self, d: Tensor, bend: Tensor | None, found: LineSearch, proposal: Proposal, evaluations: int) -> Step:
        method, info = self.method, self._info() | {"step_length": found.step}
        if method.adaptive:
            damping = info["damping"] * method._factor(found, self.model.loss, proposal)
            self.state["damping"] = min(max(damping, method.damping_floor), MAX_DAMPING)
        self.state |= proposal.kept | {"loss": found.value, "steps": int(self.state["steps"]) + 1}
        status, reason = track(
            self.state, self.model.loss, found.value, self.theta.dtype, method.tolerance, method.patience
        )
        theta = self._along(d, bend, found.step)
        return Step(theta, found.value, self.state, status, evaluations, info, reason)

    def _stop(self, given: State, cause: str, evaluations: int, evaluable: bool = True) -> Step:
        status, reason = stopped(self.theta.dtype, cause, evaluable=evaluable)
        # The points may be drawn anew: go on from the damping that was given, not from the largest one tried.
        state = given | {"loss": self.model.loss}
        return Step(self.theta, self.model.loss, state, status, evaluations, self._info(), reason)
