"""Sums of products over the rows of a jet, into fresh buffers where nothing else needs them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..typing import Tensor
from ._series import Coefficient
from .layout import Layout

__all__ = ["Rows", "dot_rows", "eager", "recording"]


def eager() -> bool:
    """Tell whether operations run as they are called: not compiled, captured, mapped by torch.func, cast by autocast."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    if torch._C._len_torch_dispatch_stack():  # make_fx, fake tensors
        return False
    return not torch.is_autocast_enabled("cpu") and not torch.is_autocast_enabled("cuda")


def recording(*tensors: Coefficient) -> bool:
    """Tell whether results must not be overwritten: a graph is recorded, or a transform wraps them."""
    wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    return torch.is_grad_enabled() or any(t is not None and wrapped(t) for t in tensors)


@dataclass(frozen=True)
class Rows:
    """Rows of order ``k`` of a layout.

    Attributes:
        layout: The layout.
        k: Order of the result.
        first: Only so many rows, all of them kept singly; None for all rows, sums included.
        recorded: Whether to leave totals as they are and return new ones.
    """

    layout: Layout
    k: int
    first: int | None
    recorded: bool

    def cut(self, c: Tensor) -> Tensor:
        """Take these rows of a coefficient of order k."""
        return c if self.first is None or c.shape[0] == self.first else c[: self.first]

    def zeros(self, like: Tensor) -> Tensor:
        """Make rows of the shape of a primal."""
        return like.new_zeros(self.layout.rows(self.k) if self.first is None else self.first, *like.shape)

    def add(self, total: Tensor, a: Tensor, b: Tensor, value: float) -> Tensor:
        """Add ``value a b``, row by row of the directions that reach order k, summed where the layout says so."""
        weights, kept = self.layout.weights[self.k - 1], self.layout.kept[self.k - 1]
        if self.first is not None or weights is None:
            count = kept if self.first is None else self.first
            a, b = _head(a, count), _head(b, count)
            return torch.addcmul(total, a, b, value=value) if self.recorded else total.addcmul_(a, b, value=value)
        active = self.layout.active(self.k)
        a, b = _head(a, active), _head(b, active)
        if self.recorded or _batched(b):
            part = self.layout.reduce(self.k, a * b)
            return torch.add(total, part, alpha=value) if self.recorded else total.add_(part, alpha=value)
        if kept:
            total[:kept].addcmul_(a[:kept], b[:kept], value=value)
        for row, column, weight in _entries(weights):
            total[kept + row].addcmul_(a[kept + column], b[kept + column], value=value * weight)
        return total

    def spread(self, total: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Add ``a b`` to the directions that reach order k, where ``b`` has the rows of order k: transpose of `add`."""
        active, kept = self.layout.active(self.k), self.layout.kept[self.k - 1]
        weights = self.layout.weights[self.k - 1]
        if self.recorded or (weights is not None and _batched(b)):
            part = _head(a, active) * _expand(b, weights, kept)
            if not self.recorded:
                _head(total, active).add_(part)
                return total
            return total + part if active == total.shape[0] else torch.cat([total[:active] + part, total[active:]])
        if kept:
            _head(total, kept).addcmul_(_head(a, kept), _head(b, kept))
        if weights is not None:
            for row, column, weight in _entries(weights):
                total[kept + column].addcmul_(a[kept + column], b[kept + row], value=weight)
        return total


def dot_rows(total: Tensor, a: Tensor, b: Tensor, recorded: bool) -> Tensor:
    """Add ``sum_rows a b``."""
    if recorded or _batched(b):
        dot = (a * b).sum(0)
        return total + dot if recorded else total.add_(dot)
    for left, right in zip(a.unbind(), b.unbind(), strict=True):
        total.addcmul_(left, right)
    return total


def _head(c: Tensor, rows: int) -> Tensor:
    return c if c.shape[0] == rows else c[:rows]


def _entries(weights: Tensor) -> list[tuple[int, int, float]]:
    return [(i, j, w) for i, row in enumerate(weights.tolist()) for j, w in enumerate(row) if w]


def _batched(rows: Tensor) -> bool:
    """Tell whether many small rows, or rows on an accelerator, are better handled together than one by one."""
    return rows.device.type != "cpu" or (rows.shape[0] > 8 and rows[0].numel() < 4096)


def _expand(rows: Tensor, weights: Tensor | None, kept: int) -> Tensor:
    """Transpose of :meth:`Layout.reduce`."""
    if weights is None:
        return rows
    tail = rows[kept:]
    spread = (weights.T.to(rows) @ tail.reshape(tail.shape[0], -1)).reshape(weights.shape[1], *tail.shape[1:])
    return torch.cat([rows[:kept], spread]) if kept else spread
