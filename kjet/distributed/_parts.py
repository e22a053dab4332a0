"""What one of several ranks does of a plan."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..jets import Layout, Plan
from ..jets.blueprint import Atom, Blueprint, count_of
from ..jets.bundles import Bundle
from ..jets.plan import Delivered
from ..jets.seeds import Seeds
from ..typing import Float, Tensor
from .mesh import Axis

__all__ = ["Part", "part_of"]

Run = tuple[int, float | Float[Tensor, " s"]]


@dataclass(frozen=True, eq=False)
class Part:
    """A rank's part of a plan.

    Attributes:
        plan: Gives, for quantities in `summed`, a part of the value, and the others whole.
        summed: Quantities, and products of gradients, whose parts are to be added over the ranks.
        draws: For each draw of the plan, the first and last, exclusive, of the directions that this rank pushes.
    """

    plan: Plan
    summed: tuple[Delivered, ...]
    draws: tuple[tuple[int, int], ...]


def part_of(plan: Plan, axis: Axis) -> Part:
    """Take a rank's part of a plan.

    Directions that end in a sum are shared; rank 0 has one of each sum at least. What else belongs to a quantity with a
    sum in it (single derivatives, the value, first derivatives carried along) is rank 0's alone, and so are directions
    that nothing else needs. Quantities without a sum are delivered by every rank. Products of gradients are summed over
    directions, too: those that are shared, or a share of the axes.
    """
    draws = tuple(axis.run(len(family.weights)) for family in plan.sources)
    if axis.size == 1:
        return Part(plan, (), draws)
    sharing = _Sharing(plan, axis, draws)
    outer = []
    for whole in plan.outer:
        bundle = whole.bundle
        first, last = axis.run(bundle.count) if bundle.draw is None else draws[bundle.draw]
        if first < last:
            part = _exact_part(bundle, first, last) if bundle.draw is None else _sampled_part(bundle, first, last)
            outer.append(whole._replace(bundle=part))
    found = tuple(name for place, name in enumerate(plan.quantities) if place in sharing.summed)
    summed: tuple[Delivered, ...] = (*found, *plan.products)
    return Part(replace(plan, blueprint=sharing.blueprint(), outer=tuple(outer)), summed, draws)


@dataclass(frozen=True, eq=False)
class _Row:
    """Directions of this rank that follow one another.

    Attributes:
        atom: The directions.
        order: Where they end here, which may be below where they end in the whole plan.
        columns: Their places among those that end there in a sum; None if they are kept.
        start: The place of the first in the whole plan.
    """

    atom: Atom
    order: int
    columns: tuple[int, ...] | None
    start: int

    @property
    def count(self) -> int:
        return count_of(self.atom)


class _Sharing:
    """Works out the blueprint of one rank; thrown away afterwards."""

    def __init__(self, plan: Plan, axis: Axis, draws: tuple[tuple[int, int], ...]) -> None:
        self.axis, self.draws, self.whole, self.layout = axis, draws, plan.blueprint, plan.layout
        outside = {i for outer in plan.outer for i, c in enumerate(outer.coefficients) if c}
        reads, self.starts = self.whole.reads, self.whole.starts()
        self.summed = outside | {i for i, found in enumerate(reads) if any(self._is_sum(k, row) for k, row, _ in found)}
        first = axis.rank == 0
        self.reads = [
            [read for read in found if first or place not in self.summed or self._is_sum(*read[:2])]
            for place, found in enumerate(reads)
        ]
        self.ending = self._ending()
        self.slopes = [self._slopes(atoms) for atoms in self.whole.slopes]

    def _slopes(self, atoms: Sequence[Atom]) -> list[int]:
        """Places of single directions whose first derivatives this rank multiplies.

        Those that it pushes for a sum in any case, and its share of those that no rank pushes for one.
        """
        layout = self.layout
        singles = [self.starts[atom] for atom in atoms if not isinstance(atom, Bundle)]
        shared = {
            at for at in singles for k in range(1, layout.order + 1) if layout.kept[k - 1] <= at < layout.active(k)
        }
        others = [at for at in singles if at not in shared]
        first, last = self.axis.run(len(others))
        return sorted([*(at for at in singles if at in self.ending), *others[first:last]])

    def _is_sum(self, k: int, row: int) -> bool:
        return k > 0 and row >= self.layout.kept[k - 1]

    def blueprint(self) -> Blueprint:
        rows = self._rows()
        layout = self._layout(rows)
        starts = itertools.accumulate((row.count for row in rows), initial=0)
        places = {row.start: start for row, start in zip(rows, starts, strict=False)}

        def moved(k: int, row: int) -> int:
            """Row of this rank; -1 if nothing of it is here."""
            if not self._is_sum(k, row):
                return row if k == 0 else places[row]
            if k > layout.order or layout.weights[k - 1] is None:
                return -1
            return layout.kept[k - 1] + row - self.layout.kept[k - 1]

        reads = tuple(
            tuple((k, new, factor) for k, row, factor in found if (new := moved(k, row)) >= 0) for found in self.reads
        )
        read = {(k, row) for found in self.reads for k, row, _ in found}
        bends: list[dict[int, dict[int, float]]] = [{} for _ in range(layout.order)]
        for k, bent in enumerate(self.whole.bends, 1):
            for row, vector in bent.items():
                # A sum is one over all ranks, and takes what it carries once.
                if (k, row) in read and (self.axis.rank == 0 or not self._is_sum(k, row)):
                    bends[k - 1][moved(k, row)] = vector
        atoms = tuple(row.atom for row in rows)
        here = {row.start: row.atom for row in rows}
        slopes = [tuple(here[at] for at in places) for places in self.slopes]
        for place, whole in enumerate(self.whole.slopes):
            bundles = (here.get(self.starts[atom]) for atom in whole if isinstance(atom, Bundle))
            slopes[place] += tuple(atom for atom in bundles if atom is not None)
        return replace(self.whole, atoms=atoms, layout=layout, reads=reads, bends=tuple(bends), slopes=tuple(slopes))

    def _rows(self) -> list[_Row]:
        """Directions of this rank, as a layout wants them sorted."""
        needed: dict[int, int] = {}
        for k, row, _ in itertools.chain(*self.reads):
            if k and not self._is_sum(k, row):
                needed[row] = max(k, needed.get(row, 0))
        for place in itertools.chain(*self.slopes):
            needed.setdefault(place, 1)
        found: list[_Row] = []
        ending, start = self.ending, 0
        for atom in self.whole.atoms:
            if isinstance(atom, Bundle):
                found += self._bundle(atom, start)
                start += atom.count
                continue
            if start in ending:
                k = ending[start]
                found.append(_Row(atom, k, (start - self.layout.kept[k - 1],), start))
            elif start in needed:
                found.append(_Row(atom, needed[start], None, start))
            start += 1
        return sorted(found, key=lambda row: (-row.order, row.columns is not None, isinstance(row.atom, Bundle)))

    def _ending(self) -> dict[int, int]:
        """Orders at which this rank's single directions end in a sum, by place."""
        singles = [at for atom, at in self.starts.items() if not isinstance(atom, Bundle)]
        found: dict[int, int] = {}
        for k in range(1, self.layout.order + 1):
            inside = [at for at in singles if self.layout.kept[k - 1] <= at < self.layout.active(k)]
            first, last = self.axis.run(len(inside))
            found |= dict.fromkeys(inside[first:last], k)
        return found

    def _bundle(self, bundle: Bundle, start: int) -> list[_Row]:
        """This rank's directions of a bundle: the same of every run, made of the same drawn vectors."""
        if bundle.draw is None:  # an exact sum; each of its directions is on one rank
            first, last = self.axis.run(bundle.count)
            before = start - self.layout.kept[bundle.order - 1]
            columns = tuple(range(before + first, before + last))
            part = _exact_part(bundle, first, last)
            return [_Row(part, bundle.order, columns, start)] if first < last else []
        first, last = self.draws[bundle.draw]
        if first == last:
            return []
        part = _sampled_part(bundle, first, last)
        if bundle.kept:
            return [_Row(part, bundle.order, None, start)]
        found: list[int] = []
        before = start - self.layout.kept[bundle.order - 1]
        for count, _ in bundle.runs:
            found += range(before + first, before + last)
            before += count
        return [_Row(part, bundle.order, tuple(found), start)]

    def _layout(self, rows: list[_Row]) -> Layout:
        kept, weights = [], []
        for k in range(1, max((row.order for row in rows), default=0) + 1):
            kept.append(sum(row.count for row in rows if row.order > k or (row.order == k and row.columns is None)))
            columns = [c for row in rows if row.order == k and row.columns is not None for c in row.columns]
            whole = self.layout.weights[k - 1]
            weights.append(whole[:, columns] if whole is not None and columns else None)
        return Layout(tuple(kept), tuple(weights))


def _sampled_part(bundle: Bundle, first: int, last: int) -> Bundle:
    """What is made of some of the drawn vectors: the same places of every run."""
    cut = ((last - first, weight[first:last] if isinstance(weight, Tensor) else weight) for _, weight in bundle.runs)
    return replace(bundle, runs=tuple(cut))


def _exact_part(bundle: Bundle, first: int, last: int) -> Bundle:
    """Some directions of an exact sum."""
    assert bundle.directions is not None
    runs: list[Run] = []
    start = 0
    for count, weight in bundle.runs:
        low, high = max(first - start, 0), min(last - start, count)
        if low < high:
            runs.append((high - low, weight[low:high] if isinstance(weight, Tensor) else weight))
        start += count
    return replace(bundle, runs=tuple(runs), directions=_From(bundle.directions, first))


@dataclass(frozen=True)
class _From:
    """Directions from a place on."""

    directions: Callable[[int, int, Tensor], Seeds]
    first: int

    def __call__(self, first: int, last: int, like: Tensor) -> Seeds:
        return self.directions(self.first + first, self.first + last, like)
