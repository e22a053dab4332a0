"""Weights of the equation's points, renewed as training goes on: by time, or where the residual stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch

from ..data import Domain
from ..errors import ConfigError, listed
from ..optim import State
from ..optim.balance import Causal, SelfAdaptive, slice_means, time_slices
from ..problem import Problem
from ..typing import Float, Int, Tensor
from .objective import ResidualObjective

__all__ = ["CausalWeighing", "PointWeighing", "SelfAdaptiveWeighing", "point_weighing", "slice_losses"]


class PointWeighing(Protocol):
    """A rule that weighs the points of the equation.

    Attributes:
        attached: Whether weights belong to points, so that these must stay.
    """

    attached: ClassVar[bool]

    @property
    def rule(self) -> Causal | SelfAdaptive:
        """What the weights follow."""
        ...

    def step(self, objective: ResidualObjective, state: State, steps: int) -> tuple[ResidualObjective, State]:
        """Weigh the points at the parameters that the model has.

        Args:
            objective: Residuals.
            state: From the last call; empty before the first one.
            steps: Optimizer steps since then.

        Returns:
            The objective with the new factors, and the new state.
        """
        ...


@dataclass(frozen=True)
class CausalWeighing:
    """Weights of slices of time that count only once the earlier ones, and the initial conditions, are fitted.

    Attributes:
        rule: Strictness and number of slices.
        domain: Where the time is.

    Raises:
        ConfigError: If there is no time.

    Ref: Wang, Sankaran, Perdikaris, *Respecting causality for training physics-informed neural networks*, 2024,
    algorithm 1.
    """

    rule: Causal
    domain: Domain
    attached: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.domain.time is None:
            raise ConfigError(
                f"causal weights order the points by time, and there is none among {listed(self.domain.coords)}; use "
                "balance=none or self_adaptive, or make the domain a product with Time(...)"
            )

    def step(self, objective: ResidualObjective, state: State, steps: int) -> tuple[ResidualObjective, State]:
        """Weigh the slices by the losses before them."""
        with torch.no_grad():
            starts = [sum(row.square().sum() for row in objective.rows(t)) for t in objective.terms[1:] if _starts(t)]
        slices, losses = slice_losses(objective, self.domain, self.rule.slices)
        before = [torch.as_tensor(sum(starts)).to(losses).reshape(1)] if starts else []
        known = state or self.rule.init(self.rule.slices + len(before))
        weights, new = self.rule.step(torch.cat([*before, losses]), known)
        return objective.weighed(weights[len(before) :][slices]), new


@dataclass(frozen=True)
class SelfAdaptiveWeighing:
    """Weights that rise at each point as long as the residual stays large there.

    They are divided by their mean: those of conditions stay as they are, and equations must not outweigh them.

    Attributes:
        rule: Rate, mask and limit of the ascent.
    """

    rule: SelfAdaptive
    attached: ClassVar[bool] = True

    def step(self, objective: ResidualObjective, state: State, steps: int) -> tuple[ResidualObjective, State]:
        """Take a step of ascent for each step of the optimizer."""
        sizes = _sizes(objective)
        new = state or self.rule.init(sizes)
        for _ in range(steps):
            _, new = self.rule.step(sizes, new)
        weights = self.rule.weights(new)
        return objective.weighed(weights / weights.mean()), new


def slice_losses(
    objective: ResidualObjective, domain: Domain, count: int
) -> tuple[Int[Tensor, " n"], Float[Tensor, " t"]]:
    """Return the slice of time of each of the equation's points, and the mean squared residual of each slice."""
    at = domain.coords.index(str(domain.time))
    first, last = domain.bounds[at].tolist()
    slices = time_slices(objective.terms[0].points.x[:, at], first, last, count)
    return slices, slice_means(_sizes(objective), slices, count)


def point_weighing(balance: object, problem: Problem) -> PointWeighing | None:
    """Return the rule for points that a balance stands for; None for one that weighs whole terms.

    Raises:
        ConfigError: If it orders points by time, and the problem has none.
    """
    if isinstance(balance, Causal):
        return CausalWeighing(balance, problem.domain)
    return SelfAdaptiveWeighing(balance) if isinstance(balance, SelfAdaptive) else None


def _starts(term: Any) -> bool:
    return term.condition is not None and term.condition.part == "initial"


def _sizes(objective: ResidualObjective) -> Float[Tensor, " n"]:
    """Size of the equation's residual at its points."""
    with torch.no_grad():
        return torch.stack(objective.values(objective.terms[0])).square().sum(0).sqrt()
