"""What methods without a line search share: one gradient for each step, and a rate that follows a schedule."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor
from .objective import Objective, State, Status, Step, is_stochastic, require, require_finite

__all__ = ["FirstOrder"]

_SCHEDULES = ("exponential", "linear", "constant")


@dataclass(frozen=True)
class FirstOrder(ABC):
    """A method whose steps are those of a learning rate, from the gradient alone.

    The rate at step k, counted from 0, is ``learning_rate`` times

    - ``decay_rate^(k / decay_steps)``: exponential;
    - ``1 - k / total_steps``: linear, zero from the last step on;
    - 1: constant.

    The loss can rise, and `Step.loss` is that at the parameters given, as a step takes one evaluation only.

    Attributes:
        learning_rate: Rate of the first step.
        decay_steps: Steps in which an exponential rate falls by `decay_rate`.
        decay_rate: Factor, 1 for a constant rate.
        schedule: ``"exponential"``, ``"linear"`` or ``"constant"``.
        total_steps: Steps in which a linear rate falls to zero; None takes those of the run, which must be limited by
            steps then. A resumed run with another limit goes on with another rate.
    """

    learning_rate: float = 1e-3
    decay_steps: int = 2000
    decay_rate: float = 0.9
    schedule: str = "exponential"
    total_steps: int | None = None

    def __post_init__(self) -> None:
        self._require(0 < self.learning_rate < math.inf, "learning_rate", "a positive number", "Start from 1e-3.")
        self._require(self.decay_steps >= 1, "decay_steps", "a positive integer", "Use 2000.")
        self._require(0 < self.decay_rate <= 1, "decay_rate", "a number in (0, 1]", "Use 0.9, or 1 for none.")
        total = self.total_steps
        self._require(total is None or total >= 1, "total_steps", "a positive integer", "Use 10000.")
        if self.schedule not in _SCHEDULES:
            raise ConfigError(unknown("schedule", self.schedule, _SCHEDULES, type(self).__name__))

    def _require(self, condition: bool, name: str, expected: str, advice: str) -> None:
        require(condition, type(self).__name__, name, getattr(self, name), expected, advice)

    def for_steps(self, steps: int | None) -> Self:
        """Return the method for a run of so many steps, unless it has been given its own number.

        >>> from kjet.optim import Adam
        >>> Adam(schedule="linear").for_steps(100).rate(75)
        0.00025
        """
        return self if steps is None or self.total_steps is not None else replace(self, total_steps=steps)

    def rate(self, k: int) -> float:
        """Learning rate of step `k`, counted from 0."""
        if self.schedule == "linear" and self.total_steps is not None:
            return self.learning_rate * max(1.0 - k / self.total_steps, 0.0)
        if self.schedule == "exponential":
            return self.learning_rate * self.decay_rate ** (k / self.decay_steps)
        return self.learning_rate

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If a linear schedule does not know its last step.
        """
        if self.schedule == "linear" and self.total_steps is None:
            raise ConfigError(
                f"{type(self).__name__}: a linear schedule needs the number of steps; limit the run by "
                "trainer.max_steps, give total_steps, or take the exponential schedule"
            )
        return {"steps": 0, "stochastic": False, **self._start(theta)}

    def resample_every(self, state: State) -> int:
        """Draw anew every 100 steps; at every step where directions are random, so that their errors average out."""
        return 1 if state.get("stochastic") else 100

    def refresh(self, state: State) -> State:
        """Keep what has been averaged; nothing is cached."""
        return dict(state)

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Take one step of the scheduled rate.

        Raises:
            DivergenceError: If loss or gradient at `theta` are not finite.
        """
        loss, gradient = objective.value_and_gradient(theta)
        size = gradient.norm()
        if not bool(torch.isfinite(loss) & torch.isfinite(size)):
            require_finite("loss", loss)
            require_finite("gradient", gradient)
        k, new = int(state["steps"]), theta.clone()
        rate = self.rate(k)
        moments = self._update(new, gradient, state, rate, objective)
        info = {"learning_rate": rate, "gradient_norm": float(size)}
        state = state | moments | {"steps": k + 1, "stochastic": is_stochastic(objective)}
        return Step(new, float(loss), state, Status.OK, 1, info)

    @abstractmethod
    def _start(self, theta: Tensor) -> State:
        """Return the method's own state before the first step."""

    @abstractmethod
    def _update(self, theta: Tensor, gradient: Tensor, state: State, rate: float, objective: Objective) -> State:
        """Change the parameters in place; return what has changed of the state, tensors of which may be reused."""
