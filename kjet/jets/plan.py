"""From a set of derivatives to the smallest jets that deliver them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from ..typing import Float, MultiIndex, Tensor
from .directions import Direction, decompose
from .jet import Jet
from .layout import Layout
from .operator import check_index

__all__ = ["Plan", "Quantity"]

Quantity = tuple[tuple[MultiIndex, float], ...]
"""A sum of partial derivatives with constant coefficients, as sorted ``(multi-index, coefficient)`` pairs."""


def quantity(terms: Mapping[MultiIndex, float]) -> Quantity:
    """Make a hashable sum of derivatives.

    >>> quantity({(0, 2): 1.0, (2, 0): 1.0})
    (((0, 2), 1.0), ((2, 0), 1.0))
    """
    return tuple(sorted(terms.items()))


@dataclass(frozen=True, eq=False)
class Plan:
    """Directions, orders and sums for one Taylor pass, and how the requested derivatives are read from it.

    First derivatives that stand in a sum with higher ones, as in ``u_t - nu u_xx``, need no channel of their own: along
    a curve ``x + s v + s^K a`` the coefficient of order K is ``D_v^K u / K! + a . grad u``.

    Attributes:
        directions: Integer directions, sorted by falling order.
        layout: Rows carried by the jets.
        reads: For each quantity, for each order k, the weights over the rows of coefficient k (k! included).
        bends: For each order, the vectors ``a`` of its rows (rows, d), or None where curves are straight lines.
    """

    quantities: tuple[Quantity, ...]
    directions: tuple[Direction, ...]
    layout: Layout
    reads: tuple[tuple[tuple[int, int, float], ...], ...]
    bends: tuple[Float[Tensor, "_ d"] | None, ...]
    d: int

    @classmethod
    def build(cls, quantities: Sequence[Quantity], d: int) -> Plan:
        """Plan the derivatives of a function of ``d`` coordinates.

        Raises:
            ConfigError: If a multi-index does not have d entries.

        >>> plan = Plan.build([quantity({(2, 0): 1.0, (0, 2): 1.0}), quantity({(1, 0): 1.0})], d=2)
        >>> plan.layout.kept, plan.cost()
        ((2, 0), 4)
        >>> Plan.build([quantity({(2, 0): -0.1, (0, 1): 1.0}), quantity({(1, 0): 1.0})], d=2).cost()
        3
        """
        names = tuple(dict.fromkeys(quantities))
        straight = _Builder(names, d).plan()
        assert straight is not None  # nothing to carry
        curved = _Builder(names, d, carry=True).plan()
        return straight if curved is None or straight.cost() <= curved.cost() else curved

    def cost(self) -> int:
        """Channels propagated: the cost in forward passes of the network."""
        return self.layout.channels()

    def explain(self) -> str:
        """Describe the directions and the cost in words."""
        lines = [f"{len(self.quantities)} derivatives from {self.cost()} channels, order {self.layout.order}"]
        for k in range(1, self.layout.order + 1):
            weights = self.layout.weights[k - 1]
            sums = "" if weights is None else f", {weights.shape[0]} sums over {weights.shape[1]} directions"
            bent = "" if self.bends[k - 1] is None else ", first derivatives carried along"
            lines.append(f"order {k}: {self.layout.kept[k - 1]} kept{sums}{bent}")
        lines.append("directions: " + ", ".join(str(v) for v in self.directions))
        return "\n".join(lines)

    def seed(self, x: Float[Tensor, "n d"]) -> Jet:
        """Start jets at the points: ``x + s v`` for every direction v, bent where first derivatives are carried."""
        return seed(x, x.new_tensor(self.directions, dtype=x.dtype).reshape(-1, self.d), self.layout, self.bends)

    def read(self, y: Jet) -> dict[Quantity, Tensor]:
        """Read the requested derivatives, each of the shape of ``y``."""
        zero = None
        result: dict[Quantity, Tensor] = {}
        for name, reads in zip(self.quantities, self.reads, strict=True):
            total = None
            for k, row, weight in reads:
                c = y.primal if k == 0 else y.coefficients[k]
                if c is None:
                    continue
                term = c if k == 0 else c[row]
                term = term if weight == 1 else weight * term
                total = term if total is None else total + term
            if total is None:
                zero = torch.zeros_like(y.primal) if zero is None else zero
                total = zero
            result[name] = total.expand(y.shape) if total.shape != y.shape else total
        return result

    def __call__(self, function: Callable[[Any], Any], x: Float[Tensor, "n d"]) -> dict[Quantity, Tensor]:
        """Evaluate every derivative of ``function`` at the points in one pass."""
        if self.layout.order == 0:
            value = function(x)
            return {name: self._value(name, value) for name in self.quantities}
        y = function(self.seed(x))
        if not isinstance(y, Jet):
            y = Jet([y, *(None,) * self.layout.order], self.layout)
        return self.read(y)

    def _value(self, name: Quantity, value: Tensor) -> Tensor:
        """Quantity of order 0: a multiple of the value, or nothing where every coefficient is zero."""
        factor = dict(name).get((0,) * self.d, 0.0)
        return value if factor == 1 else factor * value


def seed(x: Tensor, directions: Tensor, layout: Layout, bends: Sequence[Tensor | None] = ()) -> Jet:
    """Jets ``x + t v``: directions of shape (s, d) shared by all points, or (s, n, d), and bends (rows, d) by order."""

    def shared(rows: Tensor) -> Tensor:
        return rows.reshape(rows.shape[0], *(1,) * (x.ndim - rows.ndim + 1), *rows.shape[1:])

    higher = [None if a is None else shared(a.to(x)) for a in bends[1:]] or [None] * (layout.order - 1)
    return Jet([x, layout.reduce(1, shared(directions)), *higher], layout)


Groups = list[tuple[dict[Direction, Fraction], dict[int, Fraction]]]
"""Sums at one order: weights of the directions, and first derivatives by axis that are carried along."""


class _Builder:
    """Works out a plan; thrown away afterwards.

    Args:
        quantities: What is wanted.
        d: Number of coordinates.
        carry: Let sums of higher derivatives carry the first derivatives that stand with them.
    """

    def __init__(self, quantities: tuple[Quantity, ...], d: int, carry: bool = False) -> None:
        self.quantities, self.d = quantities, d
        self.orders: dict[Direction, int] = {}
        by_order = [_homogeneous(q, d) for q in quantities]
        self.carried = [_carried(groups) if carry else {} for groups in by_order]
        # Pure derivatives first, so that mixed ones can reuse their directions.
        self.parts: list[dict[int, dict[Direction, Fraction]]] = [{} for _ in quantities]
        for mixed in (False, True):
            for place, groups in enumerate(by_order):
                for order, terms in groups.items():
                    if _is_mixed(terms) == mixed and not (order == 1 and self.carried[place]):
                        self.parts[place][order] = self._directions(order, terms)

    def _directions(self, order: int, terms: Mapping[MultiIndex, Fraction]) -> dict[Direction, Fraction]:
        if order == 0:
            return {}
        found = decompose(terms, tuple(v for v, k in self.orders.items() if k >= order))
        for v in found:
            self.orders[v] = max(order, self.orders.get(v, 0))
        return found

    def plan(self) -> Plan | None:
        """Return the plan, or None where not every sum can carry what it should."""
        order = max(self.orders.values(), default=0)
        self.sums = {k: self._sums(k) for k in range(1, order + 1)}
        directions = self._sorted()
        kept, weights = [], []
        for k in range(1, order + 1):
            ending, groups = self.sums[k]
            kept.append(sum(self.orders[v] >= k and v not in ending for v in directions))
            rows = [[float(group.get(v, 0)) for v in directions if v in ending] for group, _ in groups]
            weights.append(torch.tensor(rows, dtype=torch.float64) if ending else None)
        layout = Layout(tuple(kept), tuple(weights))
        reads = [self._reads(place, directions, layout) for place in range(len(self.quantities))]
        bends = self._bends(reads, directions, layout)
        if bends is None:
            return None
        values = [dict(terms).get((0,) * self.d) for terms in self.quantities]
        whole = tuple(((0, 0, float(c)), *found) if c else tuple(found) for c, found in zip(values, reads, strict=True))
        return Plan(self.quantities, directions, layout, whole, bends, self.d)

    def _sorted(self) -> tuple[Direction, ...]:
        """Directions by falling order, those that are summed behind those that are kept."""
        return tuple(sorted(self.orders, key=lambda v: (-self.orders[v], v in self.sums[self.orders[v]][0])))

    def _sums(self, k: int) -> tuple[set[Direction], Groups]:
        """Sum the directions that end at order k, where that takes fewer rows than keeping them."""
        ending = {v for v, top in self.orders.items() if top == k}
        groups: Groups = []
        for part, carried in zip(self.parts, self.carried, strict=True):
            group = {v: w for v, w in part.get(k, {}).items() if v in ending}
            along = carried if k == max(part, default=0) else {}
            if group and (group, along) not in groups:
                groups.append((group, along))
        single = all(len(group) == 1 for group, _ in groups)
        bent = any(along for _, along in groups) and not single
        return (ending, groups) if len(groups) < len(ending) + bent else (set(), [])

    def _reads(self, place: int, directions: tuple[Direction, ...], layout: Layout) -> list[tuple[int, int, float]]:
        reads: list[tuple[int, int, float]] = []
        factorial = 1.0
        for k in range(1, layout.order + 1):
            factorial *= k
            part = self.parts[place].get(k, {})
            ending, groups = self.sums[k]
            group = {v: w for v, w in part.items() if v in ending}
            if group:
                along = self.carried[place] if k == max(self.parts[place]) else {}
                reads.append((k, layout.kept[k - 1] + groups.index((group, along)), factorial))
            reads += [(k, directions.index(v), factorial * float(w)) for v, w in part.items() if v not in ending]
        return reads

    def _bends(
        self, reads: list[list[tuple[int, int, float]]], directions: tuple[Direction, ...], layout: Layout
    ) -> tuple[Tensor | None, ...] | None:
        """Bend, for each quantity that carries something, the curves of one row that ends there and is its own."""
        bends = [torch.zeros(layout.rows(k), self.d, dtype=torch.float64) for k in range(1, layout.order + 1)]
        for place, along in enumerate(self.carried):
            top = max(self.parts[place], default=0)
            if not along:
                continue
            for k, row, factor in reads[place]:
                ends = k == top and (row >= layout.kept[k - 1] or self.orders[directions[row]] == k)
                if ends and sum((k, row) == r[:2] for found in reads for r in found) == 1:
                    for axis, c in along.items():
                        bends[k - 1][row, axis] = float(c) / factor
                    break
            else:
                return None
        return tuple(a if a.any() else None for a in bends)


def _carried(groups: Mapping[int, Mapping[MultiIndex, Fraction]]) -> dict[int, Fraction]:
    """First derivatives by axis, where higher ones stand beside them."""
    if max(groups, default=0) < 2:
        return {}
    return {index.index(1): c for index, c in groups.get(1, {}).items()}


def _homogeneous(terms: Quantity, d: int) -> dict[int, dict[MultiIndex, Fraction]]:
    groups: dict[int, dict[MultiIndex, Fraction]] = {}
    for index, coefficient in terms:
        checked = check_index(index, d)
        groups.setdefault(sum(checked), {})[checked] = Fraction(coefficient)
    return groups


def _is_mixed(terms: Mapping[MultiIndex, Fraction]) -> bool:
    return any(sum(entry > 0 for entry in index) > 1 for index in terms)
