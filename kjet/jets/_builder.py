"""How a plan is worked out: which directions at which orders, what is summed, and what is read from where."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor
from ._bundles import Bundle
from .curves import Curve
from .derivative import SparseIndex, total_order
from .directions import Direction, decompose
from .layout import Layout

__all__ = ["Atom", "Blueprint", "Options", "Symbol", "blueprint", "powers_of_two"]

Atom = Direction | Bundle | Curve
"""What a sum takes up as a whole: one direction, many with fixed weights, or a curve."""

Group = tuple[dict[Atom, Fraction], dict[int, Fraction]]
"""A sum at one order: weights of its atoms, and first derivatives by axis that are carried along; up to a factor."""


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
    """

    atoms: tuple[Atom, ...]
    layout: Layout
    reads: tuple[tuple[tuple[int, int, float], ...], ...]
    bends: tuple[dict[int, dict[int, float]], ...]
    parts: tuple[Mapping[int, Mapping[Atom, Fraction]], ...]
    symbols: tuple[Symbol, ...]
    carried: tuple[Mapping[int, Fraction], ...]

    def cost(self) -> int:
        """Channels."""
        return self.layout.channels()


def blueprint(symbols: Sequence[Symbol], options: Options) -> Blueprint:
    """Work out the cheaper of two plans: with first derivatives carried by higher ones, and without."""
    straight = _Builder(symbols, frozenset(), options).build()
    carrying = {place for place, symbol in enumerate(symbols) if symbol.carried}
    while carrying:
        curved = _Builder(symbols, frozenset(carrying), options).build()
        if isinstance(curved, Blueprint):
            assert isinstance(straight, Blueprint)  # nothing to carry
            return straight if straight.cost() <= curved.cost() else curved
        carrying.discard(curved)
    assert isinstance(straight, Blueprint)
    return straight


class _Builder:
    """Works out a blueprint; thrown away afterwards.

    Args:
        symbols: What is wanted.
        carrying: Places of those whose sums of higher derivatives carry the first derivatives beside them.
        options: How mixed derivatives are decomposed.
    """

    def __init__(self, symbols: Sequence[Symbol], carrying: frozenset[int], options: Options) -> None:
        self.symbols, self.options = symbols, options
        self.orders: dict[Direction | Curve, int] = {}
        self.bundles = tuple(dict.fromkeys(bundle for symbol in symbols for bundle in symbol.bundles))
        self.carried = [symbol.carried if place in carrying else {} for place, symbol in enumerate(symbols)]
        self.parts: list[dict[int, dict[Atom, Fraction]]] = [{} for _ in symbols]
        self._place_bundles()
        # Pure derivatives first, so that mixed ones can reuse their directions; high orders first for the same reason.
        for mixed in (False, True):
            for place, order, terms in sorted(self._homogeneous(), key=lambda entry: -entry[1]):
                if any(len(index) > 1 for index in terms) == mixed and not (mixed and self._on_curves(place, terms)):
                    self._place(place, order, self._directions(order, terms))

    def _homogeneous(self) -> Iterable[tuple[int, int, Mapping[SparseIndex, Fraction]]]:
        for place, symbol in enumerate(self.symbols):
            for order, terms in symbol.terms.items():
                if order and not (order == 1 and self.carried[place]):
                    yield place, order, terms

    def _place_bundles(self) -> None:
        for place, symbol in enumerate(self.symbols):
            for bundle, c in symbol.bundles.items():
                self._place(place, bundle.order, {bundle: c})
                lone = {direction: c * weight for direction, weight in bundle.lone.items()}
                self._use(lone, bundle.order)
                self._place(place, bundle.order, lone)

    def _place(self, place: int, order: int, weights: Mapping[Any, Fraction]) -> None:
        part = self.parts[place].setdefault(order, {})
        for atom, weight in weights.items():
            part[atom] = part.get(atom, Fraction(0)) + weight
            if not part[atom]:
                del part[atom]

    def _directions(self, order: int, terms: Mapping[SparseIndex, Fraction]) -> dict[Direction, Fraction]:
        found = self.options.decompose(terms, self._known(order))
        self._use(found, order)
        return found

    def _known(self, order: int) -> tuple[Direction, ...]:
        return tuple(v for v, k in self.orders.items() if k >= order and not isinstance(v, Curve))

    def _on_curves(self, place: int, terms: Mapping[SparseIndex, Fraction]) -> bool:
        """Put mixed derivatives on curves of their own, if all have one and that takes fewer channels."""
        curves = {index: Curve.of(index) for index in terms if len(index) > 1} if self.options.curves else {}
        if not curves or None in curves.values():
            return False
        order = total_order(next(iter(terms)))
        new = len(self.options.decompose(terms, self._known(order)).keys() - self.orders.keys())
        channels = sum(curve.order for curve in curves.values() if curve not in self.orders)  # type: ignore
        if channels >= new * (order - 1) + 1:
            return False
        for index, curve in curves.items():
            assert curve is not None  # seen above
            self.orders[curve] = curve.order
            self._place(place, curve.order, {curve: terms[index] * curve.weight})
        pure: dict[SparseIndex, Fraction] = {index: c for index, c in terms.items() if len(index) == 1}
        if pure:
            self._place(place, order, self._directions(order, pure))
        return True

    def _use(self, directions: Iterable[Direction], order: int) -> None:
        for v in directions:
            self.orders[v] = max(order, self.orders.get(v, 0))

    def build(self) -> Blueprint | int:
        """Return the blueprint, or the place of a quantity whose first derivatives nothing can carry."""
        highest = max([*self.orders.values(), *(bundle.order for bundle in self.bundles)], default=0)
        self.sums = {k: self._sums(k) for k in range(1, highest + 1)}
        atoms = self._sorted()
        kept, weights = [], []
        for k in range(1, highest + 1):
            summed, groups = self.sums[k]
            goes_on = [atom for atom in atoms if self._order(atom) >= k and atom not in summed]
            kept.append(sum(atom.count if isinstance(atom, Bundle) else 1 for atom in goes_on))
            rows = [self._row(group, [atom for atom in atoms if atom in summed]) for group, _ in groups]
            weights.append(torch.stack(rows) if summed else None)
        layout = Layout(tuple(kept), tuple(weights))
        starts = dict(zip(atoms, itertools.accumulate([0, *(_count(atom) for atom in atoms)]), strict=False))
        reads = [self._reads(place, starts, layout) for place in range(len(self.symbols))]
        bends = self._bends(reads, atoms, starts, layout)
        if isinstance(bends, int):
            return bends
        values = [symbol.terms.get(0, {}).get(()) for symbol in self.symbols]
        whole = tuple(((0, 0, float(c)), *found) if c else tuple(found) for c, found in zip(values, reads, strict=True))
        return Blueprint(atoms, layout, whole, bends, tuple(self.parts), tuple(self.symbols), tuple(self.carried))

    def _order(self, atom: Atom) -> int:
        return atom.order if isinstance(atom, Bundle) else self.orders[atom]

    def _sorted(self) -> tuple[Atom, ...]:
        """Atoms by falling order, those that are summed behind those that are kept, bundles last."""
        singles = sorted(self.orders, key=lambda v: (-self.orders[v], v in self.sums[self.orders[v]][0]))
        return tuple(sorted([*singles, *self.bundles], key=self._order, reverse=True))

    @staticmethod
    def _row(group: Mapping[Atom, Fraction], atoms: Sequence[Atom]) -> Float[Tensor, " s"]:
        parts = []
        for atom in atoms:
            weight = float(group.get(atom, 0))
            parts.append(
                weight * atom.weights() if isinstance(atom, Bundle) else torch.tensor([weight], dtype=torch.float64)
            )
        return torch.cat(parts)

    def _sums(self, k: int) -> tuple[set[Atom], list[Group]]:
        """What is summed at order k: bundles, and the directions that end there if that takes fewer rows."""
        bundles: set[Atom] = {bundle for bundle in self.bundles if bundle.order == k}
        ending: set[Atom] = {v for v, top in self.orders.items() if top == k}
        whole, apart = self._groups(k, ending | bundles), self._groups(k, bundles)
        bent = any(along for _, along in whole) and any(len(group) > 1 for group, _ in whole)
        if len(whole) < len(ending) + len(apart) + (bent and not bundles):
            return ending | bundles, whole
        return bundles, apart

    def _groups(self, k: int, summed: set[Atom]) -> list[Group]:
        found: list[Group] = []
        for place in range(len(self.symbols)):
            group, _ = self._group(place, k, summed)
            if group[0] and group not in found:
                found.append(group)
        return found

    def _group(self, place: int, k: int, summed: set[Atom]) -> tuple[Group, Fraction]:
        """Sum of one quantity at order k, divided by its first weight, and that weight."""
        part = self.parts[place]
        group = {atom: weight for atom, weight in part.get(k, {}).items() if atom in summed}
        along = self.carried[place] if k == max(part, default=0) else {}
        scale = group[min(group, key=self._key)] if group else Fraction(1)
        scaled = {atom: weight / scale for atom, weight in group.items()}
        return (scaled, {axis: c / scale for axis, c in along.items()}), scale

    def _key(self, atom: Atom) -> tuple[int, Direction]:
        if isinstance(atom, Bundle):
            return self.bundles.index(atom), ()
        return (-1, atom.tangents) if isinstance(atom, Curve) else (-2, atom)

    def _reads(self, place: int, starts: Mapping[Atom, int], layout: Layout) -> list[tuple[int, int, float]]:
        reads: list[tuple[int, int, float]] = []
        factorial = 1
        for k in range(1, layout.order + 1):
            factorial *= k
            summed, groups = self.sums[k]
            group, scale = self._group(place, k, summed)
            if group[0]:
                reads.append((k, layout.kept[k - 1] + groups.index(group), float(factorial * scale)))
            part = self.parts[place].get(k, {})
            reads += [(k, starts[v], float(factorial * w)) for v, w in part.items() if v not in summed]
        return reads

    def _bends(
        self,
        reads: Sequence[Sequence[tuple[int, int, float]]],
        atoms: Sequence[Atom],
        starts: Mapping[Atom, int],
        layout: Layout,
    ) -> tuple[dict[int, dict[int, float]], ...] | int:
        """Bend, for each quantity that carries something, the curves of one row that ends there and is its own."""
        bends: list[dict[int, dict[int, float]]] = [{} for _ in range(layout.order)]
        ends = {(self._order(atom), starts[atom]) for atom in atoms}
        for place, along in enumerate(self.carried):
            top = max(self.parts[place], default=0)
            for k, row, factor in reads[place] if along else ():
                ending = k == top and (row >= layout.kept[k - 1] or (k, row) in ends)
                if ending and sum((k, row) == r[:2] for found in reads for r in found) == 1:
                    bends[k - 1][row] = {axis: float(c) / factor for axis, c in along.items()}
                    break
            else:
                if along:
                    return place
        return tuple(bends)


def _count(atom: Atom) -> int:
    return atom.count if isinstance(atom, Bundle) else 1
