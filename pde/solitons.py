"""Solitons: closed forms of one wave, and of two that meet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import ConfigError

__all__ = ["HirotaSolitons", "bbm_soliton", "gkdv_soliton"]

Wave = tuple[float, ...]


@dataclass(frozen=True)
class HirotaSolitons:
    """One or two solitons of an equation ``P(D) f . f = 0`` in Hirota's derivatives.

    ``f = sum_S a_S exp(sum_{i in S} eta_i)`` over the subsets S of the waves, with phases ``eta_i = p_i . z + c_i``
    that satisfy ``P(p_i) = 0``, and ``a_S = prod_{i<j in S} A_ij``, ``A_ij = -P(p_i - p_j) / P(p_i + p_j)``. For one
    and two waves this is exact for every even P with ``P(0) = 0``.

    With the terms of ``f`` as weights, the first derivative of ``log f`` along x is the mean of
    ``k_S = sum_{i in S} k_i``, the second their variance. Takes tensors, jets and the coordinates of a residual.

    Args:
        polynomial: ``P``, of the components of p.
        waves: Vectors p, in the order of the coordinates; ``k`` is the first component.
        shifts: c, one for each wave.

    Raises:
        ConfigError: If there are more than two waves, shifts do not match, a wave does not satisfy ``P(p) = 0``, or two
            waves are equal or do not interact regularly (``A <= 0``).

    Ref: Hirota, *The Direct Method in Soliton Theory*, 2004, section 1.5.

    >>> kdv = HirotaSolitons(lambda k, w: k * w + k**4, [(1.0, -1.0)], [0.0])
    >>> round(float(kdv.wave(torch.tensor(0.0), torch.tensor(0.0))), 6)  # k^2 / 2 sech^2(0)
    0.5
    """

    polynomial: Callable[..., float]
    waves: Sequence[Wave]
    shifts: Sequence[float]

    def __post_init__(self) -> None:
        if not 1 <= len(self.waves) <= 2 or len(self.shifts) != len(self.waves):
            raise ConfigError(
                f"closed forms are for one or two waves with a shift each; got {len(self.waves)} waves and "
                f"{len(self.shifts)} shifts"
            )
        for p in self.waves:
            size = sum(abs(self.polynomial(*(s * c for c in p))) for s in (0.5, 2.0))
            if abs(self.polynomial(*p)) > 1e-12 * max(size, 1.0):
                raise ConfigError(f"the wave {p} does not satisfy the dispersion relation P(p) = 0")
        if len(self.waves) == 2 and not self._interaction(*self.waves) > 0:
            raise ConfigError(f"the waves {self.waves[0]} and {self.waves[1]} have no regular common solution")

    def _interaction(self, p: Wave, q: Wave) -> float:
        across = self.polynomial(*(a + b for a, b in zip(p, q, strict=True)))
        apart = self.polynomial(*(a - b for a, b in zip(p, q, strict=True)))
        return -apart / across if across else 0.0

    def _terms(self) -> list[tuple[Wave, float]]:
        """Exponents of ``f``: a vector and a constant for each subset of the waves."""
        zero = (0.0,) * len(self.waves[0])
        terms = [(zero, 0.0), *zip(map(tuple, self.waves), self.shifts, strict=True)]
        for (p, a), (q, b) in itertools.combinations(terms[1:], 2):
            both = tuple(x + y for x, y in zip(p, q, strict=True))
            terms.append((both, a + b + math.log(self._interaction(p, q))))
        return terms

    def _weights(self, z: Sequence[Any]) -> tuple[list[float], list[Any]]:
        """``k_S``, and the shares of the terms in f."""
        terms = self._terms()

        def ratio(i: int, j: int) -> Any:
            (p, a), (q, b) = terms[i], terms[j]
            phase: Any = sum(((u - v) * x for u, v, x in zip(p, q, z, strict=True) if u != v), a - b)
            return torch.exp(phase)

        others = [[j for j in range(len(terms)) if j != i] for i in range(len(terms))]
        shares = [1.0 / (1.0 + sum(ratio(j, i) for j in others[i])) for i in range(len(terms))]
        return [p[0] for p, _ in terms], shares

    def slope(self, *z: Any) -> Any:
        """``2 (log f)_x``, a potential."""
        steps, shares = self._weights(z)
        return 2.0 * sum(k * share for k, share in zip(steps, shares, strict=True) if k)

    def wave(self, *z: Any) -> Any:
        """``2 (log f)_xx``."""
        steps, shares = self._weights(z)
        # by pairs: as a difference of squares the variance would lose its digits far from the wave
        pairs = [(i, j) for i, j in itertools.combinations(range(len(steps)), 2) if steps[i] != steps[j]]
        return 2.0 * sum((steps[i] - steps[j]) ** 2 * (shares[i] * shares[j]) for i, j in pairs)


def gkdv_soliton(speed: float, a: float, b: float, power: float, shift: float = 0.0) -> Callable[[Any, Any], Any]:
    """Make ``A sech^(2/p)(k (x - c t - s))``, a solution of ``u_t + a u^p u_x + b u_xxx = 0``.

    ``A^p = c (p + 1) (p + 2) / (2 a)`` and ``k = (p / 2) sqrt(c / b)``.

    Raises:
        ConfigError: If a coefficient is not positive.

    Ref: Pego, Weinstein, *Eigenvalues, and instabilities of solitary waves*, 1992, section 1.

    >>> u = gkdv_soliton(speed=1.0, a=6.0, b=1.0, power=1.0)
    >>> u(torch.tensor(0.0), torch.tensor(0.0))
    tensor(0.5000)
    """
    _check_positive(speed=speed, a=a, b=b, power=power)
    height = (speed * (power + 1) * (power + 2) / (2 * a)) ** (1 / power)
    k = 0.5 * power * math.sqrt(speed / b)
    return lambda x, t: height * torch.cosh(k * (x - speed * t - shift)) ** (-2 / power)


def bbm_soliton(speed: float, c: float, a: float, b: float, shift: float = 0.0) -> Callable[[Any, Any], Any]:
    """Make ``A sech^2(k (x - v t - s))``, a solution of ``u_t + c u_x + a u u_x - b u_xxt = 0``.

    ``A = 3 (v - c) / a`` and ``4 b v k^2 = v - c``.

    Raises:
        ConfigError: If a coefficient is not positive, or the speed v does not exceed c.

    Ref: Benjamin, Bona, Mahony, *Model equations for long waves in nonlinear dispersive systems*, 1972.

    >>> u = bbm_soliton(speed=2.0, c=1.0, a=1.0, b=1.0)
    >>> u(torch.tensor(0.0), torch.tensor(0.0))
    tensor(3.)
    """
    _check_positive(c=c, a=a, b=b)
    if not speed > c:
        raise ConfigError(f"a soliton is faster than all linear waves: speed must exceed {c}; got {speed}")
    k = 0.5 * math.sqrt((speed - c) / (b * speed))
    return lambda x, t: (3 * (speed - c) / a) * torch.cosh(k * (x - speed * t - shift)) ** -2


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name} of a soliton must be positive; got {value}")
