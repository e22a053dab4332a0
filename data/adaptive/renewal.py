"""Rules by which points are renewed as training goes on.

A rule is given the points in use, and a way to draw fresh ones that are uniform in the region. What is left of the old
points, and how many there are, is the rule's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..points import Points

__all__ = ["Fresh", "Renewal", "Score", "Uniformly", "require_finite_scores", "scored"]

Score = Callable[[Points], Float[Tensor, " n"]]
"""Points to one number each: how much a point is wanted."""

Fresh = Callable[[int], Points]
"""Draws so many points, uniformly."""


class Renewal(Protocol):
    """A rule by which points are renewed as training goes on."""

    def renew(self, score: Score, old: Points, fresh: Fresh, *, generator: torch.Generator) -> Points:
        """Return the next points.

        Args:
            score: Residuals, or another measure of how much a point is wanted; its sign is ignored.
            old: Points in use.
            fresh: Draws uniform points.
            generator: Source of the draw.
        """
        ...


@dataclass(frozen=True)
class Uniformly:
    """As many points as before, without looking at the residual.

    >>> old = Points(torch.zeros(3, 1), ("x",))
    >>> new = Uniformly().renew(lambda p: p.x[:, 0], old, lambda n: Points(torch.ones(n, 1), ("x",)),
    ...                         generator=torch.Generator())
    >>> len(new), float(new.x.min())
    (3, 1.0)
    """

    def renew(self, score: Score, old: Points, fresh: Fresh, *, generator: torch.Generator) -> Points:
        """Draw all points anew."""
        return fresh(len(old))


def scored(score: Score, points: Points) -> Float[Tensor, " n"]:
    """Evaluate a score without its graph, as sizes.

    Raises:
        ConfigError: If it is of the wrong shape or not finite.
    """
    value = score(points)
    if value.shape != (len(points),):
        raise ConfigError(f"score returned shape {tuple(value.shape)}, expected ({len(points)},)")
    require_finite_scores(value)
    return value.detach().abs()


def require_finite_scores(value: Float[Tensor, " n"]) -> None:
    """Refuse scores to draw by that are infinite or no numbers.

    Raises:
        ConfigError: If there are any.
    """
    bad = int((~torch.isfinite(value)).sum())
    if bad:
        raise ConfigError(
            f"{bad} of {value.numel()} scores are not finite: the residual has diverged or cannot be evaluated at "
            "some points; check them before resampling"
        )
