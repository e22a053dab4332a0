"""Derivatives by name: plain ones, powers of the Laplacian over many axes, and sums of them.

Nothing here is as long as the number of coordinates, so that an equation in a million dimensions is a short formula.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..typing import MultiIndex
from .indices import SparseIndex, dense, misfit, product_of, sparse, total_order
from .traces import Trace

__all__ = [
    "Derivative",
    "Quantity",
    "SparseIndex",
    "Trace",
    "as_derivative",
    "dense",
    "product_of",
    "quantity",
    "sparse",
    "total_order",
]


@dataclass(frozen=True)
class Derivative:
    """``d^index`` of a product of traces; the function itself by default.

    A trace of one axis is a plain derivative, and powers of the same sum are one trace, so that equal derivatives are
    equal objects: make them with :meth:`of`.
    """

    index: SparseIndex = ()
    traces: tuple[Trace, ...] = ()

    @classmethod
    def of(cls, index: SparseIndex = (), traces: Iterable[Trace] = ()) -> Derivative:
        """Bring a product into its canonical form."""
        powers: dict[range | tuple[int, ...], int] = {}
        for trace in traces:
            if len(trace.axes) == 1:
                index = product_of(index, ((trace.axes[0], trace.order),))
            else:
                powers[trace.axes] = powers.get(trace.axes, 0) + trace.power
        ordered = sorted(powers.items(), key=lambda item: (item[0][0], item[0][-1], len(item[0]), item[1]))
        return cls(index, tuple(Trace(axes, power) for axes, power in ordered))

    @property
    def order(self) -> int:
        """Order of differentiation."""
        return total_order(self.index) + sum(trace.order for trace in self.traces)

    @property
    def terms(self) -> int:
        """Number of terms that :meth:`expanded` has at most."""
        return math.prod(trace.terms for trace in self.traces)

    @property
    def last(self) -> int:
        """Highest axis used; -1 for the function itself."""
        return max([self.index[-1][0] if self.index else -1, *(trace.axes[-1] for trace in self.traces)])

    def __mul__(self, other: Derivative) -> Derivative:
        return Derivative.of(product_of(self.index, other.index), (*self.traces, *other.traces))

    def expanded(self) -> dict[SparseIndex, int]:
        """Coefficients of plain derivatives."""
        total: dict[SparseIndex, int] = {self.index: 1}
        for trace in self.traces:
            found: dict[SparseIndex, int] = {}
            for (a, c), (b, e) in itertools.product(total.items(), trace.expanded().items()):
                key = product_of(a, b)
                found[key] = found.get(key, 0) + c * e
            total = found
        return total

    def name(self, coords: Sequence[str]) -> str:
        """Write as a subscript, ``"xxt"``, with ``"x3"`` and so on for coordinates without a name."""
        parts = [str(trace) for trace in self.traces]
        letters = "".join(coords[axis] * order for axis, order in self.index)
        return " ".join([*parts, letters] if letters else parts)

    def __str__(self) -> str:
        plain = " ".join(f"d{axis}" + (f"^{order}" if order > 1 else "") for axis, order in self.index)
        return " ".join([*map(str, self.traces), plain] if plain else map(str, self.traces)) or "1"


def _place(item: tuple[Derivative, float]) -> tuple[Any, ...]:
    """Sort traces first, then plain derivatives as their dense multi-indices fall, the function itself last."""
    derivative = item[0]
    traces = tuple((trace.axes[0], trace.axes[-1], len(trace.axes), -trace.power) for trace in derivative.traces)
    return (not traces, traces, (*((axis, -order) for axis, order in derivative.index), (math.inf, 0)))


@dataclass(frozen=True)
class Quantity:
    """A sum of derivatives with constant coefficients; a polynomial in the derivatives, which multiply as operators.

    Attributes:
        terms: Derivatives and coefficients in a fixed order, none of them zero.
    """

    terms: tuple[tuple[Derivative, float], ...]

    def __post_init__(self) -> None:
        # No fields: compilers compare all fields of a dataclass, and these are no part of the value.
        object.__setattr__(self, "_hash", hash(self.terms))
        object.__setattr__(self, "_entries", None)

    def __hash__(self) -> int:
        return self._hash  # type: ignore[attr-defined]

    @classmethod
    def of(cls, terms: Mapping[Derivative, float], entries: int | None = None) -> Quantity:
        """Sort terms and leave zeros out.

        Args:
            terms: Coefficients.
            entries: Length that dense multi-indices had, to be compared with the number of coordinates.
        """
        made = cls(tuple(sorted(((a, float(c)) for a, c in terms.items() if c), key=_place)))
        object.__setattr__(made, "_entries", entries)
        return made

    @property
    def entries(self) -> int | None:
        """Length of the dense multi-indices that it was made of."""
        return self._entries  # type: ignore[attr-defined]

    @property
    def order(self) -> int:
        """Highest order of differentiation."""
        return max((derivative.order for derivative, _ in self.terms), default=0)

    def __len__(self) -> int:
        return len(self.terms)

    def __iter__(self) -> Iterator[tuple[Derivative, float]]:
        return iter(self.terms)

    def __add__(self, other: Quantity) -> Quantity:
        total = dict(self.terms)
        for derivative, c in other.terms:
            total[derivative] = total.get(derivative, 0.0) + c
        return Quantity.of(total, self.entries or other.entries)

    def __mul__(self, other: Quantity | float) -> Quantity:
        if not isinstance(other, Quantity):
            return Quantity.of({derivative: c * other for derivative, c in self.terms}, self.entries)
        total: dict[Derivative, float] = {}
        for (a, c), (b, e) in itertools.product(self.terms, other.terms):
            key = a * b
            total[key] = total.get(key, 0.0) + c * e
        return Quantity.of(total, self.entries or other.entries)

    __rmul__ = __mul__

    def check(self, d: int) -> None:
        """Compare with the number of coordinates.

        Raises:
            ConfigError: If a multi-index has another number of entries, or an axis is none of them.
        """
        for derivative, _ in self.terms:
            if self.entries not in (None, d):
                raise ConfigError(misfit(dense(derivative.index, self.entries), d))  # type: ignore[arg-type]
            if derivative.last >= d:
                raise ConfigError(f"derivative {derivative} uses axis {derivative.last}, but x has axes 0 to {d - 1}")

    def expanded(self) -> dict[SparseIndex, float]:
        """Coefficients of plain derivatives, traces written out.

        >>> quantity({Trace(range(2)): 0.5, (0, 1): 2.0}).expanded()
        {((0, 2),): 0.5, ((1, 2),): 0.5, ((1, 1),): 2.0}
        """
        total: dict[SparseIndex, float] = {}
        for derivative, c in self.terms:
            for index, multiple in derivative.expanded().items():
                total[index] = total.get(index, 0.0) + c * multiple
        return {index: c for index, c in total.items() if c}

    def dense(self, d: int) -> dict[MultiIndex, float]:
        """Coefficients by dense multi-index in ``d`` coordinates, traces written out."""
        return {dense(index, d): c for index, c in self.expanded().items()}

    def __str__(self) -> str:
        words = (f"{c:g}" if a == Derivative() else str(a) if c == 1 else f"{c:g} {a}" for a, c in self.terms)
        return " + ".join(words) or "0"


Key = Derivative | Trace | MultiIndex | SparseIndex


def as_derivative(key: Any, d: int | None = None) -> Derivative:
    """Make a derivative of a multi-index, dense or sparse, of a trace, or of itself."""
    if isinstance(key, Derivative):
        return key
    if isinstance(key, Trace):
        return Derivative.of(traces=(key,))
    return Derivative(sparse(key, d))


def quantity(terms: Mapping[Any, float]) -> Quantity:
    """Make a sum of derivatives.

    Args:
        terms: Coefficients by multi-index (one order for each coordinate, or sparse pairs), :class:`Trace` or
            :class:`Derivative`.

    Raises:
        ConfigError: If an order is negative, or dense multi-indices differ in length.

    >>> print(quantity({(0, 2): 1.0, (2, 0): 1.0}))
    d0^2 + d1^2
    >>> print(quantity({Trace(range(1, 1000)): -0.5, ((0, 1),): 1.0}))
    -0.5 lap[1..999] + d0
    """
    lengths = {len(key): key for key in terms if isinstance(key, tuple | list) and _is_dense(key)}
    d = next(iter(lengths), None)
    if len(lengths) > 1:
        raise ConfigError(misfit(list(lengths.values())[1], d))  # type: ignore[arg-type]
    total: dict[Derivative, float] = {}
    for key, c in terms.items():
        derivative = as_derivative(key)
        total[derivative] = total.get(derivative, 0.0) + float(c)
    return Quantity.of(total, d)


def _is_dense(key: Sequence[Any]) -> bool:
    return bool(key) and not isinstance(key[0], tuple | list)
