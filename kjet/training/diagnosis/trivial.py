"""Solutions that are nearly constant, where constants satisfy the equation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ...jets import Derivative
from ...pde import Recorded, Values
from ...typing import Float, Tensor
from ..objective import ResidualObjective, Term
from .sampling import root_mean_square, unscaled

__all__ = ["Triviality", "triviality"]

_NEAR = 0.02  # of the violation of the conditions by the constant
_ZERO = 1e-9


@dataclass(frozen=True)
class Triviality:
    """Comparison with the constant that is nearest to the solution.

    Attributes:
        constant: Median of each field.
        share: Share of the points inside where all fields are near it.
        residual: Root mean square of the equation's residual for the constant.
        demanded: Root mean square by which the constant violates the conditions.
        achieved: Root mean square by which the solution violates them.
        error: Relative L2 error of the solution, where known.
        trivial_error: That of the best predictor without a network, where known.
    """

    constant: dict[str, float]
    share: float
    residual: float
    demanded: float
    achieved: float
    error: float | None = None
    trivial_error: float | None = None

    @property
    def warning(self) -> str | None:
        """What is wrong, in words; None if nothing is."""
        if self.trivial_error is not None and self.error is not None and self.error > 0.9 * self.trivial_error:
            return (
                f"the error {self.error:.1e} is no better than that of the best predictor without a network, "
                f"{self.trivial_error:.1e}"
            )
        values = ", ".join(f"{name} = {value:.3g}" for name, value in self.constant.items())
        solves = self.residual <= _ZERO * max(1.0, *map(abs, self.constant.values()))
        if solves and self.share > 0.8 and self.demanded > 0:
            return (
                f"{self.share:.0%} of the domain is within {_NEAR:.0%} of the constant {values}, which satisfies the "
                f"equation but not the conditions: the solution may be the trivial one"
            )
        if self.achieved > 0.5 * self.demanded > 0 and self.share > 0.5:
            return f"the network is nearly constant ({values}) and does not meet the conditions"
        return None


def triviality(
    objective: ResidualObjective, x: Float[Tensor, "n d"], error: float | None = None,
    trivial_error: float | None = None,
) -> Triviality:  # fmt: skip
    """Compare the solution with its median.

    Args:
        objective: Residuals at few points.
        x: Points inside.
        error: Relative L2 error of the solution.
        trivial_error: That of the best predictor without a network.

    Cost: one evaluation of the fields, and of the conditions.
    """
    model = objective.model
    with torch.no_grad():
        y = model(x)
        constant = y.median(dim=0).values
        given = {name: float(c) for name, c in zip(model.fields, constant, strict=True)}
        equation, conditions = objective.terms[0], objective.terms[1:]
        rows = [row for term in conditions for row in _constant_rows(objective, term, given)]
        demanded = root_mean_square(rows)
        achieved = root_mean_square([row for term in conditions for row in unscaled(objective, term)])
        near = (y - constant).abs().amax(-1) <= _NEAR * demanded if demanded else (y - constant).abs().amax(-1) < 0
        residual = root_mean_square(_constant_rows(objective, equation, given))
    return Triviality(given, float(near.double().mean()), residual, demanded, achieved, error, trivial_error)


def _constant_rows(objective: ResidualObjective, term: Term, given: dict[str, float]) -> list[Tensor]:
    """Residuals of constant fields: their derivatives vanish."""
    x = term.points.x
    values = Values(x, _constant_fields(term.recorded, given, x), objective.model.parameter_values(), term.data())
    return [term.collapse(v) - term.offset for v in term.recorded(values)]


def _constant_fields(recorded: Recorded, given: dict[str, float], x: Tensor) -> dict[Any, Tensor]:
    fields: dict[Any, Tensor] = {}
    for name, terms in recorded.leaves:
        fields[name, terms] = x.new_full((len(x),), given[name] * dict(terms).get(Derivative(), 0.0))
    return fields | {total._key: x.new_zeros(len(x)) for total in recorded.totals}
