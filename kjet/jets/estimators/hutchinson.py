"""Dense random directions whose moments are those of an isotropic law."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from ...errors import ConfigError, unknown
from ...typing import Float, Tensor
from ..api import contract
from ..derivative import Trace
from ..operator import LinearOperator, Operator
from ..seeds import Seeds
from ._draws import distinct, normal, signs, sphere
from .base import EstimatorError, Family, Function, Stratum
from .columns import AxisColumns, Block, Blocks, as_seeds, check_points_of, joined
from .evaluate import check_points, estimate, planned
from .targets import Sum, check_trace, lower_and_scaled, target_of

__all__ = ["LAWS", "Hutchinson", "Law"]


@dataclass(frozen=True)
class Law:
    """Distribution of random vectors z of p entries with ``E z z^T = 1``.

    Attributes:
        draw: ``(size, generator, dtype)`` to vectors along the last axis.
        moment: ``(m, p)`` to c where ``E (z . xi)^(2 m) = c |xi|^(2 m)``; None where there is no such c.
    """

    draw: Callable[[tuple[int, ...], torch.Generator, torch.dtype], Tensor]
    moment: Callable[[int, int], float | None]


def odd_factorial(m: int) -> int:
    """``(2 m - 1)!! = 1 * 3 * ... * (2 m - 1)``: moment 2 m of a standard normal number."""
    return math.prod(range(1, 2 * m, 2))


def _moment_on_sphere(m: int, p: int) -> float:
    return odd_factorial(m) * math.prod(p / (p + 2 * k) for k in range(m))


LAWS = {
    "rademacher": Law(signs, lambda m, p: 1.0 if m == 1 or p == 1 else None),
    "gaussian": Law(normal, lambda m, p: float(odd_factorial(m))),
    "sphere": Law(sphere, _moment_on_sphere),
}


@dataclass(frozen=True)
class Hutchinson:
    """Trace estimator ``1/(c R) sum_r D^{2m}_{v_r} u`` with random dense directions.

    - The Laplacian, ``E (v . grad)^2 = Delta`` for every law with unit covariance. Variance for a Hessian H:
      ``2 sum_{i != j} H_ij^2 / R`` (rademacher), ``2 |H|^2 / R`` (gaussian),
      ``2 d / (d + 2) (|H|^2 - tr(H)^2 / d) / R`` (sphere).
    - ``sum_ij A_ij(x) u_ij`` by directions ``sigma v``, ``A = sigma diag(+-1) sigma^T``, each sign by its own.
    - Powers m of the Laplacian with the moment ``c`` of the law: ``(2 m - 1)!!`` for the gaussian one, on the sphere of
      radius sqrt(d) times ``d^m / (d (d + 2) ... (d + 2 m - 2))``.
    - The biharmonic operator with signs: ``E (v . grad)^4 = 3 Delta^2 - 2 sum_i d_i^4``, so ``2/3 sum_i d_i^4`` is
      added, from axes that are drawn without replacement or from all of them. Higher powers are refused for this law.
    - Sums of these with derivatives of order 0 and 1, which are exact.

    Everything else is refused: odd moments are zero, and even ones match powers of the Laplacian only.

    Args:
        samples: R.
        law: ``"rademacher"`` (entries 1 and -1), ``"gaussian"`` or ``"sphere"``.
        per_point: Draw anew for each point.
        corrections: Axes drawn for the fourth-order correction; by default as many as samples. All of them if there
            are no more.

    Raises:
        ConfigError: If the law is unknown or a count is below one.

    Ref: Hutchinson, *A stochastic estimator of the trace of the influence matrix*, 1990; Hu, Shi, Karniadakis,
    Kawaguchi, *Hutchinson Trace Estimation for high-dimensional and high-order PINNs*, 2024.

    >>> from kjet.jets import Laplacian
    >>> f, x = lambda x: (x**2).sum(-1, keepdim=True), torch.zeros(2, 100)
    >>> Hutchinson(samples=5)(f, x, Laplacian(), torch.Generator().manual_seed(0)).flatten().tolist()
    [200.0, 200.0]
    """

    samples: int
    law: str = "rademacher"
    per_point: bool = False
    corrections: int | None = None

    def __post_init__(self) -> None:
        if self.law not in LAWS:
            raise ConfigError(unknown("law", self.law, LAWS, "Hutchinson"))
        if self.samples < 1 or (self.corrections is not None and self.corrections < 1):
            raise ConfigError(f"samples and corrections must be at least 1; got {self.samples}, {self.corrections}")

    def __call__(
        self, f: Function, x: Float[Tensor, "n d"], operator: LinearOperator, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n m"]:
        """Estimate the operator applied to ``f`` at the points.

        Raises:
            ConfigError: If points or the operator do not fit, or the generator is missing.
            EstimatorError: If the estimate would be biased.
        """
        check_points(x)
        target = target_of(operator, x.shape[1])
        if isinstance(target, Sum):
            return self._sum(f, x, target, generator)
        return estimate(f, x, self.family_of(target, x.shape[1]), generator)

    def _sum(self, f: Function, x: Tensor, terms: Sum, generator: torch.Generator | None) -> Tensor:
        n, d = x.shape
        lower, parts = lower_and_scaled(terms.plain, n, d)
        values = [planned(f, x, terms.traced, self, generator)] if terms.traced else []
        values += [contract(f, x, Operator(lower))] if lower else []
        values += [part.times(estimate(f, x, self.family_of(part.target, d), generator)) for part in parts]
        return torch.stack(values).sum(0)

    def family(self, trace: Trace, d: int) -> Family:
        """Make directions for a power of the Laplacian.

        Raises:
            EstimatorError: If the law has no such moment.
            ConfigError: If the axes do not fit.
        """
        return self.family_of(trace, d)

    def family_of(self, target: Trace | Blocks, d: int) -> Family:
        """Make directions for a power of the Laplacian or a sum of squares."""
        if isinstance(target, tuple):
            return self._dense(target, 1, 1.0)
        check_trace(target, d)
        columns, power = AxisColumns(target.axes, d), target.power
        moment = LAWS[self.law].moment(power, columns.count)
        if moment is not None:
            return self._dense((Block(1.0, columns),), power, moment)
        if power == 2:
            return self._corrected(columns)
        raise EstimatorError(
            f"directions of the law {self.law!r} are biased for power {power} of the Laplacian: their moments of order "
            f'{2 * power} are not isotropic. Use law="gaussian" or law="sphere"'
        )

    def _vectors(
        self, count: int, n: int, generator: torch.Generator | None, dtype: torch.dtype
    ) -> Float[Tensor, "r *n p"]:
        assert generator is not None  # Family.draw has asked for one
        wide = dtype if dtype == torch.float64 else torch.float32
        size = (self.samples, n, count) if self.per_point else (self.samples, count)
        return LAWS[self.law].draw(size, generator, wide)

    def _dense(self, blocks: Blocks, power: int, moment: float) -> Family:
        def sample(n: int, generator: torch.Generator | None, dtype: torch.dtype) -> list[Tensor]:
            check_points_of(blocks, n)
            return [self._vectors(block.columns.count, n, generator, dtype) for block in blocks]

        signed = torch.tensor([block.sign for block in blocks], dtype=torch.float64) / (self.samples * moment)
        strata = (Stratum(self.samples),) * len(blocks)
        return Family(2 * power, signed.repeat_interleave(self.samples), strata, sample, partial(_combine, blocks))

    def _corrected(self, columns: AxisColumns) -> Family:
        """Signs, and axes to make up for ``E v_i^4 = 1`` where an isotropic law of these covariances has 3."""
        count = columns.count
        wanted = self.samples if self.corrections is None else self.corrections
        pure = min(wanted, count)
        dense = torch.full((self.samples,), 1 / (3 * self.samples), dtype=torch.float64)
        axes = torch.full((pure,), 2 * count / (3 * pure), dtype=torch.float64)
        strata = (Stratum(self.samples), Stratum(pure, 1, count))

        def sample(n: int, generator: torch.Generator | None, dtype: torch.dtype) -> list[Tensor]:
            chosen = distinct(count, pure, n if self.per_point else 1, generator)
            shared = pure == count or not self.per_point
            return [self._vectors(count, n, generator, dtype), chosen[:, 0] if shared else chosen]

        return Family(4, torch.cat([dense, axes]), strata, sample, partial(_combine_and_pick, columns))


def _combine(blocks: Blocks, z: Sequence[Tensor], dtype: torch.dtype, device: torch.device) -> Seeds:
    parts = zip(blocks, z, strict=True)
    return joined([as_seeds(block.columns.combine(part, dtype, device)) for block, part in parts])


def _combine_and_pick(columns: AxisColumns, drawn: Sequence[Tensor], dtype: torch.dtype, device: torch.device) -> Seeds:
    z, numbers = drawn
    return joined([as_seeds(columns.combine(z, dtype, device)), columns.pick(numbers, dtype, device)])
