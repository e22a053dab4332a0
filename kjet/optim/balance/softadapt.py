"""SoftAdapt: weights by the rates at which the losses change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...typing import Float, Tensor
from ..objective import State, require, tensor_of
from ._weights import averaged, ratio, require_decay, start
from .protocol import Balanced, Evidence, losses_of, require_several

__all__ = ["SoftAdapt"]


@dataclass(frozen=True)
class SoftAdapt:
    """Weights ``k softmax_i(beta s_i)`` of the changes ``s_i = L_i(t) - L_i(t-1)``; they sum to k.

    Losses that rise, or fall more slowly, get more.

    Attributes:
        beta: Sharpness; 0 gives ones, negative values favour the losses that fall fastest.
        normalized: Whether changes are divided by the sum of their sizes, so that the unit of the loss has no say.
        loss_weighted: Whether the exponentials are multiplied by the losses, so that large ones get more.
        decay: Share of the old weights in the new ones.
        needs: ``losses``, of the terms without weights.

    Raises:
        ConfigError: If a value is out of range.

    Cost: O(k): losses are known in any case.

    Ref: Heydari, Thompson, Mehmood, *SoftAdapt: techniques for adaptive loss weighting of neural networks with
    multi-part loss functions*, 2019, algorithm 1.

    >>> rule = SoftAdapt(beta=1.0)
    >>> first = rule.step(Evidence(losses=torch.tensor([1.0, 1.0])), rule.init(2, torch.zeros(3)))
    >>> first.weights, rule.step(Evidence(losses=torch.tensor([1.0, 0.5])), first.state).weights
    (tensor([1., 1.]), tensor([1.4621, 0.5379]))
    """

    beta: float = 0.1
    normalized: bool = True
    loss_weighted: bool = False
    decay: float = 0.0
    needs: ClassVar[tuple[str, ...]] = ("losses",)

    def __post_init__(self) -> None:
        require(abs(self.beta) < float("inf"), "SoftAdapt", "beta", self.beta, "a finite number", "Use 0.1.")
        require_decay("SoftAdapt", self.decay)

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two terms.
        """
        require_several("SoftAdapt", k)
        return start(k, theta)

    def wanted(self, state: State) -> tuple[int, ...] | None:
        """All terms."""
        return None

    def step(self, evidence: Evidence, state: State, generator: torch.Generator | None = None) -> Balanced:
        """Weigh the terms; the first step gives ones.

        Raises:
            ConfigError: If losses are missing or negative.
            DivergenceError: If they are not finite.
        """
        losses = losses_of(evidence, "SoftAdapt", int(state["terms"]))
        if int(state["steps"]) == 0:
            weights, new = averaged(state, tensor_of(state, "weights"), 0.0, last=losses)
            return Balanced(new, weights)
        target = self._target(losses, losses - tensor_of(state, "last"))
        weights, new = averaged(state, target, self.decay, last=losses)
        return Balanced(new, weights)

    def _target(self, losses: Tensor, change: Tensor) -> Tensor:
        if self.normalized:
            change = change / torch.where(change.any(), change.abs().sum(), 1.0)
        share = torch.softmax(self.beta * change, 0)
        if self.loss_weighted:
            share = share * losses
        return len(losses) * ratio(share, share.sum())
