"""Adam with exponential decay: the baseline, and a start for the curvature methods."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..typing import Float, Tensor
from .objective import Objective, State, Status, Step, require, require_finite, tensor_of

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam:
    """Adam on flat parameters: ``theta - rate m / (sqrt(v) + eps)`` with bias-corrected moments.

    The rate is ``learning_rate decay_rate^(k / decay_steps)`` at step `k`. The loss can rise, and `Step.loss` is that
    at the parameters given, as a step takes one evaluation only.

    Attributes:
        learning_rate: Rate of the first step.
        betas: Decay of the first and second moment.
        eps: Added to the root of the second moment.
        decay_steps: Steps in which the rate falls by `decay_rate`.
        decay_rate: Factor, 1 for a constant rate.

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

    def __post_init__(self) -> None:
        rate, betas = self.learning_rate, self.betas
        require(rate > 0, "Adam", "learning_rate", rate, "a positive number", "Start from 1e-3.")
        valid = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
        require(valid, "Adam", "betas", betas, "two numbers in [0, 1)", "Use (0.9, 0.999).")
        require(self.eps > 0, "Adam", "eps", self.eps, "a positive number", "Use 1e-8.")
        require(self.decay_steps >= 1, "Adam", "decay_steps", self.decay_steps, "a positive integer", "Use 2000.")
        decay = self.decay_rate
        require(0 < decay <= 1, "Adam", "decay_rate", decay, "a number in (0, 1]", "Use 0.9, or 1 for none.")

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step."""
        return {"steps": 0, "first": torch.zeros_like(theta), "second": torch.zeros_like(theta)}

    def resample_every(self, state: State) -> int:
        """Draw points anew every 100 steps."""
        return 100

    def refresh(self, state: State) -> State:
        """Keep the moments; nothing is cached."""
        return dict(state)

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Take one step along the rescaled gradient.

        Raises:
            DivergenceError: If loss or gradient at `theta` are not finite.
        """
        loss, gradient = objective.value_and_gradient(theta)
        require_finite("loss", loss)
        require_finite("gradient", gradient)
        first, second, k = tensor_of(state, "first"), tensor_of(state, "second"), int(state["steps"]) + 1
        beta1, beta2 = self.betas
        first.lerp_(gradient, 1.0 - beta1)
        second.mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        rate = self.learning_rate * self.decay_rate ** ((k - 1) / self.decay_steps)
        root = second.sqrt().div_((1.0 - beta2**k) ** 0.5).add_(self.eps)
        new = torch.addcdiv(theta, first, root, value=-rate / (1.0 - beta1**k))
        info = {"learning_rate": rate, "gradient_norm": float(gradient.norm())}
        return Step(new, float(loss), state | {"steps": k}, Status.OK, 1, info)
