"""Sparse random directions: some coordinates, pairs of coordinates or terms stand for all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from ...errors import ConfigError
from ...typing import Float, Int, Tensor
from ..api import contract
from ..derivative import SparseIndex, Trace
from ..operator import LinearOperator, Operator
from ..seeds import Seeds
from ._draws import Subsets, distinct, integers
from ._sets import complete, embedded, within
from .base import EstimatorError, Family, Function, Stratum
from .columns import AxisColumns, Block, Blocks, check_points_of, joined
from .evaluate import check_points, estimate, planned
from .targets import Sum, Terms, as_power, by_order, check_trace, target_of

__all__ = ["STDE"]


@dataclass(frozen=True)
class STDE:
    """Stochastic Taylor derivative estimator: a sum over many coordinates from a few of them.

    - The Laplacian over d axes from R of them, ``d/R sum_r u_{i_r i_r}``, with variance ``d^2 S^2 (1 - R/d) / R``,
      S^2 that of the diagonal of the Hessian. One-hot directions.
    - A weighted one ``sum_ij A_ij(x) u_ij`` from R columns of a factor ``A = sigma diag(+-1) sigma^T``.
    - A power m of the Laplacian from R sets of m coordinates. Each gives all the terms of the power within the set,
      over the number of sets that share a term; for the biharmonic operator ``u_iijj`` by four directions, the pure
      derivatives with it.
    - Any other operator from R of its terms in each order, each exactly; the value itself is never drawn.

    R = d gives the exact value (of a power m at the full cost of some d^m directions), and so does R = the number of
    terms.

    Args:
        samples: R.
        replacement: Draw independently, the same one more than once if it happens.
        per_point: Draw anew for each point. The points then err independently and their mean errs less; directions
            are no longer shared in the first layer, and those of pairs and of weights take arrays (s, n, d).

    Raises:
        ConfigError: If samples are fewer than one, or more than there are to draw from without replacement.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor Derivative Estimator*, 2024.

    >>> from kjet.jets import Laplacian
    >>> f, x = lambda x: (x**2).sum(-1, keepdim=True), torch.zeros(2, 100)
    >>> STDE(samples=5)(f, x, Laplacian(), torch.Generator().manual_seed(0)).flatten().tolist()
    [200.0, 200.0]
    """

    samples: int
    replacement: bool = False
    per_point: bool = False

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise ConfigError(f"samples must be at least 1; got {self.samples}")

    def __call__(
        self, f: Function, x: Float[Tensor, "n d"], operator: LinearOperator, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n m"]:
        """Estimate the operator applied to ``f`` at the points.

        Raises:
            ConfigError: If points, samples or the operator do not fit, or the generator is missing.
            EstimatorError: If the operator is not linear.
        """
        check_points(x)
        d = x.shape[1]
        target = target_of(operator, d)
        if isinstance(target, Sum):
            return self._sum(f, x, target, generator)
        return estimate(f, x, self.family_of(target, d), generator)

    def _sum(self, f: Function, x: Tensor, terms: Sum, generator: torch.Generator | None) -> Tensor:
        """Sum of terms: Laplacians by their axes, which may differ between points, anything else term by term."""
        values = [planned(f, x, terms.traced, self, generator)] if terms.traced else []
        groups = by_order(terms.plain)
        if groups and not terms.traced:  # which are checked by themselves, and leave lower terms exact
            self._check(max(len(group) for group in groups.values()), "terms of one order")
        power = as_power(groups[2]) if 2 in groups else None
        if power is not None:
            some = replace(self, samples=min(self.samples, len(groups.pop(2))))
            values.append(power.times(estimate(f, x, some.family_of(power.target, x.shape[1]), generator)))
        if groups:
            values.append(contract(f, x, self._drawn(groups, generator)))
        return torch.stack(values).sum(0)

    def family(self, trace: Trace, d: int) -> Family:
        """Make directions for a power of the Laplacian."""
        return self.family_of(trace, d)

    def family_of(self, target: Trace | Blocks, d: int) -> Family:
        """Make directions for a power of the Laplacian or a sum of squares."""
        if isinstance(target, tuple):
            self._check(d)
            return self._columns(target, d)
        check_trace(target, d)
        axes = target.axes
        self._check(len(axes))
        if target.power == 1:
            return self._columns((Block(1.0, AxisColumns(axes, d)),), len(axes))
        if self.samples == len(axes) and not self.replacement:
            return complete(axes, target.power, d)
        return self._sets(AxisColumns(axes, d), target.power)

    def _check(self, population: int, what: str = "coordinates") -> None:
        if self.samples > population and not self.replacement:
            raise ConfigError(
                f"{self.samples} samples without replacement, but the operator has {population} {what}; take at most "
                f"{population} (samples={population} gives the exact value), or replacement=True, or the exact sum"
            )

    def _stratum(self, population: int, whole: int) -> Stratum:
        """Share of samples of a part of the population; the whole of it where samples are as many as the whole."""
        share = max(math.ceil(self.samples * population / whole), min(self.samples, 2))  # two tell their variance
        if self.replacement:
            return Stratum(share)
        return Stratum(min(population, share), population=population)

    def _numbers(self, stratum: Stratum, population: int, n: int, generator: torch.Generator | None) -> Tensor:
        """Draw numbers below the population: (s,), or (s, n) for each point."""
        shared = stratum.complete or not self.per_point
        columns = 1 if shared else n
        if self.replacement and generator is not None:
            numbers = integers(population, (stratum.samples, columns), generator)
        else:
            numbers = distinct(population, stratum.samples, columns, generator)
        return numbers[:, 0] if shared else numbers

    def _columns(self, blocks: Blocks, whole: int) -> Family:
        counts = [block.columns.count for block in blocks]
        strata = tuple(self._stratum(count, whole) for count in counts)
        weights = [
            torch.full((stratum.samples,), block.sign * block.columns.count / stratum.samples, dtype=torch.float64)
            for block, stratum in zip(blocks, strata, strict=True)
        ]

        def sample(n: int, generator: torch.Generator | None, dtype: torch.dtype) -> list[Tensor]:
            check_points_of(blocks, n)
            return [self._numbers(s, count, n, generator) for s, count in zip(strata, counts, strict=True)]

        total = torch.cat(weights) if weights else torch.zeros(0, dtype=torch.float64)
        return Family(2, total, strata, sample, partial(_pick, blocks))

    def _sets(self, columns: AxisColumns, power: int) -> Family:
        size = min(power, columns.count)
        subsets = Subsets(columns.count, size)
        local, weights = within(columns.count, size, power)
        samples = self.samples if self.replacement else min(self.samples, subsets.count)
        stratum = Stratum(samples, len(weights), None if self.replacement else subsets.count)

        def sample(n: int, generator: torch.Generator | None, dtype: torch.dtype) -> Tensor:
            return self._numbers(stratum, subsets.count, n, generator)

        def build(numbers: Int[Tensor, "r *n"], dtype: torch.dtype, device: torch.device) -> Seeds:
            return embedded(columns.at(subsets.members(numbers)).to(device), local, columns.d, dtype)

        scaled = torch.tensor(weights, dtype=torch.float64) * (subsets.count / samples)
        return Family(2 * power, scaled.repeat_interleave(samples), (stratum,), sample, build)

    def _drawn(self, groups: Mapping[int, Terms], generator: torch.Generator | None) -> Operator:
        """Some of the terms of each order, scaled."""
        chosen: dict[SparseIndex, float | Tensor] = {}
        for order, group in groups.items():
            listed = list(group.items())
            for place, scale in self._places(len(listed), order, generator):
                index, c = listed[place]
                chosen[index] = chosen[index] + scale * c if index in chosen else scale * c
        return Operator(chosen)

    def _places(self, size: int, order: int, generator: torch.Generator | None) -> list[tuple[int, float]]:
        if order == 0 or (self.samples >= size and not self.replacement):
            return [(place, 1.0) for place in range(size)]
        if self.per_point:
            raise EstimatorError(
                "terms of a general operator differ in cost and cannot be drawn for each point; use per_point=False"
            )
        if generator is None:
            raise ConfigError("a random estimate needs a generator; pass torch.Generator(device).manual_seed(seed)")
        stratum = Stratum(self.samples, 1, None if self.replacement else size)
        drawn = self._numbers(stratum, size, 1, generator)
        return [(int(place), size / self.samples) for place in drawn]


def _pick(blocks: Blocks, numbers: Sequence[Tensor], dtype: torch.dtype, device: torch.device) -> Seeds:
    return joined([block.columns.pick(k, dtype, device) for block, k in zip(blocks, numbers, strict=True)])
