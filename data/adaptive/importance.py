"""Importance sampling: points where the residual is large, weighed so that the loss stays what it was on average."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from ..points import Points
from .rad import RAD
from .renewal import Fresh, Score, scored

__all__ = ["Importance"]


@dataclass(frozen=True)
class Importance:
    """Points drawn with replacement from a uniform pool of N, each with the weight ``1 / (N p_i)``.

    ``p_i`` is proportional to ``|r|**power / mean(|r|**power) + offset``. With these weights the mean square at the
    points has the mean square over the pool as its expectation: the loss is unbiased and varies less, where
    :class:`RAD` minimises another one. A weight is at most ``(1 + offset) / offset``, so that an offset of zero lets
    single points of small residual weigh without bound.

    The weights are the points' quadrature weights, ``measure / n / (N p_i)``.

    Attributes:
        rule: The distribution, and the size of the pool.

    Ref: Nabian, Gladstone, Meidani, *Efficient training of physics-informed neural networks via importance sampling*,
    2021, eq. (10) to (13), there for each point nearest to a seed.

    >>> old = Points(torch.zeros(2, 1), ("x",))
    >>> fresh = lambda n: Points(torch.linspace(0, 1, n)[:, None], ("x",))
    >>> new = Importance().renew(lambda p: torch.ones(len(p)), old, fresh, generator=torch.Generator())
    >>> new.weights
    tensor([0.5000, 0.5000])
    """

    rule: RAD = field(default_factory=RAD)

    def renew(self, score: Score, old: Points, fresh: Fresh, *, generator: torch.Generator) -> Points:
        """Draw as many points as before.

        Raises:
            ConfigError: If a score is not finite or of the wrong shape.
        """
        n, pool = len(old), fresh(self.rule.pool_size(len(old)))
        probability = self.rule.probabilities(scored(score, pool))
        # By hand: torch.multinomial takes at most 2^24 entries.
        ladder = probability.cumsum(0)
        at = torch.rand(n, dtype=torch.float64, generator=generator, device=generator.device).to(ladder.device)
        chosen = torch.searchsorted(ladder, at * ladder[-1], right=True).clamp(max=len(pool) - 1)
        # In thousands of dimensions measures leave the range of floats; then the integral is a mean.
        measure = pool.measure if 0 < pool.measure < math.inf else 1.0
        weights = measure / (n * len(pool) * probability[chosen])
        drawn = pool[chosen.to(pool.x.device)]
        return Points(drawn.x, pool.coords, drawn.normals, weights.to(pool.x), measure)
