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

    Attributes:
        directions: Integer directions, sorted by falling order.
        layout: Rows carried by the jets.
        reads: For each quantity, for each order k, the weights over the rows of coefficient k (k! included).
    """

    quantities: tuple[Quantity, ...]
    directions: tuple[Direction, ...]
    layout: Layout
    reads: tuple[tuple[tuple[int, int, float], ...], ...]
    d: int

    @classmethod
    def build(cls, quantities: Sequence[Quantity], d: int) -> Plan:
        """Plan the derivatives of a function of ``d`` coordinates.

        Raises:
            ConfigError: If a multi-index does not have d entries.

        >>> plan = Plan.build([quantity({(2, 0): 1.0, (0, 2): 1.0}), quantity({(1, 0): 1.0})], d=2)
        >>> plan.layout.kept, plan.cost()
        ((2, 0), 4)
        """
        return _Builder(tuple(dict.fromkeys(quantities)), d).plan()

    def cost(self) -> int:
        """Channels propagated: the cost in forward passes of the network."""
        return self.layout.channels()

    def explain(self) -> str:
        """Describe the directions and the cost in words."""
        lines = [f"{len(self.quantities)} derivatives from {self.cost()} channels, order {self.layout.order}"]
        for k in range(1, self.layout.order + 1):
            weights = self.layout.weights[k - 1]
            sums = "" if weights is None else f", {weights.shape[0]} sums over {weights.shape[1]} directions"
            lines.append(f"order {k}: {self.layout.kept[k - 1]} kept{sums}")
        lines.append("directions: " + ", ".join(str(v) for v in self.directions))
        return "\n".join(lines)

    def seed(self, x: Float[Tensor, "n d"]) -> Jet:
        """Start jets at the points: ``x + t v`` for every direction v."""
        return seed(x, x.new_tensor(self.directions, dtype=x.dtype).reshape(-1, self.d), self.layout)

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


def seed(x: Tensor, directions: Tensor, layout: Layout) -> Jet:
    """Jets ``x + t v``: directions of shape (s, d) shared by all points, or (s, n, d)."""
    rows = directions.reshape(directions.shape[0], *(1,) * (x.ndim - directions.ndim + 1), *directions.shape[1:])
    return Jet([x, layout.reduce(1, rows), *(None,) * (layout.order - 1)], layout)


class _Builder:
    """Works out a plan; thrown away afterwards."""

    def __init__(self, quantities: tuple[Quantity, ...], d: int) -> None:
        self.quantities, self.d = quantities, d
        self.parts: list[dict[int, dict[Direction, Fraction]]] = []
        self.orders: dict[Direction, int] = {}
        by_order = [_homogeneous(q, d) for q in quantities]
        # Pure derivatives first, so that mixed ones can reuse their directions.
        parts: list[dict[int, dict[Direction, Fraction]]] = [{} for _ in quantities]
        for mixed in (False, True):
            for place, groups in enumerate(by_order):
                for order, terms in groups.items():
                    if _is_mixed(terms) == mixed:
                        parts[place][order] = self._directions(order, terms)
        self.parts = parts

    def _directions(self, order: int, terms: Mapping[MultiIndex, Fraction]) -> dict[Direction, Fraction]:
        if order == 0:
            return {}
        found = decompose(terms, tuple(v for v, k in self.orders.items() if k >= order))
        for v in found:
            self.orders[v] = max(order, self.orders.get(v, 0))
        return found

    def plan(self) -> Plan:
        order = max(self.orders.values(), default=0)
        summed = {k: self._sums(k) for k in range(1, order + 1)}

        def rank(v: Direction) -> tuple[int, bool]:
            return (-self.orders[v], v in summed[self.orders[v]][0])

        directions = tuple(sorted(self.orders, key=rank))
        kept, weights = [], []
        for k in range(1, order + 1):
            ending, groups = summed[k]
            kept.append(sum(self.orders[v] >= k and v not in ending for v in directions))
            rows = [[float(group.get(v, 0)) for v in directions if v in ending] for group in groups]
            weights.append(torch.tensor(rows, dtype=torch.float64) if ending else None)
        layout = Layout(tuple(kept), tuple(weights))
        reads = tuple(self._reads(place, directions, layout, summed) for place in range(len(self.quantities)))
        return Plan(self.quantities, directions, layout, reads, self.d)

    def _sums(self, k: int) -> tuple[set[Direction], list[dict[Direction, Fraction]]]:
        """Sum the directions that end at order k, where that takes fewer rows than keeping them."""
        ending = {v for v, top in self.orders.items() if top == k}
        groups: list[dict[Direction, Fraction]] = []
        for part in self.parts:
            group = {v: w for v, w in part.get(k, {}).items() if v in ending}
            if group and group not in groups:
                groups.append(group)
        return (ending, groups) if len(groups) < len(ending) else (set(), [])

    def _reads(
        self,
        place: int,
        directions: tuple[Direction, ...],
        layout: Layout,
        summed: Mapping[int, tuple[set[Direction], list[dict[Direction, Fraction]]]],
    ) -> tuple[tuple[int, int, float], ...]:
        reads: list[tuple[int, int, float]] = []
        value = dict(self.quantities[place]).get((0,) * self.d)
        if value:
            reads.append((0, 0, float(value)))
        factorial = 1.0
        for k in range(1, layout.order + 1):
            factorial *= k
            part = self.parts[place].get(k, {})
            ending, groups = summed[k]
            group = {v: w for v, w in part.items() if v in ending}
            if group:
                reads.append((k, layout.kept[k - 1] + groups.index(group), factorial))
            reads += [(k, directions.index(v), factorial * float(w)) for v, w in part.items() if v not in ending]
        return tuple(reads)


def _homogeneous(terms: Quantity, d: int) -> dict[int, dict[MultiIndex, Fraction]]:
    groups: dict[int, dict[MultiIndex, Fraction]] = {}
    for index, coefficient in terms:
        checked = check_index(index, d)
        groups.setdefault(sum(checked), {})[checked] = Fraction(coefficient)
    return groups


def _is_mixed(terms: Mapping[MultiIndex, Fraction]) -> bool:
    return any(sum(entry > 0 for entry in index) > 1 for index in terms)
