"""From a set of derivatives to the smallest jets that deliver them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from ..errors import ConfigError
from ..typing import Float, Tensor
from ._explain import explain, summary, table
from ._passes import FEW, PER_PASS, Outer, bent_rows, in_passes, moved, runs_of, seed, singles, tangent_rows
from ._planning import prepare
from ._reading import Reads, read_products, read_sum, slopes_of, together
from .blueprint import Blueprint, Options, powers_of_two
from .bundles import Bundle, FamilyLike, Source
from .chunk import gradient_products
from .curves import Curve
from .derivative import Quantity, Trace, quantity
from .directions import Direction
from .jet import Jet
from .layout import Layout
from .seeds import Seeds, Stacked, start
from .traces import GradientProducts
from .varying import Varying

__all__ = ["Delivered", "Plan", "Quantity", "Source", "quantity", "seed"]

_CPU = torch.device("cpu")

Delivered = Quantity | Varying | GradientProducts
"""What a plan may be asked for."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Directions, orders and sums for one Taylor pass, and how the requested derivatives are read from it.

    First derivatives that stand in a sum with higher ones, as in ``u_t - nu u_xx``, need no channel of their own: along
    a curve ``x + s v + s^K a`` the coefficient of order K is ``D_v^K u / K! + a . grad u``.

    A :class:`Trace` with an estimator is the weighted sum over the directions that the estimator draws: the layout is
    fixed, and :meth:`draw` gives the seeds, outside of any compiled region. Without one it is summed exactly; a sum of
    more than 128 directions goes in passes of its own.

    :class:`GradientProducts`, such as ``|grad u|^2``, take the first derivatives that a Laplacian over the same axes
    carries in any case: the directions ``v_r`` drawn for it, with their weights, or the axes. For every unbiased
    estimate of the Laplacian ``sum_r w_r E[v_r v_r^T] = 1``, so that ``sum_r w_r (v_r . grad u)^2`` is unbiased, too. A
    product of two estimates from one draw is not.

    Attributes:
        quantities: Sums of derivatives that are delivered.
        products: Products of gradients that are delivered.
        blueprint: Rows of the pass, and what is read from them.
        outer: Sums in passes of their own, and what has a share in them.
        sources: Families of the estimator, in the order of the draws.
        traces: What each of them estimates.
        estimator: What they come from.
        d: Number of coordinates.
        budget: Bytes for one pass of a sum.
        device: Where directions and weights are kept; elsewhere they are copied on every call.
    """

    quantities: tuple[Quantity | Varying, ...]
    products: tuple[GradientProducts, ...]
    blueprint: Blueprint
    outer: tuple[Outer, ...]
    sources: tuple[FamilyLike, ...]
    traces: tuple[Trace, ...]
    estimator: Source | None
    d: int
    budget: float | None
    device: torch.device = _CPU
    _runs: tuple[Bundle | Tensor, ...] = field(init=False, repr=False)
    _vectors: Float[Tensor, "s d"] | None = field(init=False, repr=False)
    _bends: tuple[Float[Tensor, "_ d"] | None, ...] = field(init=False, repr=False)
    _reads: tuple[Reads, ...] = field(init=False, repr=False)
    _slopes: tuple[tuple[Tensor, Tensor], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # Not when they are needed first, which may be while a compiler traces.
        atoms = self.blueprint.atoms
        plain = self.d <= FEW and not any(isinstance(atom, Bundle) for atom in atoms)
        self._keep("_runs", () if plain else runs_of(atoms, self.d))
        self._keep("_vectors", tangent_rows(atoms, self.d) if plain else None)
        self._keep("_bends", bent_rows(atoms, self.layout, self.blueprint.bends, self.d))
        self._keep("_reads", tuple(together(reads) for reads in self.blueprint.reads))
        self._keep("_slopes", slopes_of(self.blueprint))

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, moved(value, self.device))

    @classmethod
    def build(
        cls,
        quantities: Sequence[Delivered],
        d: int,
        estimator: Source | None = None,
        *,
        budget: float | None = None,
        scales: Sequence[float] | None = None,
        curves: bool = False,
    ) -> Plan:
        """Plan the derivatives of a function of ``d`` coordinates.

        Plans are remembered, by the value of what they are made of.

        Args:
            quantities: Sums of derivatives, with constant coefficients or, as :class:`Varying`, others, and products of
                gradients.
            d: Number of coordinates.
            estimator: What becomes of traces; None to sum them exactly.
            budget: Bytes that one pass of a long exact sum, or of an estimate, may keep for gradients, from which its
                directions at a time follow; the passes are computed again for gradients, which takes about a third of
                the time more. None for 128 directions of an exact sum, and all of an estimate in one pass with
                everything else.
            scales: Lengths (d,) over which the function changes. Directions of mixed derivatives then have such
                entries, rounded to powers of two, and keep digits that integer ones lose where scales differ much.
            curves: Read mixed derivatives from single curves with sparse tangents, proved unique, where that takes
                fewer channels: ``u_xxxy`` from one jet of order 11. Fewer products with the layers, but more
                elementwise work, which grows with the square of the order.

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
        options = Options(curves and d <= FEW, powers_of_two(scales, d))
        return (_build if by_value else _build.__wrapped__)(names, d, estimator, budget, options)  # type: ignore

    @property
    def layout(self) -> Layout:
        """Rows of the pass."""
        return self.blueprint.layout

    @property
    def order(self) -> int:
        """Highest order of any pass."""
        return max([self.layout.order, *(outer.bundle.order for outer in self.outer)])

    @property
    def random(self) -> bool:
        """Whether draws are needed."""
        return bool(self.sources)

    @property
    def directions(self) -> tuple[Direction, ...]:
        """Directions that stand alone, as ``(axis, entry)`` pairs, sorted by falling order."""
        return tuple(atom for atom in self.blueprint.atoms if not isinstance(atom, Bundle | Curve))

    def to(self, device: torch.device | str) -> Plan:
        """Return the plan with its directions and weights on a device, so that a call copies nothing there."""
        wanted = torch.device(device)
        if wanted == self.device:
            return self
        layout = Layout(self.layout.kept, moved(self.layout.weights, wanted))
        return replace(self, blueprint=replace(self.blueprint, layout=layout), device=wanted)

    def cost(self) -> int:
        """Channels propagated: the cost in forward passes of the network."""
        total = self.layout.channels()
        for bundle in (outer.bundle for outer in self.outer):
            sums = 0 if bundle.kept else 1  # each pass has the value besides
            total += bundle.channels - sums + (1 + sums) * -(-bundle.count // PER_PASS)
        return total

    def explain(self) -> str:
        """Describe everything: formulas in directional derivatives, estimators and their variance, rows and cost.

        >>> print(Plan.build([quantity({(1, 1): 1.0, (0, 0): 2.0})], d=2).explain())
        1 derivatives from 4 channels, order 2; nested reverse mode takes 2 backward passes for them
        d0 d1 + 2 = 1/4 D^2(1, 1) - 1/4 D^2(1, -1) + 2 u
        order 1: 2 kept
        order 2: 0 kept, 1 sums over 2 directions
        directions: (1, 1), (1, -1)
        """
        return explain(self)

    def summary(self) -> str:
        """Describe rows, directions and cost in few lines."""
        return summary(self)

    def _repr_html_(self) -> str:
        return table(self)

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
        parts = [run.seeds(x, draws) if isinstance(run, Bundle) else singles(run, x) for run in self._runs]
        top = {k: a.to(x) for k, a in enumerate(self._bends, 1) if a is not None}
        return start(x, parts[0] if len(parts) == 1 else Stacked(tuple(parts)), self.layout, top)

    def read(self, y: Jet) -> dict[Delivered, Tensor]:
        """Read the requested derivatives, each of the shape of ``y``; exact sums of other passes are left out."""
        pairs = zip(self.quantities, self._reads, strict=True)
        result: dict[Delivered, Tensor] = {name: read_sum(y, reads) for name, reads in pairs}
        for name, (rows, weights) in zip(self.products, self._slopes, strict=True):
            result[name] = read_products(y, rows, weights)
        return result

    def __call__(
        self, function: Callable[[Any], Any], x: Float[Tensor, "n d"], draws: Sequence[Seeds] = ()
    ) -> dict[Delivered, Tensor]:
        """Evaluate every derivative of ``function`` at the points in one pass.

        Args:
            function: Maps points, and jets of points, to values (n, m).
            x: Points.
            draws: What :meth:`draw` gave for as many points.

        Returns:
            Sums of derivatives (n, m), and products of gradients (n, m, m).

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
            result: dict[Delivered, Tensor] = {
                name: self._value(place, value) for place, name in enumerate(self.quantities)
            }
            result |= {name: gradient_products(None, self._slopes[0][1], value) for name in self.products}
        else:
            y = function(self.seed(x, draws))
            if not isinstance(y, Jet):
                y = Jet([y, *(None,) * self.layout.order], self.layout)
            result = self.read(y)
        for outer in self.outer:
            total, *products = in_passes(outer, function, x, draws, self.budget)
            for name, c in zip(self.quantities, outer.coefficients, strict=True):
                if c:
                    result[name] = result[name] + (total if c == 1 else c * total)
            for wanted, has in zip(self.products, outer.products, strict=True):
                if has:
                    result[wanted] = result[wanted] + products[0]
        return result

    def _value(self, place: int, value: Tensor) -> Tensor:
        """Quantity of order 0: a multiple of the value, or nothing where every coefficient is zero."""
        factor = sum(weight for k, _, weight in self.blueprint.reads[place] if k == 0)
        return value if factor == 1 else factor * value


@lru_cache(maxsize=1024)
def _build(
    names: tuple[Delivered, ...], d: int, estimator: Source | None, budget: float | None, options: Options
) -> Plan:
    if torch.compiler.is_compiling() or not torch._C._len_torch_dispatch_stack():
        return Plan(*prepare(names, d, estimator, budget is not None, options), estimator, d, budget)
    with _disable_current_modes():  # numbers that are remembered, no part of what a tracer records
        return Plan(*prepare(names, d, estimator, budget is not None, options), estimator, d, budget)
