"""Sums of products over the rows of a jet."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..typing import Tensor
from .layout import Layout

__all__ = ["Rows", "eager", "recording", "row_by_row"]


def eager() -> bool:
    """Tell whether operations run as called: not compiled, captured, mapped by torch.func or cast by autocast."""
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():
        return False
    if torch._C._len_torch_dispatch_stack():  # make_fx, fake tensors
        return False
    return not torch.is_autocast_enabled("cpu") and not torch.is_autocast_enabled("cuda")


def recording(tensor: Tensor) -> bool:
    """Tell whether results must not be overwritten: a graph is recorded, or a transform wraps them."""
    return torch.is_grad_enabled() or torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def row_by_row(layout: Layout, primal: Tensor) -> bool:
    """Tell whether rows are handled one by one, without temporaries; many small ones are better handled together."""
    return layout.channels() <= 16 or (primal.device.type == "cpu" and primal.numel() >= 4096)


@dataclass(frozen=True)
class Rows:
    """Rows of order ``k`` of a layout.

    Attributes:
        layout: The layout.
        k: Order of the result.
        first: Only so many rows, all of them kept singly; None for all rows, sums included.
    """

    layout: Layout
    k: int
    first: int | None = None

    def cut(self, c: Tensor) -> Tensor:
        """Take these rows of a coefficient of order k."""
        return c if self.first is None or c.shape[0] == self.first else c[: self.first]

    def zeros(self, like: Tensor) -> Tensor:
        """Make rows of the shape of a primal."""
        return like.new_zeros(self.layout.rows(self.k) if self.first is None else self.first, *like.shape)

    def add(self, total: Tensor, a: Tensor, b: Tensor, value: float) -> Tensor:
        """Add ``value a b``, row by row of the directions that reach order k, summed where the layout says so."""
        if self.first is not None:
            return torch.addcmul(total, a[: self.first], b[: self.first], value=value)
        active = self.layout.active(self.k)
        if self.layout.weights[self.k - 1] is None:
            return torch.addcmul(total, a[:active], b[:active], value=value)
        return torch.add(total, self.layout.reduce(self.k, a[:active] * b[:active]), alpha=value)

    def spread(self, total: Tensor, a: Tensor, b: Tensor) -> Tensor:
        """Add ``a b`` to the directions that reach order k, where ``b`` has the rows of order k: transpose of `add`."""
        active = self.layout.active(self.k)
        part = a[:active] * self.layout.spread(self.k, b)
        return total + part if active == total.shape[0] else torch.cat([total[:active] + part, total[active:]])
