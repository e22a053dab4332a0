"""Split conformal intervals: coverage that holds whatever the network is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import ConfigError, unknown
from ...typing import Float, Tensor
from .prediction import Interval, Prediction, Predictor

__all__ = ["Conformal", "conformal", "conformal_quantile"]


@dataclass(frozen=True, eq=False)
class Conformal:
    """Intervals around a prediction, calibrated on points with known values.

    Attributes:
        predictor: Solution, ensemble or Laplace approximation.
        level: Share of points that the intervals cover.
        radius: Half width by field: absolute, or in standard deviations where the predictor gives any.
        points: Number of calibration points.
    """

    predictor: Predictor
    level: float
    radius: dict[str, float]
    points: int

    def predict(self, points: Any) -> Interval:
        """Return the middle and the ends of the interval of each calibrated field."""
        mean, scale = _parts(self.predictor.predict(points))
        half = {name: radius * scale[name] for name, radius in self.radius.items()}
        middle = {name: mean[name] for name in half}
        return Interval(
            middle,
            {name: middle[name] - half[name] for name in half},
            {name: middle[name] + half[name] for name in half},
        )


def conformal(predictor: Predictor, points: Any, values: Mapping[str, Any], *, level: float = 0.9) -> Conformal:
    """Calibrate intervals on points with known values that training has not seen.

    Scores are ``|y - u(x)|``, divided by the predictor's standard deviation where it has one; the radius is the
    ``ceil((n + 1) level)``-th smallest. If calibration points and new ones are drawn alike, independently of the
    training, an interval covers the value at a new point with probability `level` at least, and ``level + 1 / (n + 1)``
    at most where scores do not repeat. At points drawn otherwise nothing is promised.

    Args:
        predictor: Solution, ensemble or Laplace approximation.
        points: As for :meth:`kjet.Solution.predict`.
        values: Reference or measured values (n,) by field; not those that the network was trained on.
        level: Coverage.

    Raises:
        ConfigError: If there are too few points for the level, or values do not fit.

    Ref: Vovk, Gammerman, Shafer, *Algorithmic learning in a random world*, 2005; Lei et al., *Distribution-free
    predictive inference for regression*, 2018.

    >>> class Zero:
    ...     def predict(self, points):
    ...         return {"u": torch.zeros(len(points))}
    >>> conformal(Zero(), torch.zeros(9, 1), {"u": torch.arange(9.0)}, level=0.9).radius
    {'u': 8.0}
    """
    if not 0 < level < 1:
        raise ConfigError(f"level must be between 0 and 1; got {level}")
    mean, scale = _parts(predictor.predict(points))
    if not values:
        raise ConfigError(f"conformal() needs known values by field, such as {next(iter(mean))}=[...]")
    radius, n = {}, 0
    for name, known in values.items():
        if name not in mean:
            raise ConfigError(unknown("field", name, mean, "the prediction"))
        y = torch.as_tensor(known).to(mean[name]).reshape(-1)
        if y.shape != mean[name].shape:
            raise ConfigError(f"{len(y)} values of {name} for {len(mean[name])} points; give one each")
        n = len(y)
        scores = (y - mean[name]).abs() / scale[name]
        radius[name] = conformal_quantile(scores, level)
    return Conformal(predictor, level, radius, n)


def conformal_quantile(scores: Float[Tensor, " n"], level: float) -> float:
    """Return the ``ceil((n + 1) level)``-th smallest score.

    Raises:
        ConfigError: If there are too few scores, or one is not finite.

    >>> conformal_quantile(torch.arange(1.0, 20.0), 0.9)
    18.0
    """
    n = len(scores)
    # rounding must not push a whole number up: 10 * 0.9 is 9
    place = max(1, math.ceil((n + 1) * level - 1e-9))
    if place > n:
        fewest = math.ceil(level / (1 - level) - 1e-9)
        raise ConfigError(f"{n} calibration points are too few for a level of {level}; at least {fewest} are needed")
    if not bool(torch.isfinite(scores).all()):
        raise ConfigError("a score is not finite: the prediction, its standard deviation or a value is wrong")
    return float(scores.sort().values[place - 1])


def _parts(found: Any) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Mean and scale of a prediction; scale one where it has no standard deviation."""
    if isinstance(found, Prediction):
        smallest = {name: torch.finfo(std.dtype).tiny for name, std in found.std.items()}
        return found.mean, {name: std.clamp(min=smallest[name]) for name, std in found.std.items()}
    return found, {name: torch.ones_like(value) for name, value in found.items()}
