"""Adam with a falling rate: the baseline, and the method for losses that are drawn anew at each step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.optim.adam import adam

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor
from .objective import Objective, State, Status, Step, is_stochastic, require, require_finite, tensor_of

__all__ = ["Adam"]

_SCHEDULES = ("exponential", "linear", "constant")


@dataclass(frozen=True)
class Adam:
    """Adam on flat parameters: ``theta - rate m / (sqrt(v) + eps)`` with bias-corrected moments.

    The rate at step k, counted from 0, is ``learning_rate`` times

    - ``decay_rate^(k / decay_steps)``: exponential;
    - ``1 - k / total_steps``: linear, zero from the last step on;
    - 1: constant.

    The loss can rise, and `Step.loss` is that at the parameters given, as a step takes one evaluation only.

    Attributes:
        learning_rate: Rate of the first step.
        betas: Decay of the first and second moment.
        eps: Added to the root of the second moment.
        decay_steps: Steps in which an exponential rate falls by `decay_rate`.
        decay_rate: Factor, 1 for a constant rate.
        schedule: ``"exponential"``, ``"linear"`` or ``"constant"``.
        total_steps: Steps in which a linear rate falls to zero; None takes those of the run, which must be limited by
            steps then. A resumed run with another limit goes on with another rate.

    Raises:
        ConfigError: If a value is out of range.

    Ref: Kingma and Ba, *Adam: a method for stochastic optimization*, 2015, algorithm 1.

    >>> Adam(learning_rate=0.0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: Adam: learning_rate = 0.0; expected a positive number. Start from 1e-3.
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    decay_steps: int = 2000
    decay_rate: float = 0.9
    schedule: str = "exponential"
    total_steps: int | None = None

    def __post_init__(self) -> None:
        rate, betas = self.learning_rate, self.betas
        require(rate > 0, "Adam", "learning_rate", rate, "a positive number", "Start from 1e-3.")
        valid = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
        require(valid, "Adam", "betas", betas, "two numbers in [0, 1)", "Use (0.9, 0.999).")
        require(self.eps > 0, "Adam", "eps", self.eps, "a positive number", "Use 1e-8.")
        require(self.decay_steps >= 1, "Adam", "decay_steps", self.decay_steps, "a positive integer", "Use 2000.")
        decay, total = self.decay_rate, self.total_steps
        require(0 < decay <= 1, "Adam", "decay_rate", decay, "a number in (0, 1]", "Use 0.9, or 1 for none.")
        require(total is None or total >= 1, "Adam", "total_steps", total, "a positive integer", "Use 10000.")
        if self.schedule not in _SCHEDULES:
            raise ConfigError(unknown("schedule", self.schedule, _SCHEDULES, "Adam"))

    def for_steps(self, steps: int | None) -> Adam:
        """Return the method for a run of so many steps, unless it has been given its own number.

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
                "Adam: a linear schedule needs the number of steps; limit the run by trainer.max_steps, give "
                "total_steps, or take the exponential schedule"
            )
        zeros = torch.zeros_like(theta), torch.zeros_like(theta)
        return {"steps": 0, "first": zeros[0], "second": zeros[1], "stochastic": False}

    def resample_every(self, state: State) -> int:
        """Draw anew every 100 steps; at every step where directions are random, so that their errors average out."""
        return 1 if state.get("stochastic") else 100

    def refresh(self, state: State) -> State:
        """Keep the moments; nothing is cached."""
        return dict(state)

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Take one step along the rescaled gradient.

        Raises:
            DivergenceError: If loss or gradient at `theta` are not finite.
        """
        loss, gradient = objective.value_and_gradient(theta)
        size = gradient.norm()
        if not bool(torch.isfinite(loss) & torch.isfinite(size)):
            require_finite("loss", loss)
            require_finite("gradient", gradient)
        first, second, k = tensor_of(state, "first"), tensor_of(state, "second"), int(state["steps"])
        rate, new = self.rate(k), theta.clone()
        self._update(new, gradient, first, second, k, rate)
        info = {"learning_rate": rate, "gradient_norm": float(size)}
        state = state | {"steps": k + 1, "stochastic": is_stochastic(objective)}
        return Step(new, float(loss), state, Status.OK, 1, info)

    def _update(self, theta: Tensor, gradient: Tensor, first: Tensor, second: Tensor, k: int, rate: float) -> None:
        """Update parameters and moments in place: one kernel, as memory traffic is all that it costs."""
        count = torch.full((), float(k), device=theta.device)
        adam(
            [theta], [gradient], [first], [second], [], [count], fused=True, amsgrad=False, beta1=self.betas[0],
            beta2=self.betas[1], lr=rate, weight_decay=0.0, eps=self.eps, maximize=False,
        )  # fmt: skip
