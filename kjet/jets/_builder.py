"""How a plan is worked out: which directions at which orders, what is summed, and what is read from where."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch

from ..typing import Float, Tensor
from .blueprint import Atom, Blueprint, Options, Symbol, count_of
from .bundles import Bundle
from .curves import Curve
from .directions import Direction
from .indices import SparseIndex, total_order
from .layout import Layout

__all__ = ["blueprint"]

Group = tuple[dict[Atom, Fraction], dict[int, Fraction]]
"""A sum at one order: weights of its atoms, and first derivatives by axis that are carried along; up to a factor."""


def blueprint(symbols: Sequence[Symbol], options: Options, slopes: Sequence[Sequence[Atom]] = ()) -> Blueprint:
    """Work out the cheaper of two plans: with first derivatives carried by higher ones, and without.

    Args:
        symbols: What is wanted.
        options: How mixed derivatives are decomposed.
        slopes: Directions along which first derivatives are wanted one by one, for each array of their products.
    """
    straight = _Builder(symbols, frozenset(), options, slopes).build()
    carrying = {place for place, symbol in enumerate(symbols) if symbol.carried}
    while carrying:
        curved = _Builder(symbols, frozenset(carrying), options, slopes).build()
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
        slopes: Directions whose first derivatives are kept.
    """

    def __init__(
        self,
        symbols: Sequence[Symbol],
        carrying: frozenset[int],
        options: Options,
        slopes: Sequence[Sequence[Atom]] = (),
    ) -> None:
        self.symbols, self.options = symbols, options
        self.orders: dict[Direction | Curve, int] = {}
        self.slopes = tuple(tuple(atoms) for atoms in slopes)
        self.kept = frozenset(itertools.chain(*self.slopes))
        found = [bundle for symbol in symbols for bundle in symbol.bundles]
        self.bundles = tuple(dict.fromkeys([*found, *(atom for atom in self._kept() if isinstance(atom, Bundle))]))
        self.carried = [symbol.carried if place in carrying else {} for place, symbol in enumerate(symbols)]
        self.parts: list[dict[int, dict[Atom, Fraction]]] = [{} for _ in symbols]
        self._place_bundles()
        self._use((atom for atom in self._kept() if not isinstance(atom, Bundle | Curve)), 1)
        # Pure derivatives first, so that mixed ones can reuse their directions; high orders first for the same reason.
        for mixed in (False, True):
            for place, order, terms in sorted(self._homogeneous(), key=lambda entry: -entry[1]):
                if any(len(index) > 1 for index in terms) == mixed and not (mixed and self._on_curves(place, terms)):
                    self._place(place, order, self._directions(order, terms))

    def _kept(self) -> Iterable[Atom]:
        return itertools.chain(*self.slopes)  # in order, unlike the set

    def _homogeneous(self) -> Iterable[tuple[int, int, Mapping[SparseIndex, Fraction]]]:
        for place, symbol in enumerate(self.symbols):
            for order, terms in symbol.terms.items():
                if order and not (order == 1 and self.carried[place]):
                    yield place, order, terms

    def _place_bundles(self) -> None:
        for place, symbol in enumerate(self.symbols):
            for bundle, c in symbol.bundles.items():
                self._place(place, bundle.order, {bundle: c})
            for bundle, c in (*symbol.bundles.items(), *symbol.outer.items()):
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
            kept.append(sum(count_of(atom) for atom in goes_on))
            rows = [self._row(group, [atom for atom in atoms if atom in summed]) for group, _ in groups]
            weights.append(torch.stack(rows) if summed else None)
        layout = Layout(tuple(kept), tuple(weights))
        starts = dict(zip(atoms, itertools.accumulate([0, *(count_of(atom) for atom in atoms)]), strict=False))
        reads = [self._reads(place, starts, layout) for place in range(len(self.symbols))]
        bends = self._bends(reads, atoms, starts, layout)
        if isinstance(bends, int):
            return bends
        values = [symbol.terms.get(0, {}).get(()) for symbol in self.symbols]
        whole = tuple(((0, 0, float(c)), *found) if c else tuple(found) for c, found in zip(values, reads, strict=True))
        parts, symbols, carried = tuple(self.parts), tuple(self.symbols), tuple(self.carried)
        return Blueprint(atoms, layout, whole, bends, parts, symbols, carried, self.slopes)

    def _order(self, atom: Atom) -> int:
        return atom.order if isinstance(atom, Bundle) else self.orders[atom]

    def _sorted(self) -> tuple[Atom, ...]:
        """Atoms by falling order, those that are summed behind those that are kept, bundles last."""
        atoms: list[Atom] = [*self.orders, *self.bundles]
        return tuple(sorted(atoms, key=lambda atom: (-self._order(atom), atom in self.sums[self._order(atom)][0])))

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
        bundles: set[Atom] = {bundle for bundle in self.bundles if bundle.order == k and not bundle.kept}
        single = self.kept if k == 1 else frozenset()
        ending: set[Atom] = {v for v, top in self.orders.items() if top == k and v not in single}
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
