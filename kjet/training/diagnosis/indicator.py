"""An a posteriori estimate of the error: how much one Gauss-Newton step at fresh points would change the fields."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...errors import ConfigError
from ...optim.gram import Gram
from ...problem import Problem
from ...typing import Float, Tensor
from ..objective import ResidualObjective
from ..tangent import field_change
from .sampling import fresh, interior

__all__ = ["Indicator", "estimate_error"]

_DAMPINGS = (1e-13, 1e-11, 1e-9, 1e-7, 1e-5, 1e-3, 1e-1, 10.0)
_ENTRIES = 2**25  # of the Jacobian


@dataclass(frozen=True, eq=False)
class Indicator:
    """Estimated error of a solution.

    The linearised problem ``J d = r`` for the correction d of the parameters is solved at fresh points, with the
    damping that explains most of the residual at other fresh points; ``J_u d`` is the change of the fields. For linear
    equations it is the error within reach of the network; what the network cannot represent at all is not seen, so the
    estimate is a lower bound in practice, and `explained` tells how much of the residual it accounts for.

    Attributes:
        relative: Estimated relative L2 error by field.
        explained: Share of the squared residual at points held out that the correction removes.
        damping: Damping that was chosen.
        points: Points at which the change is given.
        change: Change of the fields there (n, m).
    """

    relative: dict[str, float]
    explained: float
    damping: float
    points: Float[Tensor, "n d"]
    change: Float[Tensor, "n m"]


def estimate_error(
    objective: ResidualObjective,
    problem: Problem,
    *,
    rows: int = 1500,
    test: int = 1000,
    generator: torch.Generator,
) -> Indicator:
    """Estimate the error of a solution from its residual.

    Args:
        objective: Residuals of the solution.
        problem: What was solved.
        rows: Points inside at which the residual is linearised; less where the network is large.
        test: Points at which the change of the fields is measured.
        generator: Source of the points.

    Raises:
        ConfigError: If the network has too many parameters for a Jacobian, or no correction helps at points held out.

    Cost: Jacobians of ``rows`` and half as many residuals, and eight factorizations of the smaller Gram matrix.
    """
    theta = objective.model.flat()
    p = theta.numel()
    conditions = len(objective.terms) - 1
    rows = min(rows, _ENTRIES // p)
    if rows < 50:
        raise ConfigError(f"a Jacobian of the {p} parameters at enough points is too large; the limit is {_ENTRIES}")
    edge = max(20, rows // (4 * max(conditions, 1)))
    fit = fresh(objective, problem, rows, edge, generator=generator)
    check = fresh(objective, problem, max(rows // 2, 20), max(edge // 2, 10), generator=generator)
    residual, jacobian = fit.residual_and_jacobian(theta)
    held, other = check.residual_and_jacobian(theta)
    gram = Gram.build(jacobian)
    best, vector, damping = float("inf"), torch.zeros_like(theta), 0.0
    for candidate in _DAMPINGS:
        direction = gram.solve(residual, candidate)
        left = float((held - other @ direction.vector.to(other)).square().sum())
        if left < best:
            best, vector, damping = left, direction.vector.to(theta), direction.damping
    total = float(held.square().sum())
    explained = 1 - best / total if total > 0 else 0.0
    if explained <= 0:
        raise ConfigError("no correction of the network reduces the residual at points held out; no estimate")
    x = interior(problem, test, theta, generator=generator).x
    y, change = field_change(objective.model, x, vector)
    sizes = y.norm(dim=0).clamp(min=torch.finfo(y.dtype).tiny)
    relative = dict(zip(objective.model.fields, (change.norm(dim=0) / sizes).tolist(), strict=True))
    return Indicator(relative, explained, damping, x, change)
