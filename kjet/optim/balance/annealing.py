"""Weights that even out the gradients of the terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..objective import State, require
from ._weights import averaged, ratio, require_decay, start
from .protocol import Balanced, Evidence, gradients_of, require_several

__all__ = ["GradNorm", "LearningRateAnnealing"]


@dataclass(frozen=True)
class LearningRateAnnealing:
    """Weights ``max |g_r| / mean |g_i|`` over the parameters, averaged over steps; that of the reference stays one.

    Attributes:
        decay: Share of the old weights in the new ones.
        reference: The term r that the others are measured by, the equation.
        every: Steps for which weights are kept.
        needs: ``gradients``, of the terms without weights.

    Raises:
        ConfigError: If a value is out of range.

    Cost: k gradients and O(k p); weights may well be kept for ten steps or more.

    Ref: Wang, Teng, Perdikaris, *Understanding and mitigating gradient flow pathologies in physics-informed neural
    networks*, 2021, algorithm 1.

    >>> rule = LearningRateAnnealing(decay=0.0)
    >>> gradients = torch.tensor([[4.0, 0.0], [0.0, 1.0]])
    >>> rule.step(Evidence(gradients=gradients), rule.init(2, torch.zeros(2))).weights
    tensor([1., 8.])
    """

    decay: float = 0.9
    reference: int = 0
    every: int = 10
    needs: ClassVar[tuple[str, ...]] = ("gradients",)

    def __post_init__(self) -> None:
        require_decay("LearningRateAnnealing", self.decay)
        require(self.every >= 1, "LearningRateAnnealing", "every", self.every, "a positive integer", "Use 10.")
        place, owner = self.reference, "LearningRateAnnealing"
        require(place >= 0, owner, "reference", place, "the place of a term", "Use 0, the equation.")

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two terms, or none is at the place of the reference.
        """
        require_several("LearningRateAnnealing", k)
        if self.reference >= k:
            raise ConfigError(f"LearningRateAnnealing: reference = {self.reference}, but there are {k} terms; use 0")
        return start(k, theta)

    def wanted(self, state: State) -> tuple[int, ...] | None:
        """All terms."""
        return None

    def step(self, evidence: Evidence, state: State, generator: torch.Generator | None = None) -> Balanced:
        """Weigh the terms.

        Raises:
            ConfigError: If gradients are missing.
            DivergenceError: If they are not finite.
        """
        sizes = gradients_of(evidence, "LearningRateAnnealing", int(state["terms"])).abs()
        target = ratio(sizes[self.reference].max(), sizes.mean(1))
        target[self.reference] = 1.0
        weights, new = averaged(state, target, self.decay)
        return Balanced(new, weights)


@dataclass(frozen=True)
class GradNorm:
    """Weights ``sum_j |g_j| / |g_i|`` in Euclidean norm, averaged over steps: weighted gradients of equal length.

    Attributes:
        decay: Share of the old weights in the new ones.
        every: Steps for which weights are kept.
        needs: ``gradients``, of the terms without weights.

    Raises:
        ConfigError: If a value is out of range.

    Cost: k gradients and O(k p); weights may well be kept for a thousand steps.

    Ref: Wang, Sankaran, Wang, Perdikaris, *An expert's guide to training physics-informed neural networks*, 2023,
    algorithm 1.

    >>> rule = GradNorm(decay=0.0)
    >>> gradients = torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    >>> rule.step(Evidence(gradients=gradients), rule.init(2, torch.zeros(2))).weights
    tensor([1.3333, 4.0000])
    """

    decay: float = 0.9
    every: int = 100
    needs: ClassVar[tuple[str, ...]] = ("gradients",)

    def __post_init__(self) -> None:
        require_decay("GradNorm", self.decay)
        require(self.every >= 1, "GradNorm", "every", self.every, "a positive integer", "Use 100.")

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two terms.
        """
        require_several("GradNorm", k)
        return start(k, theta)

    def wanted(self, state: State) -> tuple[int, ...] | None:
        """All terms."""
        return None

    def step(self, evidence: Evidence, state: State, generator: torch.Generator | None = None) -> Balanced:
        """Weigh the terms.

        Raises:
            ConfigError: If gradients are missing.
            DivergenceError: If they are not finite.
        """
        norms = gradients_of(evidence, "GradNorm", int(state["terms"])).norm(dim=1)
        weights, new = averaged(state, ratio(norms.sum(), norms), self.decay)
        return Balanced(new, weights)
