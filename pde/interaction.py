"""Exact solutions on the unit ball of very many dimensions, after which high-dimensional problems are named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor
from .ball_solution import BallSolution
from .profiles import LocalSum, LowRank, Profile

__all__ = ["INTERACTIONS", "ball_solution"]

_RANK = 4  # directions along which the solution of low rank varies


def ball_solution(dim: int, interaction: str = "two_body", *, seed: int = 0, power: int = 1) -> BallSolution:
    """Draw ``u(x) = (1 - |x|^2)^p g(x)`` on the unit ball.

    Interactions, with coefficients ``c_i`` that are standard normal numbers in float64 of a generator of this seed:

    - ``two_body``: ``g = sum_i c_i sin(x_i + cos(x_{i+1}) + x_{i+1} cos(x_i))``.
    - ``three_body``: ``g = sum_i c_i exp(x_i x_{i+1} x_{i+2})``.
    - ``zero_mean``: the first one in ``y = sqrt(2 d) x``, whose entries are of size one, with the mean of the ``c_i``
      subtracted and ``sum_i c_i^2 = 1``.
    - ``low_rank``: ``g = sum_j c_j sin(2 y_j y_{j+1})``, j modulo 4, in ``y = sqrt(d) Q x`` with four orthonormal rows
      Q, from the QR decomposition of normal numbers that are drawn first, and ``sum_j c_j^2 = 1``.

    In many dimensions each ``x_i`` is about ``1 / sqrt(d)``, and the first two come close to a constant: the predictor
    ``a (1 - |x|^2)`` has relative errors of 1e-2 and below, and less with a linear term (see
    :func:`best_trivial_predictor`). The other two are orthogonal to both, or nearly so.

    Args:
        dim: Number of coordinates d.
        interaction: One of ``INTERACTIONS``.
        seed: Seed of the coefficients; not the one of training.
        power: p.

    Raises:
        ConfigError: If the interaction is unknown, or there are too few dimensions for it.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor derivative estimator: efficient amortization for arbitrary
    differential operators*, 2024, for the first two.

    >>> x = torch.zeros(1, 50, dtype=torch.float64)
    >>> u, laplacian = ball_solution(50, "three_body").laplacians(x)
    >>> (laplacian / u).round(decimals=9)  # at the center all exponentials are 1 and have zero Laplacian
    tensor([-100.], dtype=torch.float64)
    """
    if interaction not in INTERACTIONS:
        raise ConfigError(unknown("interaction", interaction, INTERACTIONS))
    make, least = INTERACTIONS[interaction]
    if dim < least:
        raise ConfigError(f'the interaction "{interaction}" needs at least {least} dimensions; got {dim}')
    return BallSolution(make(dim, torch.Generator().manual_seed(seed)), power)


def _normal(*shape: int, generator: torch.Generator) -> Float[Tensor, "..."]:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _pair(a: Any, b: Any) -> Any:
    return torch.sin(a + torch.cos(b) + b * torch.cos(a))


def _triple(a: Any, b: Any, c: Any) -> Any:
    return torch.exp(a * b * c)


def _two_body(dim: int, generator: torch.Generator) -> Profile:
    return LocalSum(_pair, 2, _normal(dim - 1, generator=generator))


def _three_body(dim: int, generator: torch.Generator) -> Profile:
    return LocalSum(_triple, 3, _normal(dim - 2, generator=generator))


def _zero_mean(dim: int, generator: torch.Generator) -> Profile:
    c = _normal(dim - 1, generator=generator)
    c = c - c.mean()
    return LocalSum(_pair, 2, c / torch.linalg.vector_norm(c), scale=math.sqrt(2 * dim))


def _low_rank(dim: int, generator: torch.Generator) -> Profile:
    q, r = torch.linalg.qr(_normal(dim, _RANK, generator=generator))
    rows = (q * torch.sign(torch.diagonal(r))).T.contiguous()  # signs differ between libraries
    c = _normal(_RANK, generator=generator)
    weights = (c / torch.linalg.vector_norm(c)).tolist()

    def ring(*y: Any) -> Any:
        terms = [w * torch.sin(2.0 * (y[j] * y[(j + 1) % _RANK])) for j, w in enumerate(weights)]
        return terms[0] + terms[1] + terms[2] + terms[3]

    return LowRank(ring, rows, scale=math.sqrt(dim))


INTERACTIONS: Mapping[str, tuple[Callable[[int, torch.Generator], Profile], int]] = MappingProxyType(
    {
        "two_body": (_two_body, 2),
        "three_body": (_three_body, 3),
        "zero_mean": (_zero_mean, 3),
        "low_rank": (_low_rank, 4),
    }
)
"""Name to what draws the profile g, and the least number of dimensions that it takes."""
