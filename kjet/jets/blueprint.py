"""What a plan is made of: sorted quantities, and the rows of the jets that deliver them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..errors import ConfigError
from .bundles import Bundle
from .curves import Curve
from .directions import Direction, decompose
from .indices import SparseIndex, total_order
from .layout import Layout

__all__ = ["Atom", "Blueprint", "Options", "Symbol", "count_of", "powers_of_two"]

Atom = Direction | Bundle | Curve
"""What a sum takes up as a whole: one direction, many with fixed weights, or a curve."""


@dataclass(frozen=True, eq=False)
class Symbol:
    """A quantity, sorted by what has to be done about it.

    Attributes:
        terms: Plain derivatives by order, with exact coefficients.
        bundles: Bundles that stand in the same pass, with coefficients.
        outer: Bundles that are evaluated in passes of their own.
    """

    terms: Mapping[int, Mapping[SparseIndex, Fraction]]
    bundles: Mapping[Bundle, Fraction]
    outer: Mapping[Bundle, Fraction]

    @property
    def carried(self) -> dict[int, Fraction]:
        """First derivatives by axis, where higher ones of the same pass stand beside them."""
        highest = max([*self.terms, *(bundle.order for bundle in self.bundles)], default=0)
        return {} if highest < 2 else {index[0][0]: c for index, c in self.terms.get(1, {}).items()}


@dataclass(frozen=True)
class Options:
    """How mixed derivatives are decomposed.

    Attributes:
        curves: Take a single curve with sparse tangents where it needs fewer channels.
        scales: Lengths by axis over which the function changes; directions of mixed derivatives have such entries.
    """

    curves: bool = False
    scales: tuple[Fraction, ...] | None = None

    def decompose(self, terms: Mapping[SparseIndex, Fraction], known: Sequence[Direction]) -> dict[Direction, Fraction]:
        """Weights of directions, which are integer vectors in the scaled coordinates."""
        if self.scales is None:
            return decompose(terms, known)
        scales, order = self.scales, total_order(next(iter(terms)))
        scaled = {index: c / math.prod(scales[axis] ** k for axis, k in index) for index, c in terms.items()}
        original: dict[Direction, Direction] = {}
        for v in known:
            inner = tuple((axis, Fraction(e) / scales[axis] if len(v) > 1 else Fraction(e)) for axis, e in v)
            if all(e.denominator == 1 for _, e in inner):  # those of an estimator are not scaled
                original[tuple((axis, int(e)) for axis, e in inner)] = v
        found: dict[Direction, Fraction] = {}
        for v, weight in decompose(scaled, tuple(original)).items():
            if len(v) == 1:  # axes stay as they are: other derivatives use them
                found[v] = weight * scales[v[0][0]] ** order
            else:
                found[tuple((axis, e * scales[axis]) for axis, e in v)] = weight  # type: ignore[misc]
        return found


def count_of(atom: Atom) -> int:
    """Number of directions."""
    return atom.count if isinstance(atom, Bundle) else 1


def powers_of_two(scales: Sequence[float] | None, d: int) -> tuple[Fraction, ...] | None:
    """Round positive scales to powers of two, which multiply without rounding.

    Raises:
        ConfigError: If they are not d positive numbers.
    """
    if scales is None:
        return None
    values = [float(scale) for scale in scales]
    if len(values) != d or not all(0 < value < math.inf for value in values):
        raise ConfigError(f"scales need {d} positive numbers, one for each coordinate; got {values}")
    return tuple(Fraction(2) ** round(math.log2(value)) for value in values)


@dataclass(frozen=True, eq=False)
class Blueprint:
    """Everything that a plan is made of.

    Attributes:
        atoms: In the order of the rows.
        layout: Rows of the jets.
        reads: For each quantity, ``(order, row, factor)`` with the factorial included; order 0 is the value.
        bends: For each order, vectors of its rows by axis, ``{row: {axis: entry}}``.
        parts: For each quantity, the weights of atoms by order.
        symbols: The quantities themselves.
        carried: For each quantity, first derivatives by axis that are carried along.
        slopes: For each array of products of gradients, what its first derivatives go along; nothing if it is taken in
            passes of its own.
    """

    atoms: tuple[Atom, ...]
    layout: Layout
    reads: tuple[tuple[tuple[int, int, float], ...], ...]
    bends: tuple[dict[int, dict[int, float]], ...]
    parts: tuple[Mapping[int, Mapping[Atom, Fraction]], ...]
    symbols: tuple[Symbol, ...]
    carried: tuple[Mapping[int, Fraction], ...]
    slopes: tuple[tuple[Atom, ...], ...] = ()

    def starts(self) -> dict[Atom, int]:
        """Place of the first direction of each atom."""
        places = itertools.accumulate((count_of(atom) for atom in self.atoms), initial=0)
        return dict(zip(self.atoms, places, strict=False))

    def cost(self) -> int:
        """Channels."""
        return self.layout.channels()
