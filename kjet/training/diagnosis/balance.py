"""Which part of an equation dominates, and what is left when they cancel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ...pde.terms import split_terms
from ...problem import Problem
from ..objective import ResidualObjective
from .sampling import root_mean_square, unscaled

__all__ = ["TermBalance", "term_balance"]


@dataclass(frozen=True)
class TermBalance:
    """Sizes of the additive parts of one residual on the solution.

    Attributes:
        parts: Root mean square of each part at the points, in the units of the residual.
        residual: Root mean square of their sum.
    """

    parts: dict[str, float]
    residual: float

    @property
    def largest(self) -> float:
        """Size of the dominating part."""
        return max(self.parts.values(), default=0.0)

    @property
    def relative(self) -> float:
        """Residual in units of the dominating part: the digits to which the parts cancel."""
        return self.residual / self.largest if self.largest > 0 else 0.0


def term_balance(objective: ResidualObjective, problem: Problem) -> dict[str, TermBalance]:
    """Evaluate each additive part of the equation's residuals: ``u_t``, ``u u_x`` and ``nu u_xx`` one by one.

    Args:
        objective: Residuals at few points.
        problem: What was solved.

    Cost: one Taylor pass for each residual.
    """
    term = replace(objective.terms[0], draws=(), others=None)
    recorded = problem.record()["equation"]
    with torch.no_grad():
        whole = unscaled(objective, replace(term, recorded=recorded))
        found = {}
        for (name, parts), value in zip(split_terms(recorded).items(), whole, strict=True):
            values = objective.values(replace(term, recorded=parts))
            sizes = {text: root_mean_square([v]) for text, v in zip(parts.names, values, strict=True)}
            sizes = {text: size for text, size in sizes.items() if size > 0}  # a source that is zero says nothing
            found[name] = TermBalance(sizes, root_mean_square([value]))
    return found
