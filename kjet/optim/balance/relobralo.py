"""ReLoBRaLo: weights by the relative progress of the losses, with random looks back to the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..objective import State, require, tensor_of
from ._weights import averaged, ratio, require_decay, start
from .protocol import Balanced, Evidence, losses_of, require_several

__all__ = ["ReLoBRaLo"]


@dataclass(frozen=True)
class ReLoBRaLo:
    """Relative loss balancing with random lookback.

    With ``b(t, s)_i = k softmax_i(L_i(t) / (T L_i(s)))`` the weights are
    ``w(t) = a (rho w(t-1) + (1 - rho) b(t, 0)) + (1 - a) b(t, t-1)``, where rho is 1 with probability `kept` and 0
    otherwise, drawn at each step. They sum to k. Terms that have fallen less get more.

    Attributes:
        decay: Share a of the past.
        temperature: T; the lower, the more the slowest term gets.
        kept: Probability that the past is the last weights and not the start.
        needs: ``losses``, of the terms without weights.

    Raises:
        ConfigError: If a value is out of range.

    Cost: O(k): losses are known in any case.

    Ref: Bischof, Kraus, *Multi-objective loss balancing for physics-informed deep learning*, 2025, eq. (11).

    >>> rule = ReLoBRaLo(decay=0.5, temperature=1.0, kept=1.0)
    >>> first = rule.step(Evidence(losses=torch.tensor([1.0, 1.0])), rule.init(2, torch.zeros(3)))
    >>> first.weights, rule.step(Evidence(losses=torch.tensor([1.0, 0.5])), first.state).weights
    (tensor([1., 1.]), tensor([1.1225, 0.8775]))
    """

    decay: float = 0.999
    temperature: float = 0.1
    kept: float = 0.999
    needs: ClassVar[tuple[str, ...]] = ("losses",)

    def __post_init__(self) -> None:
        require_decay("ReLoBRaLo", self.decay)
        hot, kept, owner = self.temperature, self.kept, "ReLoBRaLo"
        require(hot > 0, owner, "temperature", hot, "a positive number", "Use 0.1.")
        require(0 <= kept <= 1, owner, "kept", kept, "a number in [0, 1]", "Use 0.999.")

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two terms.
        """
        require_several("ReLoBRaLo", k)
        return start(k, theta)

    def wanted(self, state: State) -> tuple[int, ...] | None:
        """All terms."""
        return None

    def step(self, evidence: Evidence, state: State, generator: torch.Generator | None = None) -> Balanced:
        """Weigh the terms; the first step gives ones.

        Raises:
            ConfigError: If losses are missing or negative, or the generator is missing.
            DivergenceError: If losses are not finite.
        """
        losses = losses_of(evidence, "ReLoBRaLo", int(state["terms"]))
        if int(state["steps"]) == 0:
            weights, new = averaged(state, tensor_of(state, "weights"), 0.0, first=losses.clone(), last=losses)
            return Balanced(new, weights)
        recent = self._progress(losses, tensor_of(state, "last"))
        past = state
        if not self._keeps(generator):
            past = {**state, "weights": self._progress(losses, tensor_of(state, "first"))}
        weights, new = averaged(past, recent, self.decay, last=losses)
        return Balanced(new, weights)

    def _progress(self, losses: Tensor, before: Tensor) -> Tensor:
        return len(losses) * torch.softmax(ratio(losses, before) / self.temperature, 0)

    def _keeps(self, generator: torch.Generator | None) -> bool:
        if self.kept in (0.0, 1.0):
            return self.kept == 1.0
        if generator is None:
            raise ConfigError("ReLoBRaLo looks back at random and needs a generator; pass one, or set kept=1.0")
        return float(torch.rand((), generator=generator, device=generator.device)) < self.kept
