"""Residual vectors of a problem, their gradient and their Jacobian."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from ..constraints import Condition
from ..data import Points
from ..errors import DivergenceError
from ..pde import Recorded, Values
from ..typing import Float, Tensor
from .jacobian import Taps
from .model import Model

__all__ = ["ResidualObjective", "Term"]


@dataclass(frozen=True, eq=False)
class Term:
    """One group of residuals: the equation inside, or a condition on its part.

    Attributes:
        name: Name in logs.
        recorded: Expressions that vanish.
        points: Where they are evaluated.
        condition: How values at points become residuals; None for one residual at each point.
        weight: Factor of the mean square in the loss.
    """

    name: str
    recorded: Recorded
    points: Points
    condition: Condition | None = None
    weight: float = 1.0

    @property
    def rows(self) -> int:
        """Residuals for each expression."""
        return len(self.points) if self.condition is None else self.condition.rows(self.points)

    @property
    def scale(self) -> float:
        """Factor of the residuals, so that the loss is their squared norm."""
        return math.sqrt(self.weight / self.rows)

    def collapse(self, values: Tensor) -> Tensor:
        """Turn values at points into residuals, without the offset."""
        return values if self.condition is None else self.condition.collapse(values, self.points)

    @property
    def offset(self) -> float:
        """What is subtracted from the residuals."""
        return 0.0 if self.condition is None else self.condition.offset

    def data(self) -> dict[str, Tensor]:
        """Columns that came with the points."""
        return {} if self.condition is None else self.condition.data(self.points)


class ResidualObjective:
    """``loss(theta) = sum over terms of weight * mean(residual^2) = |r(theta)|^2``.

    Residuals stay vectors: a curvature method needs them and their Jacobian one by one. The Jacobian takes one backward
    pass for each expression, whatever the number of points.

    Args:
        model: Network and unknown parameters; its trainable parameters become views of the vector evaluated last.
        terms: Groups of residuals.
    """

    def __init__(self, model: Model, terms: Sequence[Term]) -> None:
        self.model, self.terms = model, tuple(terms)

    def with_points(self, points: Mapping[str, Points]) -> ResidualObjective:
        """Return the objective with other points for some terms."""
        return ResidualObjective(
            self.model, [replace(t, points=points[t.name]) if t.name in points else t for t in self.terms]
        )

    @property
    def size(self) -> int:
        """Number of residuals."""
        return sum(term.rows * len(term.recorded.names) for term in self.terms)

    def values(self, term: Term, free: Mapping[str, Tensor] | None = None) -> list[Float[Tensor, " n"]]:
        """Evaluate the expressions of a term at its points, with a graph if one is being recorded."""
        y = term.recorded.plan(self.model, term.points.x)
        fields = term.recorded.field_values(y)
        return term.recorded(Values(term.points.x, fields, self.model.parameter_values(free), term.data()))

    def blocks(self) -> dict[str, list[Float[Tensor, " r"]]]:
        """Residuals by term and expression, scaled for the loss."""
        return {t.name: [t.scale * (t.collapse(v) - t.offset) for v in self.values(t)] for t in self.terms}

    def residual(self, theta: Float[Tensor, " p"]) -> Float[Tensor, " r"]:
        """Return all scaled residuals, terms in order."""
        self.model.load_flat(theta)
        with torch.no_grad():
            return torch.cat([row for rows in self.blocks().values() for row in rows])

    def loss(self, theta: Float[Tensor, " p"]) -> Float[Tensor, ""]:
        """Return the loss."""
        return self.residual(theta).square().sum()

    def parts(self, theta: Float[Tensor, " p"]) -> dict[str, float]:
        """Return the share of each term in the loss."""
        self.model.load_flat(theta)
        with torch.no_grad():
            return {name: float(sum(row.square().sum() for row in rows)) for name, rows in self.blocks().items()}

    def value_and_gradient(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
        """Return the loss and its gradient."""
        self.model.load_flat(theta)
        loss = torch.stack([row.square().sum() for rows in self.blocks().values() for row in rows]).sum()
        parameters = self.model.trainable()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        flat = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)]
        return loss.detach(), torch.cat([g.reshape(-1) for g in flat])

    def residual_and_jacobian(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "r p"]]:
        """Return the residuals and their derivatives with respect to every parameter."""
        self.model.load_flat(theta)
        jacobian = theta.new_empty(self.size, theta.numel())
        rows, start = [], 0
        for term in self.terms:
            count = term.rows
            with Taps(self.model, len(term.points)) as taps:
                values = self.values(term, taps.free)
            for i, value in enumerate(values):
                target = jacobian[start : start + count]
                room = target if count == len(term.points) else None
                block = term.collapse(taps.jacobian(value, room, last=i == len(values) - 1))
                if block is not target:
                    target.copy_(block)
                target.mul_(term.scale)
                rows.append(term.scale * (term.collapse(value.detach()) - term.offset))
                start += count
        return torch.cat(rows), jacobian

    def scores(self, points: Points, limit: int = 20000) -> Float[Tensor, " n"]:
        """Size of the equation's residual at other points: what adaptive sampling draws by.

        Raises:
            DivergenceError: If the residual is not finite somewhere.
        """
        term = self.terms[0]
        parts = []
        with torch.no_grad():
            for start in range(0, len(points), limit):
                piece = replace(term, points=points[slice(start, start + limit)])
                parts.append(torch.stack(self.values(piece)).square().sum(0).sqrt())
        found = torch.cat(parts)
        bad = int((~torch.isfinite(found)).sum())
        if bad:
            raise DivergenceError(
                f"the equation's residual is not finite at {bad} of {len(found)} new points; look for a division by "
                "zero or a logarithm in the equation, and resume from the last checkpoint with a smaller step"
            )
        return found
