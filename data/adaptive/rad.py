"""Residual-based adaptive distribution: a fresh choice of points by the size of the residual."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..points import Points
from ..samplers import check_count
from .renewal import Fresh, Score, require_finite_scores, scored

__all__ = ["RAD"]


@dataclass(frozen=True)
class RAD:
    """Residual-based adaptive distribution.

    Points are drawn without replacement from a dense pool, with probability proportional to
    ``|r|**power / mean(|r|**power) + offset``. A large `offset` tends to uniform points, a large `power` to the peaks.

    Attributes:
        candidates: Pool points for each point kept; see :meth:`pool_size`.
        power: Exponent k of the score.
        offset: Constant c, the share of uniform sampling.

    Raises:
        ConfigError: If `candidates` is below 1, or `power` or `offset` negative or not finite.

    Ref: Wu, Zhu, Tan, Kartha, Lu, *A comprehensive study of non-adaptive and residual-based adaptive sampling for
    physics-informed neural networks*, 2023 (there called RAD).

    >>> pool = Points(torch.linspace(0, 1, 101)[:, None], ("x",))
    >>> peak = lambda points: (points.column("x") > 0.9).float()
    >>> kept = RAD(power=1.0, offset=0.0).resample(peak, pool, 5, generator=torch.Generator().manual_seed(0))
    >>> bool((kept.x > 0.9).all())
    True
    """

    candidates: int = 5
    power: float = 1.0
    offset: float = 1.0

    def __post_init__(self) -> None:
        if self.candidates < 1:
            raise ConfigError(f"RAD: candidates must be at least 1, got {self.candidates}")
        for name in ("power", "offset"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"RAD: {name} must be a finite number of at least 0, got {value}")

    def pool_size(self, n: int) -> int:
        """Return the number of pool points to draw for `n` points kept."""
        return self.candidates * check_count(n)

    def probabilities(self, score: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Return the probability of each pool point for the first draw, in float64.

        Args:
            score: Residuals or another non-negative measure of how much a point is wanted; its sign is ignored.

        Raises:
            ConfigError: If a score is not finite, or all are zero and `offset` is zero.
        """
        require_finite_scores(score)
        size = score.detach().abs().to(torch.float64)
        # dividing by the largest first keeps |r|**k in range; it cancels in the ratio
        powered = (size / size.max().clamp(min=torch.finfo(torch.float64).tiny)) ** self.power
        weight = powered / powered.mean().clamp(min=torch.finfo(torch.float64).tiny) + self.offset
        if not weight.sum() > 0:
            raise ConfigError("all scores are zero and offset is 0, so that no point can be preferred: set offset > 0")
        return weight / weight.sum()

    def renew(self, score: Score, old: Points, fresh: Fresh, *, generator: torch.Generator) -> Points:
        """Draw a pool and keep as many points of it as there were."""
        return self.resample(score, fresh(self.pool_size(len(old))), len(old), generator=generator)

    def resample(self, score: Score, points_pool: Points, n: int, *, generator: torch.Generator) -> Points:
        """Keep `n` distinct points of the pool.

        Args:
            score: Maps points to one number each. It is detached; gradients may be computed inside.
            points_pool: Candidates, usually ``domain.interior(rad.pool_size(n), ...)``.
            n: Number of points kept.
            generator: Source of the draw.

        Returns:
            The points kept, with the measure of the pool. They follow the adaptive density, hence carry no quadrature
            weights.

        Raises:
            ConfigError: If the pool is too small, a score is not finite or of the wrong shape, or fewer than `n`
                points have a positive probability.
        """
        if check_count(n) > len(points_pool):
            raise ConfigError(f"cannot keep {n} points of a pool of {len(points_pool)}: draw a larger pool")
        probability = self.probabilities(scored(score, points_pool))
        positive = int((probability > 0).sum())
        if positive < n:
            raise ConfigError(f"only {positive} pool points have a positive score, {n} are to be kept: set offset > 0")
        # the n smallest of E_i / p_i, E_i exponential, are n successive draws without replacement (Gumbel top-k)
        clock = torch.empty(len(points_pool), dtype=torch.float64, device=generator.device)
        clock = clock.exponential_(generator=generator).to(probability.device) / probability
        kept = torch.topk(clock, n, largest=False).indices.to(points_pool.x.device)
        chosen = points_pool[kept]
        return Points(chosen.x, chosen.coords, chosen.normals, None, chosen.measure)
