"""Whether late times were fitted before early ones, which makes what was found there worthless."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ..data import Points
from ..errors import ConfigError, RunError, listed
from ..jets import jet
from ..optim.balance import causal_weights, slice_means, time_slices
from ..problem import Problem
from ..typing import Float, Tensor
from .objective import ResidualObjective
from .timing import time_orders

if TYPE_CHECKING:
    from .solution import Solution

__all__ = ["Causality", "causality"]

_FITTED = 0.99  # least weight that counts as fitted; of the reference
_RATIO = 10.0  # early residual over late ones that is suspicious
_TINY = 1e-300


@dataclass(frozen=True)
class Causality:
    """Residuals in order of time.

    Attributes:
        edges: Times between the slices.
        losses: Mean squared residual of each slice, over the mean square of the time derivatives: one where an
            equation is not solved at all.
        weights: Causal weights ``exp(-sum of the losses before)``.
        lost: Whether some slice is not fitted, while those after it are fitted ten times better on average.
        worst: The slice of which that is most true.
    """

    edges: tuple[float, ...]
    losses: tuple[float, ...]
    weights: tuple[float, ...]
    lost: bool
    worst: int

    @property
    def least(self) -> float:
        """The last weight: near one where all slices before the last are fitted."""
        return self.weights[-1]

    def explain(self) -> str:
        """Say in one sentence what was found, and what helps."""
        start, end = self.edges[self.worst], self.edges[self.worst + 1]
        if not self.lost:
            return f"residuals keep to the order of time; the largest is from {start:.3g} to {end:.3g}"
        return (
            f"the residual from time {start:.3g} to {end:.3g} is {self.losses[self.worst]:.1e} of the time derivative "
            "squared, and far smaller later: later times were fitted to a state that was not reached. Use "
            "trainer.windows=5, balance=causal, or more points and a longer run"
        )


def causality(
    target: Solution | ResidualObjective,
    problem: Problem | None = None,
    *,
    slices: int = 16,
    points: int = 2048,
    generator: torch.Generator | None = None,
) -> Causality:
    """Look for late times that were fitted before early ones.

    A network that is trained on all times at once may satisfy the equation late, where a constant or a steady state
    does, before the initial state has arrived there. What is left then is a residual that is large at some early time
    and small after it. Residuals are compared with the time derivatives of highest order in the equation.

    Args:
        target: A solution with its problem, or residuals.
        problem: The problem, for residuals.
        slices: Equal slices of time.
        points: Uniform points at which residuals are evaluated.
        generator: Source of the points; None for the same ones each time.

    Raises:
        RunError: If a solution was loaded without its problem.
        ConfigError: If the problem has no time.

    Cost: one forward pass.

    Ref: Wang, Sankaran, Perdikaris, *Respecting causality for training physics-informed neural networks*, 2024,
    section 3.

    >>> import kjet
    >>> from kjet.problems import BurgersProblem
    >>> solution = kjet.solve(BurgersProblem().build(), optimizer="gauss_newton", max_steps=2, progress=False)
    >>> len(causality(solution, slices=8).losses)
    8
    """
    if isinstance(target, ResidualObjective):
        objective: ResidualObjective | None = target
    else:
        objective, problem = target.objective, target.problem
    if objective is None or problem is None:
        raise RunError(
            "causality needs the problem; kjet.load(path, problem=problem), or causality(objective, problem)"
        )
    domain = problem.domain
    if domain.time is None:
        raise ConfigError(f"there is no time among {listed(domain.coords)}, so that there is no order to keep")
    like = next(objective.model.parameters())
    drawn = domain.interior(
        points,
        sampler="uniform",
        generator=generator or torch.Generator().manual_seed(0),
        dtype=like.dtype,
        device=like.device,
    )
    at = domain.coords.index(domain.time)
    start, end = domain.bounds[at].tolist()
    with torch.no_grad():
        squares = torch.stack(objective.values(objective.terms[0].at(drawn))).square().sum(0)
        scale = float(_rates(objective, problem, drawn).mean())
    which = time_slices(drawn.x[:, at], start, end, slices)
    losses = slice_means(squares.sqrt(), which, slices).double() / max(scale, _TINY)
    return _judged(losses.cpu(), start, end)


def _rates(objective: ResidualObjective, problem: Problem, points: Points) -> Float[Tensor, " n"]:
    """Sum of the squares of each field's time derivative of highest order."""
    orders = time_orders(problem)
    along = torch.zeros(1, points.x.shape[1], dtype=points.x.dtype, device=points.x.device)
    along[0, problem.domain.coords.index(str(problem.domain.time))] = 1.0
    found = jet(objective.model, points.x, along, max([1, *orders.values()]))
    rates = [found[k, 0, :, i] for i, k in enumerate(orders.values()) if k]
    return torch.stack(rates or [found[1, 0, :, 0]]).square().sum(0)


def _judged(losses: Float[Tensor, " t"], start: float, end: float) -> Causality:
    weights = causal_weights(losses, 1.0)
    count = len(losses)
    # Mean of what comes after each slice, the last one left out: nothing follows it.
    later = (losses.sum() - losses.cumsum(0))[:-1] / torch.arange(count - 1, 0, -1, dtype=losses.dtype)
    notable = losses[:-1] >= losses.mean()
    ratio = torch.where(notable, losses[:-1] / later.clamp(min=_TINY), 0.0)
    unfitted = float(weights[-1]) <= _FITTED and bool((losses[:-1][notable] > 1 - _FITTED).any())
    lost = unfitted and float(ratio.max()) > _RATIO
    edges = torch.linspace(start, end, count + 1, dtype=torch.float64).tolist()
    worst = int(ratio.argmax()) if lost else int(losses.argmax())
    return Causality(tuple(edges), tuple(losses.tolist()), tuple(weights.tolist()), lost, worst)
