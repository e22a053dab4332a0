"""Derivatives by name: sparse multi-indices, powers of the Laplacian over many axes, and sums of them.

Nothing here is as long as the number of coordinates, so that an equation in a million dimensions is a short formula.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..typing import MultiIndex

__all__ = ["Derivative", "Quantity", "SparseIndex", "Trace", "dense", "quantity", "sparse"]

SparseIndex = tuple[tuple[int, int], ...]
"""Derivative orders as ``(axis, order)`` pairs, rising in the axis, every order positive: ``((0, 2), (3, 1))``."""


def sparse(index: Iterable[Any], d: int | None = None) -> SparseIndex:
    """Make a multi-index sparse: one order for each coordinate, or pairs ``(axis, order)`` already.

    Args:
        index: Either form; ``()`` is the function itself.
        d: Number of coordinates to check against, if it is known.

    Raises:
        ConfigError: If an order is negative, or the index does not fit ``d`` coordinates.

    >>> sparse((2, 0, 1)), sparse(((2, 1), (0, 2)))
    (((0, 2), (2, 1)), ((0, 2), (2, 1)))
    """
    entries = tuple(index)
    if entries and all(isinstance(entry, tuple | list) for entry in entries):
        return _of_pairs(entries, d)
    orders = tuple(int(entry) for entry in entries)
    if (d is not None and entries and len(orders) != d) or min(orders, default=0) < 0:
        raise ConfigError(_misfit(orders, len(orders) if d is None else d))
    return tuple((axis, order) for axis, order in enumerate(orders) if order)


def _of_pairs(pairs: Sequence[Any], d: int | None) -> SparseIndex:
    total: Counter[int] = Counter()
    for pair in pairs:
        if len(pair) != 2:
            raise ConfigError(f"a sparse multi-index holds pairs (axis, order); got {pairs}")
        axis, order = int(pair[0]), int(pair[1])
        if axis < 0 or order < 0 or (d is not None and axis >= d):
            raise ConfigError(
                f"multi-index {tuple(pairs)} needs axes from 0 to {'d - 1' if d is None else d - 1} and orders >= 0"
            )
        total[axis] += order
    return tuple(sorted((axis, order) for axis, order in total.items() if order))


def _misfit(index: Sequence[int], d: int) -> str:
    return f"multi-index {tuple(index)} needs {d} non-negative entries, one for each coordinate of x"


def dense(index: SparseIndex, d: int) -> MultiIndex:
    """Orders of all coordinates.

    >>> dense(((0, 2), (2, 1)), 4)
    (2, 0, 1, 0)
    """
    entries = [0] * d
    for axis, order in index:
        entries[axis] = order
    return tuple(entries)


def total_order(index: SparseIndex) -> int:
    """Order of the derivative, ``|alpha|``."""
    return sum(order for _, order in index)


def product_of(a: SparseIndex, b: SparseIndex) -> SparseIndex:
    """One derivative after another."""
    if not a or not b:
        return a or b
    total = Counter(dict(a))
    for axis, order in b:
        total[axis] += order
    return tuple(sorted(total.items()))


@dataclass(frozen=True)
class Trace:
    """``(sum over axes of d_i^2)^power``: a power of the Laplacian over some coordinates, kept by name.

    Args:
        axes: Columns of x, as a range or a tuple; a tuple without gaps becomes a range.
        power: At least 1.

    Raises:
        ConfigError: If there is no axis, one is negative or repeats, or the power is below 1.

    >>> Trace((3, 1, 2))
    Trace(axes=range(1, 4), power=1)
    """

    axes: range | tuple[int, ...]
    power: int = 1

    def __post_init__(self) -> None:
        if self.power < 1:
            raise ConfigError(f"power of the Laplacian must be at least 1; got {self.power}")
        object.__setattr__(self, "axes", _columns(self.axes))

    @property
    def order(self) -> int:
        """Order of the derivatives summed."""
        return 2 * self.power

    @property
    def terms(self) -> int:
        """Number of different derivatives in the sum."""
        return math.comb(len(self.axes) + self.power - 1, self.power)

    def expanded(self) -> dict[SparseIndex, int]:
        """Every term, by the multinomial theorem.

        >>> Trace(range(2), 2).expanded()
        {((0, 4),): 1, ((0, 2), (1, 2)): 2, ((1, 4),): 1}
        """
        found: dict[SparseIndex, int] = {}
        for chosen in itertools.combinations_with_replacement(self.axes, self.power):
            counts = Counter(chosen)
            multiple = math.factorial(self.power) // math.prod(math.factorial(c) for c in counts.values())
            found[tuple((axis, 2 * c) for axis, c in sorted(counts.items()))] = multiple
        return found

    def __str__(self) -> str:
        axes = self.axes
        if isinstance(axes, range) and axes.step == 1:
            named = f"{axes.start}..{axes.stop - 1}"
        elif len(axes) <= 6:
            named = ", ".join(map(str, axes))
        else:
            named = f"{axes[0]}, {axes[1]}, .. {axes[-1]}; {len(axes)} in all"
        return f"lap{f'^{self.power}' if self.power > 1 else ''}[{named}]"


def _columns(axes: Iterable[int]) -> range | tuple[int, ...]:
    if isinstance(axes, range):
        found: range | tuple[int, ...] = axes if axes.step > 0 else axes[::-1]
    else:
        found = tuple(sorted(int(axis) for axis in axes))
        if len(found) > 1 and found[-1] - found[0] == (step := found[1] - found[0]) * (len(found) - 1) and step > 0:
            candidate = range(found[0], found[-1] + 1, step)
            found = candidate if found == tuple(candidate) else found
        elif len(found) == 1:
            found = range(found[0], found[0] + 1)
    if not found or found[0] < 0 or (isinstance(found, tuple) and len(set(found)) < len(found)):
        raise ConfigError(f"axes {tuple(axes)} must be different columns of x, one at least")
    return found


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
                raise ConfigError(_misfit(dense(derivative.index, self.entries), d))  # type: ignore[arg-type]
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
        raise ConfigError(_misfit(list(lengths.values())[1], d))  # type: ignore[arg-type]
    total: dict[Derivative, float] = {}
    for key, c in terms.items():
        derivative = as_derivative(key)
        total[derivative] = total.get(derivative, 0.0) + float(c)
    return Quantity.of(total, d)


def _is_dense(key: Sequence[Any]) -> bool:
    return bool(key) and not isinstance(key[0], tuple | list)
