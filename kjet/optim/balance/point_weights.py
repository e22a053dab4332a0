"""Weights of single residuals that rise where the network is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..objective import State, require, require_finite, tensor_of

__all__ = ["SelfAdaptive"]


@dataclass(frozen=True)
class SelfAdaptive:
    """A mask ``m(l_i) = l_i^q`` of the squared residuals, whose l rise by gradient ascent on the masked loss.

    The loss ``sum_i m(l_i) r_i^2`` is descended in the parameters of the network and ascended in l:
    ``l_i <- l_i + rate m'(l_i) r_i^2 / mean_j r_j^2``. As that cannot fall, a limit keeps single residuals, such as
    those at a jump, from taking over. The mean is divided by, so that the rate has no unit and the ascent does not end
    as the residual falls; with ``relative=False`` it is not, as in the reference.

    Weights belong to points: start anew where points are drawn anew.

    Attributes:
        rate: Length of the ascent's step.
        power: The exponent q of the mask.
        limit: Largest l.
        relative: Whether squares are divided by their mean.

    Raises:
        ConfigError: If a value is out of range.

    Cost: O(r) for each step.

    Ref: McClenny, Braga-Neto, *Self-adaptive physics-informed neural networks*, 2023, eq. (9) to (14).

    >>> rule = SelfAdaptive(rate=0.1, power=1.0)
    >>> residual = torch.tensor([1.0, 3.0])
    >>> weights, state = rule.step(residual, rule.init(residual))
    >>> weights
    tensor([1.0200, 1.1800])
    """

    rate: float = 0.01
    power: float = 2.0
    limit: float = 100.0
    relative: bool = True

    def __post_init__(self) -> None:
        owner = "SelfAdaptive"
        require(self.rate > 0, owner, "rate", self.rate, "a positive number", "Use 0.01.")
        require(self.power >= 1, owner, "power", self.power, "a number from 1", "Use 2.")
        require(self.limit >= 1, owner, "limit", self.limit, "a number from 1", "Use 100.")

    def init(self, residual: Float[Tensor, " r"]) -> State:
        """Return the state before the first step, with weights of one for so many residuals."""
        return {"levels": torch.ones_like(residual.detach())}

    def weights(self, state: State) -> Float[Tensor, " r"]:
        """Return the present factors of the squared residuals."""
        return tensor_of(state, "levels") ** self.power

    def step(self, residual: Float[Tensor, " r"], state: State) -> tuple[Float[Tensor, " r"], State]:
        """Take a step of ascent; return the new factors and state.

        Args:
            residual: Unreduced, of any number of terms in order.
            state: Of as many residuals.

        Raises:
            ConfigError: If there are residuals of other points.
            DivergenceError: If they are not finite.
        """
        levels = tensor_of(state, "levels")
        if residual.shape != levels.shape:
            raise ConfigError(
                f"SelfAdaptive has weights of {levels.numel()} residuals; got {tuple(residual.shape)}. Weights belong "
                "to points: call init where their number changes, or points are drawn anew"
            )
        require_finite("residual", residual)
        squares = residual.detach().square()
        if self.relative:
            squares = squares / torch.where(squares.any(), squares.mean(), 1.0)
        slope = self.power * levels ** (self.power - 1.0)
        new = {**state, "levels": (levels + self.rate * slope * squares).clamp(max=self.limit)}
        return self.weights(new), new
