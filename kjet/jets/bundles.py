"""Many directions with fixed weights that end together in one sum: traces, exact or estimated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

import torch

from ..errors import ConfigError
from ..typing import Float, Int, Tensor
from .derivative import Derivative, SparseIndex, Trace
from .directions import Direction, decompose
from .seeded import ScaledAxes
from .seeds import OneHot, PerPoint, Seeds, Shared, Stacked
from .varying import Varying

__all__ = [
    "Bundle",
    "FamilyLike",
    "Source",
    "exact_bundle",
    "exact_directions",
    "exact_slopes",
    "exact_varying",
    "sampled_bundle",
    "sampled_slopes",
    "sampled_varying",
]


class FamilyLike(Protocol):
    """Random directions with constant weights whose weighted derivatives have a trace as their mean."""

    @property
    def order(self) -> int:
        """Order of the derivatives."""
        ...

    @property
    def weights(self) -> Float[Tensor, " s"]:
        """One for each direction."""
        ...

    def draw(self, n: int, generator: torch.Generator | None, dtype: torch.dtype, device: torch.device | str) -> Seeds:
        """Draw the directions."""
        ...


class Source(Protocol):
    """What a plan asks of an estimator."""

    def family(self, trace: Trace, d: int) -> FamilyLike | None:
        """Directions for a trace; None to have it summed exactly."""
        ...


@dataclass(frozen=True, eq=False)
class Bundle:
    """Directions ``v_r`` with ``sum_r w_r D^K_{v_r}`` equal to a derivative, or with that mean.

    Attributes:
        derivative: What they stand for.
        order: K.
        runs: Numbers of directions that follow one another, with their weights: one for all, or one for each (float64).
        directions: ``(first, last, like)`` to seeds of some of the directions, for exact sums.
        draw: Place of the drawn seeds that they are made of, for estimates.
        shifts: For estimates, multiples of the drawn vectors and what is added to them: ``a v_r + b``.
        lone: Directions that stand alone beside them, with their weights.
        kept: Whether the derivatives of order K are kept one by one in place of their sum.
        varying: Coefficients by which the drawn vectors are scaled.
    """

    derivative: Derivative | Varying
    order: int
    runs: tuple[tuple[int, float | Float[Tensor, " s"]], ...]
    directions: Callable[[int, int, Tensor], Seeds] | None = None
    draw: int | None = None
    shifts: tuple[tuple[int, Direction], ...] = ((1, ()),)
    lone: dict[Direction, Fraction] = field(default_factory=dict)
    kept: bool = False
    varying: Varying | None = None

    @property
    def count(self) -> int:
        """Number of directions."""
        return sum(count for count, _ in self.runs)

    def weights(self, first: int = 0, last: int | None = None) -> Float[Tensor, " s"]:
        """Weights of the directions ``first`` to ``last - 1``; only those are made."""
        parts, start = [], 0
        for count, weight in self.runs:
            low, high = max(first - start, 0), min((self.count if last is None else last) - start, count)
            if low < high:
                one = isinstance(weight, float)
                parts.append(torch.full((high - low,), weight, dtype=torch.float64) if one else weight[low:high])  # type: ignore
            start += count
        return torch.cat(parts)

    @property
    def channels(self) -> int:
        """Channels that they and their sum take."""
        return self.count * self.order if self.kept else self.count * (self.order - 1) + 1

    def seeds(self, x: Float[Tensor, "n d"], draws: Sequence[Seeds], first: int = 0, last: int | None = None) -> Seeds:
        """Seeds of the directions ``first`` to ``last - 1``."""
        last = self.count if last is None else last
        if self.directions is not None:
            return self.directions(first, last, x)
        drawn = draws[self.draw]  # type: ignore[index]
        if self.varying is not None:
            drawn = self.varying.scaled(drawn, x)
        if self.shifts == ((1, ()),):
            return drawn if last - first == drawn.count else drawn.rows(first, last)
        whole = Stacked(tuple(_shifted(drawn, a, b, x) for a, b in self.shifts))
        return whole if last - first == whole.count else whole.rows(first, last)


def _shifted(drawn: Seeds, a: int, b: Direction, x: Tensor) -> Seeds:
    """``a v + b`` for every drawn v; unit vectors become vectors."""
    if a == 1 and not b:
        return drawn
    vectors = drawn.dense(x.shape[0], x.shape[1], x) * a
    for axis, entry in b:
        one = torch.arange(x.shape[1], device=x.device) == axis
        vectors = vectors + entry * one.to(x)
    return Shared(vectors[:, 0]) if vectors.shape[1] == 1 else PerPoint(vectors.expand(-1, x.shape[0], -1))


def sampled_bundle(derivative: Derivative, family: FamilyLike, draw: int) -> Bundle:
    """Estimate ``d^index trace``: the drawn directions themselves, or their combinations with those of the index.

    Whatever the drawn vector v is, ``d^index D_v^K`` is a sum of ``D^(K + |index|)`` along ``a v + b``.
    """
    weights = family.weights.to(torch.float64)
    if not derivative.index:
        return Bundle(derivative, family.order, ((len(weights), weights),), draw=draw)
    # The vector v takes the place of one more coordinate.
    index: SparseIndex = ((0, family.order), *((axis + 1, order) for axis, order in derivative.index))
    shifts, scaled, lone = [], [], {}
    for direction, weight in decompose({index: Fraction(1)}).items():
        a = dict(direction).get(0, 0)
        b = tuple((axis - 1, entry) for axis, entry in direction if axis)
        if a:
            shifts.append((a, b))
            scaled.append((len(weights), float(weight) * weights))
        else:
            lone[b] = weight * Fraction(float(weights.sum()))
    return Bundle(derivative, derivative.order, tuple(scaled), draw=draw, shifts=tuple(shifts), lone=lone)


def sampled_slopes(trace: Trace, family: FamilyLike, draw: int) -> Bundle:
    """First derivatives along the directions that estimate a Laplacian: ``sum_r w_r E[v_r v_r^T] = 1`` over its axes.

    That is what ``E sum_r w_r D^2_{v_r} u = lap(u)`` for every u says, so that
    ``sum_r w_r (v_r . grad u) (v_r . grad w)`` is unbiased whatever the law.

    Raises:
        ConfigError: If the Laplacian is estimated otherwise than by second derivatives.
    """
    _check_second("products of gradients", family)
    weights = family.weights.to(torch.float64)
    return Bundle(Derivative.of(traces=(trace,)), 1, ((len(weights), weights),), draw=draw, kept=True)


def _check_second(what: object, family: FamilyLike) -> None:
    if family.order != 2:
        raise ConfigError(
            f"{what} take the directions of second derivatives that estimate a Laplacian, but this estimator takes "
            f"derivatives of order {family.order}; use STDE, Hutchinson or estimator=None (exact)"
        )


def sampled_varying(sum_: Varying, family: FamilyLike, draw: int) -> Bundle:
    """Second derivatives along the directions that estimate a Laplacian, scaled by the roots of the coefficients.

    Raises:
        ConfigError: If the Laplacian is estimated otherwise than by second derivatives.
    """
    _check_second(sum_, family)
    weights = family.weights.to(torch.float64)
    runs = tuple((len(weights), sign * weights) for sign in sum_.signs)
    return Bundle(sum_, 2, runs, draw=draw, varying=sum_)


def exact_varying(sum_: Varying) -> Bundle:
    """Sum exactly: along the coefficients for order 1, along all axes, scaled, for order 2."""
    if sum_.order == 1:
        return Bundle(sum_, 1, ((1, 1.0),), lambda first, last, x: sum_.along(x))
    runs = tuple((len(sum_.axes), float(sign)) for sign in sum_.signs)
    return Bundle(sum_, 2, runs, _ScaledAxes(sum_))


def exact_slopes(trace: Trace) -> Bundle:
    """First derivatives along all axes."""
    axes = trace.axes
    return Bundle(Derivative.of(traces=(trace,)), 1, ((len(axes), 1.0),), _Axes(axes), kept=True)


def exact_directions(trace: Trace) -> int | None:
    """Number of directions of an exact sum that need not be listed; None where they are not known in closed form."""
    count = len(trace.axes)
    return {1: count, 2: count * count}.get(trace.power)


def exact_bundle(trace: Trace) -> Bundle:
    """Sum a trace exactly, along directions that are made when they are needed.

    The Laplacian along the axes. Its square along the axes and ``e_i +- e_j``:
    ``12 xi^2 eta^2 = (xi + eta)^4 + (xi - eta)^4 - 2 xi^4 - 2 eta^4``, so that pairs have the weight 1/6 and axes
    ``1 - (n - 1) / 3``.
    """
    count = len(trace.axes)
    if trace.power == 1:
        return Bundle(Derivative.of(traces=(trace,)), 2, ((count, 1.0),), _Axes(trace.axes))
    if trace.power > 2:
        raise ConfigError(f"no closed form for the exact sum {trace}; take Hutchinson(samples, law='gaussian')")
    runs = ((count, 1 - (count - 1) / 3), (count * (count - 1), 1 / 6))
    return Bundle(Derivative.of(traces=(trace,)), 4, runs, _AxesAndPairs(trace.axes))


def _at(axes: range | tuple[int, ...], places: Int[Tensor, " s"]) -> Int[Tensor, " s"]:
    if isinstance(axes, range):
        return axes.start + axes.step * places
    return torch.tensor(axes, device=places.device)[places]


@dataclass(frozen=True)
class _Axes:
    """Unit vectors."""

    axes: range | tuple[int, ...]

    def __call__(self, first: int, last: int, like: Tensor) -> Seeds:
        return OneHot(_at(self.axes, torch.arange(first, last, device=like.device)))


@dataclass(frozen=True)
class _ScaledAxes:
    """Unit vectors times the roots of coefficients, those of the positive ones first."""

    varying: Varying

    def __call__(self, first: int, last: int, like: Tensor) -> Seeds:
        count = len(self.varying.axes)
        parts: list[Seeds] = []
        for start, sign in enumerate(self.varying.signs):
            low, high = max(first - start * count, 0), min(last - start * count, count)
            if low < high:
                columns = self.varying.columns(torch.arange(low, high, device=like.device))
                scales = self.varying.roots(like, sign)[:, low:high].t().contiguous()
                parts.append(ScaledAxes(columns, scales))
        return parts[0] if len(parts) == 1 else Stacked(tuple(parts))


@dataclass(frozen=True)
class _AxesAndPairs:
    """Unit vectors, then ``e_i + e_j`` and ``e_i - e_j`` for the pairs ``i < j`` in order of j."""

    axes: range | tuple[int, ...]

    def __call__(self, first: int, last: int, like: Tensor) -> Seeds:
        count = len(self.axes)
        parts: list[Seeds] = []
        if first < count:
            parts.append(_Axes(self.axes)(first, min(last, count), like))
        if last > count:
            parts.append(self._pairs(max(first, count) - count, last - count, like))
        return parts[0] if len(parts) == 1 else Stacked(tuple(parts))

    def _pairs(self, first: int, last: int, like: Tensor) -> Seeds:
        numbers = torch.arange(first, last, device=like.device)
        places = numbers // 2
        below = torch.arange(len(self.axes), device=like.device)
        starts = below * (below - 1) // 2  # pairs with a smaller j
        j = torch.searchsorted(starts, places, right=True) - 1
        i = places - starts[j]
        vectors = like.new_zeros(last - first, like.shape[1])
        signs = (1 - 2 * (numbers % 2)).to(like)
        vectors = vectors.scatter(1, _at(self.axes, i)[:, None], 1.0)
        return Shared(vectors.scatter(1, _at(self.axes, j)[:, None], signs[:, None]))
