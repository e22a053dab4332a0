"""Adam with a falling rate: the baseline, and the method for more parameters than any curvature can be kept of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.optim.adam import adam

from ..typing import Tensor
from .first_order import FirstOrder
from .objective import Objective, State, tensor_of

__all__ = ["Adam"]


@dataclass(frozen=True)
class Adam(FirstOrder):
    """Adam on flat parameters: ``theta - rate m / (sqrt(v) + eps)`` with bias-corrected moments.

    Attributes:
        learning_rate: Rate of the first step; see :class:`FirstOrder` for it and its schedule.
        betas: Decay of the first and second moment.
        eps: Added to the root of the second moment.

    Raises:
        ConfigError: If a value is out of range.

    Cost: one gradient and O(p) for each step; two vectors of p numbers are kept.

    Ref: Kingma and Ba, *Adam: a method for stochastic optimization*, 2015, algorithm 1.

    >>> Adam(learning_rate=0.0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: Adam: learning_rate = 0.0; expected a positive number. Start from 1e-3.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = (
            isinstance(self.betas, tuple | list) and len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        )
        self._require(valid, "betas", "two numbers in [0, 1)", "Use (0.9, 0.999).")
        self._require(self.eps > 0, "eps", "a positive number", "Use 1e-8.")

    def _start(self, theta: Tensor) -> State:
        return {"first": torch.zeros_like(theta), "second": torch.zeros_like(theta)}

    def _update(self, theta: Tensor, gradient: Tensor, state: State, rate: float, objective: Objective) -> State:
        """One kernel, as memory traffic is all that it costs."""
        first, second = tensor_of(state, "first"), tensor_of(state, "second")
        count = torch.full((), float(state["steps"]), device=theta.device)
        adam(
            [theta], [gradient], [first], [second], [], [count], fused=True, amsgrad=False, beta1=self.betas[0],
            beta2=self.betas[1], lr=rate, weight_decay=0.0, eps=self.eps, maximize=False,
        )  # fmt: skip
        return {}
