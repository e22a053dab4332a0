"""From a set of derivatives to the smallest jets that deliver them."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

import torch

from ..errors import ConfigError, KjetWarning
from ..typing import Float, Tensor
from ._builder import Atom, Blueprint, Symbol, blueprint
from ._bundles import Bundle, FamilyLike, Source, exact_bundle, exact_directions, sampled_bundle
from .chunk import directional_sum
from .derivative import Derivative, Quantity, SparseIndex, Trace, quantity
from .directions import Direction
from .jet import Jet
from .layout import Layout
from .seeds import OneHot, Seeds, Shared, Stacked, start

__all__ = ["Plan", "Quantity", "quantity", "seed"]

# Up to so many directions a trace is written out, and shares directions with the other derivatives of the plan.
_WRITTEN_OUT = 128
# Exact sums of more directions go in passes of so many, which bounds memory; each repeats the value, one channel.
_PER_PASS = 128
# Directions of an exact sum that are listed at a time.
_AT_ONCE = 1024
# An exact sum of more terms than this is planned one by one in no reasonable time.
_MOST_TERMS = 4096
# Exact sums of more directions are evaluated with a warning.
_COSTLY = 20_000
# Up to so many coordinates directions are plain vectors: structured ones save nothing.
_FEW = 128


@dataclass(frozen=True, eq=False)
class Plan:
    """Directions, orders and sums for one Taylor pass, and how the requested derivatives are read from it.

    First derivatives that stand in a sum with higher ones, as in ``u_t - nu u_xx``, need no channel of their own: along
    a curve ``x + s v + s^K a`` the coefficient of order K is ``D_v^K u / K! + a . grad u``.

    A :class:`Trace` with an estimator is the weighted sum over the directions that the estimator draws: the layout is
    fixed, and :meth:`draw` gives the seeds, outside of any compiled region. Without one it is summed exactly; a sum of
    more than 128 directions goes in passes of its own.

    Attributes:
        quantities: What is delivered.
        blueprint: Rows of the pass, and what is read from them.
        outer: Exact sums in passes of their own, and for each quantity their coefficients.
        sources: Families of the estimator, in the order of the draws.
        d: Number of coordinates.
        budget: Bytes for one pass of an exact sum.
    """

    quantities: tuple[Quantity, ...]
    blueprint: Blueprint
    outer: tuple[tuple[Bundle, tuple[float, ...]], ...]
    sources: tuple[FamilyLike, ...]
    d: int
    budget: float | None
    _runs: tuple[Bundle | tuple[Direction, ...], ...] = field(init=False, repr=False)
    _vectors: Float[Tensor, "s d"] | None = field(init=False, repr=False)
    _bends: tuple[Float[Tensor, "_ d"] | None, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Not when they are needed first, which may be while a compiler traces.
        atoms, layout = self.blueprint.atoms, self.layout
        plain = self.d <= _FEW and not any(isinstance(atom, Bundle) for atom in atoms)
        rows = [layout.rows(k) for k in range(1, layout.order + 1)]
        bends = [
            _dense_rows([bent.get(row, {}) for row in range(count)], self.d) if bent else None
            for count, bent in zip(rows, self.blueprint.bends, strict=True)
        ]
        object.__setattr__(self, "_runs", _runs(atoms))
        object.__setattr__(self, "_vectors", _dense_rows([dict(v) for v in self.directions], self.d) if plain else None)
        object.__setattr__(self, "_bends", tuple(bends))

    @classmethod
    def build(
        cls, quantities: Sequence[Quantity], d: int, estimator: Source | None = None, *, budget: float | None = None
    ) -> Plan:
        """Plan the derivatives of a function of ``d`` coordinates.

        Plans are remembered, by the value of what they are made of.

        Args:
            quantities: Sums of derivatives.
            d: Number of coordinates.
            estimator: What becomes of traces; None to sum them exactly.
            budget: Bytes that one pass of a long exact sum may keep for gradients, from which its directions at a time
                follow; None for 128 directions.

        Raises:
            ConfigError: If a derivative does not fit, the estimate would be biased, or an exact sum has too many terms.

        >>> plan = Plan.build([quantity({(2, 0): 1.0, (0, 2): 1.0}), quantity({(1, 0): 1.0})], d=2)
        >>> plan.layout.kept, plan.cost()
        ((2, 0), 4)
        >>> Plan.build([quantity({(2, 0): -0.1, (0, 1): 1.0}), quantity({(1, 0): 1.0})], d=2).cost()
        3
        """
        names = tuple(dict.fromkeys(quantities))
        for name in names:
            name.check(d)
        # Remembered by value: one that is compared by identity may have changed since.
        by_value = estimator is None or type(estimator).__hash__ is not object.__hash__
        return (_build if by_value else _build.__wrapped__)(names, d, estimator, budget)  # type: ignore[arg-type]

    @property
    def layout(self) -> Layout:
        """Rows of the pass."""
        return self.blueprint.layout

    @property
    def order(self) -> int:
        """Highest order of any pass."""
        return max([self.layout.order, *(bundle.order for bundle, _ in self.outer)])

    @property
    def random(self) -> bool:
        """Whether draws are needed."""
        return bool(self.sources)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Directions that stand alone, as ``(axis, entry)`` pairs, sorted by falling order."""
        return tuple(atom for atom in self.blueprint.atoms if not isinstance(atom, Bundle))

    def cost(self) -> int:
        """Channels propagated: the cost in forward passes of the network."""
        passes = sum(-(-bundle.count // _PER_PASS) for bundle, _ in self.outer)
        return self.layout.channels() + sum(bundle.channels - 1 for bundle, _ in self.outer) + 2 * passes

    def explain(self) -> str:
        """Describe the directions and the cost in words."""
        lines = [f"{len(self.quantities)} derivatives from {self.cost()} channels, order {self.order}"]
        for k in range(1, self.layout.order + 1):
            weights = self.layout.weights[k - 1]
            sums = "" if weights is None else f", {weights.shape[0]} sums over {weights.shape[1]} directions"
            bent = ", first derivatives carried along" if self.blueprint.bends[k - 1] else ""
            lines.append(f"order {k}: {self.layout.kept[k - 1]} kept{sums}{bent}")
        lines.append("directions: " + ", ".join(str(v) for v in self.directions))
        return "\n".join(lines)

    def draw(
        self,
        n: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> tuple[Seeds, ...]:
        """Draw the directions of every estimated trace for n points; nothing where all is exact.

        Args:
            n: Number of points.
            generator: Source of all randomness.
            dtype: Type of the points.
            device: Device of the points.

        Raises:
            ConfigError: If the generator is missing.
        """
        return tuple(family.draw(n, generator, dtype, device) for family in self.sources)

    def seed(self, x: Float[Tensor, "n d"], draws: Sequence[Seeds] = ()) -> Jet:
        """Start jets at the points: ``x + s v`` for every direction v, bent where first derivatives are carried."""
        if self._vectors is not None:
            return seed(x, self._vectors.to(x), self.layout, self._bends)
        parts = [
            bundle.seeds(x, draws) if isinstance(bundle, Bundle) else self._singles(bundle, x) for bundle in self._runs
        ]
        top = {k: a.to(x) for k, a in enumerate(self._bends, 1) if a is not None}
        return start(x, parts[0] if len(parts) == 1 else Stacked(tuple(parts)), self.layout, top)

    def read(self, y: Jet) -> dict[Quantity, Tensor]:
        """Read the requested derivatives, each of the shape of ``y``; exact sums of other passes are left out."""
        zero = None
        result: dict[Quantity, Tensor] = {}
        for name, reads in zip(self.quantities, self.blueprint.reads, strict=True):
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

    def __call__(
        self, function: Callable[[Any], Any], x: Float[Tensor, "n d"], draws: Sequence[Seeds] = ()
    ) -> dict[Quantity, Tensor]:
        """Evaluate every derivative of ``function`` at the points in one pass.

        Args:
            function: Maps points, and jets of points, to values (n, m).
            x: Points.
            draws: What :meth:`draw` gave for as many points.

        Raises:
            ConfigError: If draws are missing.
        """
        if len(draws) != len(self.sources):
            raise ConfigError(
                f"this plan estimates {len(self.sources)} traces; got draws for {len(draws)}. "
                "Pass draws = plan.draw(len(x), generator, x.dtype, x.device)"
            )
        if self.layout.order == 0:
            value = function(x)
            result = {name: self._value(place, value) for place, name in enumerate(self.quantities)}
        else:
            y = function(self.seed(x, draws))
            if not isinstance(y, Jet):
                y = Jet([y, *(None,) * self.layout.order], self.layout)
            result = self.read(y)
        for bundle, coefficients in self.outer:
            total = _in_passes(bundle, function, x, self.budget)
            for name, c in zip(self.quantities, coefficients, strict=True):
                if c:
                    result[name] = result[name] + (total if c == 1 else c * total)
        return result

    def _value(self, place: int, value: Tensor) -> Tensor:
        """Quantity of order 0: a multiple of the value, or nothing where every coefficient is zero."""
        factor = sum(weight for k, _, weight in self.blueprint.reads[place] if k == 0)
        return value if factor == 1 else factor * value

    def _singles(self, directions: tuple[Direction, ...], x: Tensor) -> Seeds:
        if all(len(v) == 1 and v[0][1] == 1 for v in directions):
            return OneHot(torch.tensor([v[0][0] for v in directions], device=x.device))
        return Shared(_dense_rows([dict(v) for v in directions], self.d).to(x))


def _runs(atoms: Sequence[Atom]) -> tuple[Bundle | tuple[Direction, ...], ...]:
    """Bundles, and the single directions between them."""
    found: list[Any] = []
    for bundled, group in itertools.groupby(atoms, lambda atom: isinstance(atom, Bundle)):
        run = tuple(group)
        found += run if bundled else [run]
    return tuple(found)


def _dense_rows(rows: Sequence[dict[int, float]], d: int) -> Float[Tensor, "s d"]:
    dense = torch.zeros(len(rows), d, dtype=torch.float64)
    for place, row in enumerate(rows):
        for axis, entry in row.items():
            dense[place, axis] = entry
    return dense


def seed(x: Tensor, directions: Tensor, layout: Layout, bends: Sequence[Tensor | None] = ()) -> Jet:
    """Jets ``x + t v``: directions of shape (s, d) shared by all points, or (s, n, d), and bends (rows, d) by order."""

    def shared(rows: Tensor) -> Tensor:
        return rows.reshape(rows.shape[0], *(1,) * (x.ndim - rows.ndim + 1), *rows.shape[1:])

    higher = [None if a is None else shared(a.to(x)) for a in bends[1:]] or [None] * (layout.order - 1)
    return Jet([x, layout.reduce(1, shared(directions)), *higher], layout)


def _in_passes(
    bundle: Bundle, function: Callable[[Any], Any], x: Float[Tensor, "n d"], budget: float | None
) -> Float[Tensor, "n m"]:
    """``sum_r w_r D^K_{v_r}`` of a function, some of the directions at a time, recomputed for gradients."""
    _warn_of_cost(bundle)
    total: Any = None
    for first in range(0, bundle.count, _AT_ONCE):
        last = min(first + _AT_ONCE, bundle.count)
        seeds, weights = bundle.seeds(x, (), first, last), bundle.weights(first, last)
        chunk = _PER_PASS if budget is None else None
        part = directional_sum(function, x, seeds, weights, bundle.order, budget, chunk)
        total = part if total is None else total + part
    return total


@lru_cache(maxsize=1024)
def _build(quantities: tuple[Quantity, ...], d: int, estimator: Source | None, budget: float | None) -> Plan:
    sorting = _Sorting(d, estimator)
    symbols = [sorting.symbol(terms) for terms in quantities]
    bundles = dict.fromkeys(bundle for symbol in symbols for bundle in symbol.outer)
    outer = tuple((bundle, tuple(float(symbol.outer.get(bundle, 0)) for symbol in symbols)) for bundle in bundles)
    return Plan(quantities, blueprint(symbols), outer, tuple(sorting.families.values()), d, budget)


class _Sorting:
    """Decides for each trace whether it is written out, estimated, or summed in passes of its own."""

    def __init__(self, d: int, estimator: Source | None) -> None:
        self.d, self.estimator = d, estimator
        self.families: dict[Trace, FamilyLike] = {}
        self._bundles: dict[Derivative, Bundle] = {}

    def symbol(self, terms: Quantity) -> Symbol:
        plain: dict[int, dict[SparseIndex, Fraction]] = {}
        bundles: dict[Bundle, Fraction] = {}
        outer: dict[Bundle, Fraction] = {}
        for derivative, c in terms:
            bundle = self._bundle(derivative) if derivative.traces else None
            if bundle is None:
                group = plain.setdefault(derivative.order, {})
                for index, multiple in derivative.expanded().items():
                    group[index] = group.get(index, Fraction(0)) + multiple * Fraction(c)
            else:
                place = outer if bundle.directions else bundles
                place[bundle] = place.get(bundle, Fraction(0)) + Fraction(c)
        return Symbol(plain, bundles, outer)

    def _bundle(self, derivative: Derivative) -> Bundle | None:
        """Bundle of a derivative with traces; None if it is to be written out."""
        if derivative not in self._bundles:
            found = self._sampled(derivative) or self._exact(derivative)
            if found is None:
                return None
            self._bundles[derivative] = found
        return self._bundles[derivative]

    def _sampled(self, derivative: Derivative) -> Bundle | None:
        if self.estimator is None:
            return None
        trace, *others = derivative.traces
        if others:
            raise ConfigError(f"no estimator for the product {derivative} of two sums; use estimator=None (exact)")
        if trace not in self.families:
            family = self.estimator.family(trace, self.d)
            if family is None:
                return None
            self.families[trace] = family
        return sampled_bundle(derivative, self.families[trace], list(self.families).index(trace))

    def _exact(self, derivative: Derivative) -> Bundle | None:
        directions = exact_directions(derivative.traces[0]) if _is_trace(derivative) else None
        if directions is not None and directions > _WRITTEN_OUT:
            return exact_bundle(derivative.traces[0])
        if derivative.terms > _MOST_TERMS:
            raise ConfigError(
                f"the exact sum {derivative} has {derivative.terms} terms, more than {_MOST_TERMS}; estimate it with "
                "STDE(samples=16) or Hutchinson(samples=16, law='gaussian')"
            )
        return None


def _is_trace(derivative: Derivative) -> bool:
    return len(derivative.traces) == 1 and not derivative.index


def _warn_of_cost(bundle: Bundle) -> None:
    if bundle.count > _COSTLY and not torch.compiler.is_compiling():
        message = (
            f"the exact sum {bundle.derivative} propagates {bundle.count} directions of order {bundle.order}, as much "
            f"work as {bundle.channels} evaluations of the network; estimate it with STDE(samples=16) or "
            "Hutchinson(samples=16)"
        )
        warnings.warn(message, KjetWarning, stacklevel=4)
