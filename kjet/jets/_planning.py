"""From what is wanted to what a plan is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ._builder import blueprint
from ._passes import Outer
from ._sorting import Sorting
from .blueprint import Blueprint, Options
from .bundles import FamilyLike, Source
from .derivative import Quantity
from .traces import GradientProducts, Trace
from .varying import Varying

__all__ = ["Prepared", "prepare"]


class Prepared(NamedTuple):
    """The first attributes of a plan."""

    quantities: tuple[Quantity | Varying, ...]
    products: tuple[GradientProducts, ...]
    blueprint: Blueprint
    outer: tuple[Outer, ...]
    sources: tuple[FamilyLike, ...]
    traces: tuple[Trace, ...]


def prepare(
    names: Sequence[Quantity | Varying | GradientProducts],
    d: int,
    estimator: Source | None,
    apart: bool,
    options: Options,
) -> Prepared:
    """Sort everything that is wanted by what has to be done about it, and work out the rows.

    Args:
        names: What is wanted.
        d: Number of coordinates.
        estimator: What becomes of traces; None to sum them exactly.
        apart: Whether estimates have passes of their own.
        options: How mixed derivatives are decomposed.

    Raises:
        ConfigError: If the estimate would be biased, or an exact sum has too many terms.
    """
    quantities = tuple(name for name in names if isinstance(name, Quantity | Varying))
    products = tuple(name for name in names if isinstance(name, GradientProducts))
    sorting = Sorting(quantities, d, estimator, apart)
    symbols = [sorting.symbol(terms) for terms in quantities]
    slopes = [sorting.slopes(wanted, symbols) for wanted in products]
    found = [bundle for symbol in symbols for bundle in symbol.outer] + [b for _, b in slopes if b is not None]
    outer = tuple(
        Outer(
            bundle,
            tuple(float(symbol.outer.get(bundle, 0)) for symbol in symbols),
            tuple(other is bundle for _, other in slopes),
        )
        for bundle in dict.fromkeys(found)
    )
    made = blueprint(symbols, options, [atoms for atoms, _ in slopes])
    return Prepared(quantities, products, made, outer, tuple(sorting.families.values()), tuple(sorting.families))
