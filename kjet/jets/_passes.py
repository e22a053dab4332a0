"""Starting jets along the directions of a plan, and sums in passes of their own."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from ..errors import KjetWarning
from ..typing import Float, Tensor
from .blueprint import Atom, count_of
from .bundles import Bundle
from .chunk import directional_sums
from .curves import Curve
from .jet import Jet
from .layout import Layout
from .seeds import OneHot, Seeds, Shared

__all__ = [
    "FEW",
    "PER_PASS",
    "Outer",
    "bent_rows",
    "in_passes",
    "moved",
    "runs_of",
    "seed",
    "singles",
    "tangent_rows",
]

# Up to so many coordinates directions are plain vectors: structured ones save nothing.
FEW = 128
# Exact sums of more directions go in passes of so many, which bounds memory; each repeats the value, one channel.
PER_PASS = 128
# Directions of an exact sum that are listed at a time.
_AT_ONCE = 1024
# Exact sums of more directions are evaluated with a warning.
_COSTLY = 20_000


def runs_of(atoms: Sequence[Atom], d: int) -> tuple[Bundle | Tensor, ...]:
    """Bundles, and the single directions between them: columns of axes (s,), or vectors (s, d)."""
    found: list[Bundle | Tensor] = []
    for bundled, group in itertools.groupby(atoms, lambda atom: isinstance(atom, Bundle)):
        run: list[Any] = list(group)
        if bundled:
            found += run
        elif all(len(v) == 1 and v[0][1] == 1 for v in run):
            found.append(torch.tensor([v[0][0] for v in run]))
        else:
            found.append(dense_rows([dict(v) for v in run], d))
    return tuple(found)


def singles(run: Tensor, x: Float[Tensor, "n d"]) -> Seeds:
    """Seeds of single directions."""
    return OneHot(run.to(x.device)) if run.ndim == 1 else Shared(run.to(x))


def moved(value: Any, device: torch.device) -> Any:
    """Copy the tensors among nested tuples to a device."""
    if isinstance(value, tuple):
        return tuple(moved(part, device) for part in value)
    return value.to(device) if isinstance(value, Tensor) else value


def tangent_rows(atoms: Sequence[Atom], d: int) -> Float[Tensor, "s d"]:
    """Coefficients of order 1."""
    rows: list[Any] = [{a: 1 for j, a in v.tangents if j == 1} if isinstance(v, Curve) else v for v in atoms]
    return dense_rows([dict(row) for row in rows], d)


def bent_rows(
    atoms: Sequence[Atom], layout: Layout, bends: Sequence[dict[int, dict[int, float]]], d: int
) -> tuple[Float[Tensor, "_ d"] | None, ...]:
    """Coefficients of each order beyond those of straight lines: what is carried along, and tangents of curves."""
    rows = [dict(bent) for bent in bends]
    start = 0
    for atom in atoms:
        if isinstance(atom, Curve):
            for j, axis in atom.tangents:
                if 1 < j <= layout.order:
                    rows[j - 1][start] = {axis: 1.0}
        start += count_of(atom)
    return tuple(
        dense_rows([bent.get(row, {}) for row in range(layout.rows(k))], d) if bent else None
        for k, bent in enumerate(rows, 1)
    )


def dense_rows(rows: Sequence[dict[int, float]], d: int) -> Float[Tensor, "s d"]:
    dense = torch.zeros(len(rows), d, dtype=torch.float64)
    for place, row in enumerate(rows):
        for axis, entry in row.items():
            dense[place, axis] = float(entry)
    return dense


def seed(x: Tensor, directions: Tensor, layout: Layout, bends: Sequence[Tensor | None] = ()) -> Jet:
    """Jets ``x + t v``: directions of shape (s, d) shared by all points, or (s, n, d), and bends (rows, d) by order."""

    def shared(rows: Tensor) -> Tensor:
        return rows.reshape(rows.shape[0], *(1,) * (x.ndim - rows.ndim + 1), *rows.shape[1:])

    higher = [None if a is None else shared(a.to(x)) for a in bends[1:]] or [None] * (layout.order - 1)
    return Jet([x, layout.reduce(1, shared(directions)), *higher], layout)


class Outer(NamedTuple):
    """A sum in passes of its own: a long exact one, or under a memory budget an estimate.

    Attributes:
        bundle: Its directions.
        coefficients: What each quantity has of it.
        products: For each array of products of gradients, whether it goes along these directions.
    """

    bundle: Bundle
    coefficients: tuple[float, ...]
    products: tuple[bool, ...]


def in_passes(
    outer: Outer,
    function: Callable[[Any], Any],
    x: Float[Tensor, "n d"],
    draws: Sequence[Seeds],
    budget: float | None,
) -> tuple[Tensor, ...]:
    """``sum_r w_r D^K_{v_r}`` of a function, some of the directions at a time, recomputed for gradients.

    With it, where they are wanted, the products of first derivatives.
    """
    bundle, products = outer.bundle, any(outer.products)
    _warn_of_cost(bundle)
    total: Any = None
    for first in range(0, bundle.count, _AT_ONCE):
        last = min(first + _AT_ONCE, bundle.count)
        seeds, weights = bundle.seeds(x, draws, first, last), bundle.weights(first, last)
        chunk = PER_PASS if budget is None else None
        parts = directional_sums(function, x, seeds, weights, bundle.order, budget, chunk, products)
        total = parts if total is None else tuple(a + b for a, b in zip(total, parts, strict=True))
    return total


def _warn_of_cost(bundle: Bundle) -> None:
    if bundle.draw is None and bundle.count > _COSTLY and not torch.compiler.is_compiling():
        message = (
            f"the exact sum {bundle.derivative} propagates {bundle.count} directions of order {bundle.order}, as much "
            f"work as {bundle.channels} evaluations of the network; estimate it with STDE(samples=16) or "
            "Hutchinson(samples=16)"
        )
        warnings.warn(message, KjetWarning, stacklevel=4)
