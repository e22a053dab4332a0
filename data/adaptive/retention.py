"""Adaptive sampling that costs no pool: points with a large residual stay, the others are drawn anew."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..points import Points
from .renewal import Fresh, Score, scored

__all__ = ["R3"]


@dataclass(frozen=True)
class R3:
    """Retain, resample, release: points whose score is above the mean stay, as many as were let go come in uniformly.

    Points gather where the residual is large over many renewals, and leave as it falls; there is nothing to set. At
    least the point of the least score goes each time.

    Cost: one evaluation of the score at the points in use.

    Ref: Daw, Bu, Wang, Perdikaris, Karpatne, *Mitigating propagation failures in physics-informed neural networks
    using retain-resample-release (R3) sampling*, 2023, algorithm 1.

    >>> old = Points(torch.tensor([[0.1], [0.2], [0.9]]), ("x",))
    >>> fresh = lambda n: Points(torch.full((n, 1), 0.5), ("x",))
    >>> R3().renew(lambda p: p.x[:, 0], old, fresh, generator=torch.Generator()).x.flatten()
    tensor([0.9000, 0.5000, 0.5000])
    """

    def renew(self, score: Score, old: Points, fresh: Fresh, *, generator: torch.Generator) -> Points:
        """Return the points that stay, followed by new ones; weights of old points are dropped.

        Raises:
            ConfigError: If a score is not finite or of the wrong shape.
        """
        size = scored(score, old)
        stay = size > size.double().mean()
        stay[size.argmin()] = False  # the mean of equal sizes may be rounded below all of them
        count = int((~stay).sum())
        new = fresh(count)
        kept = old[stay]
        normals = None if kept.normals is None or new.normals is None else torch.cat([kept.normals, new.normals])
        return Points(torch.cat([kept.x, new.x]), old.coords, normals, None, old.measure)
