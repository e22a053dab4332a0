"""The loss as a function of one parameter, minimised over everything else."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...errors import ConfigError, unknown
from ...optim.gram import Gram
from ...pde import Unknown
from ...typing import Float, Tensor
from ..objective import ResidualObjective
from .report import _columns, dense_rows, identifiability, is_observed

if TYPE_CHECKING:
    from ..solution import Solution

__all__ = ["Profile", "profile"]

_DAMPINGS = (1e-11, 1e-9, 1e-7, 1e-5, 1e-3, 1e-1)
_FIRST = 10  # times the steps, to begin with: the training ended at other points
_NEARLY = 0.9  # of the way to a bound
_NOTHING = 1e-3  # decrease of the deviance that ends the steps


@dataclass(frozen=True)
class Profile:
    """Profile likelihood of a parameter.

    Attributes:
        name: The parameter.
        values: Values at which it was held.
        deviance: Twice the loss of log-likelihood against the best of them, at each value.
        interval: Where the deviance stays below the quantile of the chi-squared law; None at a side where it does so
            up to the last value.
        level: Level of the interval.
    """

    name: str
    values: tuple[float, ...]
    deviance: tuple[float, ...]
    interval: tuple[float | None, float | None]
    level: float


def profile(
    solution: Solution, name: str, values: Sequence[float] | None = None, *, steps: int = 5,
    noise: float | None = None, level: float = 0.95,
) -> Profile:  # fmt: skip
    """Hold a parameter at several values and minimise the loss over all others by Gauss-Newton steps.

    Shows what the curvature at the minimum alone does not: asymmetry, and directions that are flat further away. The
    solution is left as it was.

    Args:
        solution: Solution of an inverse problem.
        name: Unknown parameter.
        values: Values to hold it at; None takes nine within three standard errors and within the bounds, no further
            than three quarters of the value.
        steps: Gauss-Newton steps at each value, from the solution at its neighbour.
        noise: As for :func:`identifiability`.
        level: Level of the interval.

    Raises:
        RunError: If the solution was loaded without its problem.
        ConfigError: If there is no such parameter, or a value is out of its bounds.

    Cost: ``steps`` Jacobians and factorizations for each value.
    """
    if name not in solution.model.unknowns:
        raise ConfigError(unknown("parameter", name, solution.model.unknowns, "the problem"))
    report = identifiability(solution, noise=noise, level=level)
    if values is None:
        value, error = report.values[name], min(report.errors[name], abs(report.values[name]) / 4)
        values = _around(solution.model.unknowns[name], value, 3 * error)
    objective, theta = dense_rows(solution), solution.model.flat()
    place = _columns(objective, (name,))[0]
    held = {float(v): _free_variable(solution, name, float(v)) for v in sorted(values)}
    start = min(held, key=lambda v: abs(v - report.values[name]))
    variance = _row_variance(objective, report.noise)
    base = _minimised(objective, theta, None, _FIRST * steps, _NOTHING * variance)
    losses: dict[float, float] = {}
    for side in ([v for v in held if v >= start], [v for v in reversed(held) if v < start]):
        current = base.clone()
        for value in side:
            current[place] = held[value]
            current = _minimised(objective, current, place, steps, _NOTHING * variance)
            losses[value] = float(objective.loss(current))
    objective.model.load_flat(theta)
    best = min(losses.values())
    deviance = tuple((losses[v] - best) / variance for v in held)
    quantile = 2 * float(torch.erfinv(torch.tensor(level, dtype=torch.float64))) ** 2
    return Profile(name, tuple(held), deviance, _crossings(tuple(held), deviance, quantile), level)


def _around(rule: Unknown, value: float, reach: float) -> list[float]:
    """Nine values around one, on each side evenly as far as the reach, or nearly to the bound."""
    down = reach if rule.low is None else min(reach, _NEARLY * (value - rule.low))
    up = reach if rule.high is None else min(reach, _NEARLY * (rule.high - value))
    return [value + (down if k < 0 else up) * k / 4 for k in range(-4, 5)]


def _row_variance(objective: ResidualObjective, noise: dict[str, float]) -> float:
    scale = next(term.scale for term in objective.terms if is_observed(term))
    return (scale * max(noise.values())) ** 2


def _free_variable(solution: Solution, name: str, value: float) -> float:
    """Invert the map from the free variable to the parameter, by bisection."""
    rule = solution.model.unknowns[name]
    if (rule.low is not None and value <= rule.low) or (rule.high is not None and value >= rule.high):
        raise ConfigError(f"{name} = {value} is not between its bounds {rule.low} and {rule.high}")
    if rule.low is None and rule.high is None:
        return value / (abs(rule.initial) or 1.0)
    low, high = torch.tensor([-700.0, 700.0], dtype=torch.float64)
    rising = bool(rule.value(high) > rule.value(low))
    for _ in range(100):
        middle = (low + high) / 2
        if bool(rule.value(middle) < value) == rising:
            low = middle
        else:
            high = middle
    return float((low + high) / 2)


def _minimised(
    objective: ResidualObjective, theta: Float[Tensor, " p"], place: int | None, steps: int, least: float
) -> Float[Tensor, " p"]:
    """Take Gauss-Newton steps in all parameters but one, the best of a few dampings each, down to a least decrease."""
    loss = float(objective.loss(theta))
    for _ in range(steps):
        residual, jacobian = objective.residual_and_jacobian(theta)
        if place is not None:
            jacobian[:, place] = 0.0
        gram = Gram.build(jacobian)
        trials = [theta - gram.solve(residual, damping).vector.to(theta) for damping in _DAMPINGS]
        losses = [float(objective.loss(trial)) for trial in trials]
        best = min(range(len(trials)), key=losses.__getitem__)
        decrease = loss - losses[best]
        if decrease > 0:
            theta, loss = trials[best], losses[best]
        if not decrease > least:
            break
    return theta


def _crossings(
    values: Sequence[float], deviance: Sequence[float], quantile: float
) -> tuple[float | None, float | None]:
    """Where the deviance crosses the quantile on both sides of its minimum, by linear interpolation of its root."""
    roots = [d**0.5 for d in deviance]
    best, limit = min(range(len(roots)), key=roots.__getitem__), quantile**0.5

    def crossing(order: Sequence[int]) -> float | None:
        for i, j in itertools.pairwise(order):
            if roots[i] <= limit < roots[j]:
                return values[i] + (limit - roots[i]) / (roots[j] - roots[i]) * (values[j] - values[i])
        return None

    return crossing(range(best, -1, -1)), crossing(range(best, len(values)))
