"""What a plan reads from a jet: rows of its coefficients, weighted and summed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch

from ..typing import Float, Int, Tensor
from .blueprint import Blueprint, count_of
from .bundles import Bundle
from .chunk import gradient_products
from .jet import Jet

__all__ = ["Reads", "read_products", "read_sum", "slopes_of", "together"]

# More rows than this are read by one product.
_FEW_ROWS = 8

Reads = tuple[tuple[int, int | Tensor, float | Tensor], ...]
"""What a quantity is made of: order, row or rows, and weights."""


def together(reads: Sequence[tuple[int, int, float]]) -> Reads:
    """Gather many rows of one order into one weighted sum."""
    found: list[tuple[int, int | Tensor, float | Tensor]] = []
    for k, group in itertools.groupby(reads, lambda read: read[0]):
        run = list(group)
        if len(run) <= _FEW_ROWS:
            found += run
        else:
            weights = torch.tensor([weight for _, _, weight in run], dtype=torch.float64)
            found.append((k, torch.tensor([row for _, row, _ in run]), weights))
    return tuple(found)


def slopes_of(blueprint: Blueprint) -> tuple[tuple[Tensor, Tensor], ...]:
    """Rows of order 1 and their weights, for each array of products of gradients."""
    starts, found = blueprint.starts(), []
    for atoms in blueprint.slopes:
        rows = [torch.arange(starts[atom], starts[atom] + count_of(atom)) for atom in atoms]
        weights = [a.weights() if isinstance(a, Bundle) else torch.ones(1, dtype=torch.float64) for a in atoms]
        empty = torch.zeros(0, dtype=torch.float64)
        found.append((torch.cat([empty.long(), *rows]), torch.cat([empty, *weights])))
    return tuple(found)


def read_sum(y: Jet, reads: Reads) -> Tensor:
    """Weighted sum of rows, of the shape of the jet."""
    total = None
    for k, row, weight in reads:
        c = y.primal if k == 0 else y.coefficients[k]
        if c is None:
            continue
        if isinstance(weight, Tensor):
            term = torch.tensordot(weight.to(c), c.index_select(0, row.to(c.device)), 1)  # type: ignore[union-attr]
        else:
            term = c if k == 0 else c[row]
            term = term if weight == 1 else weight * term
        total = term if total is None else total + term
    if total is None:
        return torch.zeros_like(y.primal)
    return total.expand(y.shape) if total.shape != y.shape else total


def read_products(y: Jet, rows: Int[Tensor, " s"], weights: Float[Tensor, " s"]) -> Float[Tensor, "n m m"]:
    """Products of first derivatives, weighted and summed over the directions."""
    slopes = y.coefficients[1] if len(rows) else None
    slopes = None if slopes is None else slopes.index_select(0, rows.to(slopes.device))
    return gradient_products(slopes, weights, y.primal)
