"""Functions that vanish on the unit sphere, in any dimension, with Laplacian and bi-Laplacian in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..errors import ConfigError
from ..jets import Jet
from ..typing import Float, Tensor
from ._words import Word
from .profiles import Combination, Profile

__all__ = ["BallSolution"]

Polynomial = tuple[float, ...]
"""Coefficients of powers of ``w = 1 - |x|^2``, which near the sphere loses no digits where those of ``|x|^2`` do."""


@dataclass(frozen=True, eq=False)
class BallSolution:
    """``u(x) = (1 - |x|^2)^p g(x)``: with p = 1 zero on the unit sphere, with p = 2 its normal derivative, too.

    The Laplacian follows from those of g by the product rule. With ``w = 1 - |x|^2``, ``L`` the Laplacian and ``E`` =
    ``x . grad``, ``L(F(w) h) = F L h - 4 F' E h + (4 (1 - w) F'' - 2 d F') h``, and ``E L = L E - 2 L``, so that any
    power of L on ``w^p g`` is a combination of the functions ``L^a E^b g`` with polynomials in w.

    Args:
        profile: g.
        power: p.

    Raises:
        ConfigError: If the power is no positive whole number.

    Cost: that of the profile: O(d) for each point.

    >>> from kjet.pde.profiles import LocalSum
    >>> u = BallSolution(LocalSum(lambda a: torch.ones_like(a), 1, torch.ones(3) / 3))
    >>> value, laplacian = u.laplacians(torch.zeros(1, 3))
    >>> value.round(decimals=5), laplacian.round(decimals=5)
    (tensor([1.]), tensor([-6.]))
    """

    profile: Profile
    power: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.power, int) or self.power < 1:
            raise ConfigError(f"the power of 1 - |x|^2 must be a positive whole number; got {self.power!r}")

    @property
    def dim(self) -> int:
        """Number of coordinates d."""
        return self.profile.dim

    def value(self, x: Float[Tensor, "n d"] | Jet) -> Float[Tensor, " n"] | Jet:
        """Evaluate u at points, or at jets of them."""
        return _weight(x) ** self.power * self.profile.value(x)

    def laplacians(self, x: Float[Tensor, "n d"], order: int = 1) -> tuple[Float[Tensor, " n"], ...]:
        """Return ``u, lap u, ..., lap^order u`` at points, for an order up to 2.

        The function compiles: ``torch.compile(solution.laplacians, fullgraph=True)``.
        """
        w: Any = _weight(x)
        combinations: list[Combination] = []
        terms: Mapping[Word, Polynomial] = {(0, 0): (0.0,) * self.power + (1.0,)}
        for k in range(order + 1):
            terms = _laplacian(terms, self.dim) if k else terms
            combinations.append({word: _evaluate(p, w) for word, p in terms.items()})
        # The value is the sum of one word: its factor is left out of the sum.
        value, *rest = self.profile.apply(x, [{(0, 0): 1.0}, *combinations[1:]])
        return (w**self.power * value, *rest)

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> BallSolution:
        """Convert the coefficients of the profile."""
        return replace(self, profile=self.profile.to(dtype, device))


def _weight(x: Tensor | Jet) -> Tensor | Jet:
    return 1 - torch.sum(x * x, dim=-1)  # type: ignore[arg-type]


def _laplacian(terms: Mapping[Word, Polynomial], d: int) -> dict[Word, Polynomial]:
    """Apply L to ``sum F(w) L^a E^b g``."""
    total: dict[Word, Polynomial] = {}

    def add(word: Word, p: Polynomial) -> None:
        total[word] = _plus(total.get(word, ()), p)

    for (a, b), p in terms.items():
        slope = _derivative(p)
        bend = _derivative(slope)
        add((a + 1, b), p)
        add((a, b + 1), _times(-4.0, slope))
        # 4 (1 - w) F'' - 2 d F', and 8 a F' from E L^a = L^a (E - 2 a)
        add((a, b), _plus(_times(4.0, _plus(bend, _times(-1.0, (0.0, *bend)))), _times(8.0 * a - 2.0 * d, slope)))
    return {word: p for word, p in total.items() if any(p)}


def _plus(p: Polynomial, q: Polynomial) -> Polynomial:
    size = max(len(p), len(q))
    return tuple(sum(r[i] for r in (p, q) if i < len(r)) for i in range(size))


def _times(factor: float, p: Polynomial) -> Polynomial:
    return tuple(factor * c for c in p)


def _derivative(p: Polynomial) -> Polynomial:
    return tuple(i * c for i, c in enumerate(p))[1:]


def _evaluate(p: Polynomial, w: Tensor) -> Tensor | float:
    """Horner's rule; a constant stays a number."""
    if not any(p[1:]):
        return p[0]
    total: Tensor | float = p[-1]
    for c in reversed(p[:-1]):
        total = total * w + c
    return total
