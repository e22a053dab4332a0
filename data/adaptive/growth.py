"""Adaptive refinement: old points stay, and new ones come where the residual is large."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from ...errors import ConfigError
from ..points import Points
from .rad import RAD
from .renewal import Fresh, Score

__all__ = ["RARD"]


@dataclass(frozen=True)
class RARD:
    """Residual-based adaptive refinement with distribution: each renewal adds points, up to a maximum.

    New points are drawn from a pool without replacement, with probability proportional to
    ``|r|**power / mean(|r|**power) + offset``, see :class:`RAD`. None is ever dropped: the cost of a step grows with
    the points, and at the maximum they stay what they are.

    Attributes:
        added: Points for each renewal.
        maximum: Points beyond which none is added.
        rule: The distribution of new points; 2 and 0 are power and offset of the reference, whose new points stand
            beside uniform ones.

    Raises:
        ConfigError: If `added` or `maximum` is below 1.

    Ref: Wu, Zhu, Tan, Kartha, Lu, *A comprehensive study of non-adaptive and residual-based adaptive sampling for
    physics-informed neural networks*, 2023, algorithm 3.

    >>> old = Points(torch.zeros(4, 1), ("x",))
    >>> fresh = lambda n: Points(torch.linspace(0, 1, n)[:, None], ("x",))
    >>> new = RARD(added=3, maximum=6).renew(lambda p: p.x[:, 0], old, fresh, generator=torch.Generator())
    >>> len(new), bool((new.x[:4] == 0).all())
    (6, True)
    """

    added: int
    maximum: int
    rule: RAD = field(default_factory=lambda: RAD(power=2.0, offset=0.0))

    def __post_init__(self) -> None:
        for name in ("added", "maximum"):
            if getattr(self, name) < 1:
                raise ConfigError(f"RARD: {name} must be at least 1, got {getattr(self, name)}")

    def renew(self, score: Score, old: Points, fresh: Fresh, *, generator: torch.Generator) -> Points:
        """Return the old points, followed by new ones while there is room.

        Raises:
            ConfigError: If the old points carry quadrature weights, or a score is not finite or of the wrong shape.
        """
        if old.weights is not None:
            raise ConfigError(
                "RARD adds points to equal ones, and these carry weights; start from points without weights"
            )
        count = min(self.added, self.maximum - len(old))
        if count < 1:
            return old
        new = self.rule.resample(score, fresh(self.rule.pool_size(count)), count, generator=generator)
        normals = None if old.normals is None or new.normals is None else torch.cat([old.normals, new.normals])
        return Points(torch.cat([old.x, new.x]), old.coords, normals, None, old.measure)
