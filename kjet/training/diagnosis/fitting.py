"""Residuals at the points of training and at fresh ones, and the noise of rounding in them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch

from ...typing import Tensor
from ..objective import ResidualObjective
from .sampling import root_mean_square, unscaled

__all__ = ["Fit", "float32_noise", "residuals_at"]


@dataclass(frozen=True)
class Fit:
    """Residual of a term at two sets of points.

    Attributes:
        training: Root mean square at the last points of training.
        fresh: Root mean square at points drawn anew.
        peak: Largest residual at the fresh points.
    """

    training: float
    fresh: float
    peak: float

    @property
    def ratio(self) -> float:
        """How much larger the residual is where it was not trained."""
        return self.fresh / self.training if self.training > 0 else 1.0


def residuals_at(objective: ResidualObjective, other: ResidualObjective) -> dict[str, Fit]:
    """Compare the residuals at the points of training with those at others; given points are left out."""
    found = {}
    for term, new in zip(objective.terms, other.terms, strict=True):
        if term.condition is not None and term.condition.fixed:
            continue
        old_rows, new_rows = unscaled(objective, term), unscaled(other, new)
        peak = max(float(row.abs().max()) for row in new_rows)
        found[term.name] = Fit(root_mean_square(old_rows), root_mean_square(new_rows), peak)
    return found


def float32_noise(objective: ResidualObjective) -> dict[str, float]:
    """Root mean square of what rounding to float32 changes in the residual of each term.

    The residual cannot be trained below that in float32, whatever the optimizer.

    Cost: an evaluation in float32 and one in float64.
    """
    single, double = (_converted(objective, dtype) for dtype in (torch.float32, torch.float64))
    return {
        a.name: root_mean_square(_difference(unscaled(single, a), unscaled(double, b)))
        for a, b in zip(single.terms, double.terms, strict=True)
    }


def _difference(left: list[Tensor], right: list[Tensor]) -> list[Tensor]:
    return [a.double() - b for a, b in zip(left, right, strict=True)]


def _converted(objective: ResidualObjective, dtype: torch.dtype) -> ResidualObjective:
    model = copy.deepcopy(objective.model).to(dtype)
    terms = []
    for term in objective.terms:
        # both start from the same points, rounded to float32
        points = term.points.to(torch.float32).to(dtype)
        columns = {name: column.to(dtype) for name, column in term.data().items()}
        terms.append(replace(term, points=points, columns=columns, draws=()))
    return ResidualObjective(model, terms)
