"""Directions of jets kept symbolic: coordinate axes and vectors that never become arrays (s, n, d)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor
from .layout import Layout
from .seeded import OneHot, PerPoint, Seeds, Shared, Span, Stacked, Structured, begin, check_vectors

__all__ = ["OneHot", "PerPoint", "Seeds", "Shared", "Stacked", "start"]


def start(x: Float[Tensor, "n d"], seeds: Seeds, layout: Layout, top: Mapping[int, Tensor] | None = None) -> Structured:
    """Jets of the coordinates along the seeds: ``x + t v``, and ``+ t^k a`` for the entries of ``top``.

    Through functions of single coordinates, products with constants, sums, means and norms over the coordinates, linear
    layers and slices, the directions stay symbolic: a factor ``(1 - |x|^2)`` and a first layer cost O(n d) for the
    value, and for the coefficients O(s n) (axes) or one product (n, d) x (d, s) (shared vectors).
    The first other operation takes dense coefficients; it is right, and costs what they cost.

    Args:
        x: Points.
        seeds: Directions, sorted as the layout wants them.
        layout: Meaning of the rows; its order 1 uses as many directions as there are seeds.
        top: For an order k, vectors (rows(k), d) or (rows(k), n, d) added to its rows, summed ones included: along such
            a curve the coefficient gets ``a . grad u`` besides its directional derivative. Rows that go on to order
            k + 1 must be zero.

    Raises:
        ConfigError: If shapes, types, devices, columns or counts do not fit.

    >>> x = torch.tensor([[1.0, 2.0, 3.0]])
    >>> y = (start(x, OneHot(torch.tensor([2])), Layout.uniform(1, 2)) ** 2).sum(-1)
    >>> [c.item() for c in y.coefficients]
    [14.0, 6.0, 1.0]
    """
    if x.ndim != 2 or not x.is_floating_point():
        raise ConfigError(f"points must be floating point of shape (n, d); got {x.dtype} of {tuple(x.shape)}")
    if layout.order == 0 or layout.active(1) != seeds.count:
        used = layout.active(1) if layout.order else 0
        raise ConfigError(f"the layout uses {used} directions, but there are {seeds.count} seeds; give one for each")
    parts = seeds.parts()
    blocks, first = [], 0
    for part in parts:
        _check(part, x)
        blocks.append(part.block(Span(layout, first, part.count)))
        first += part.count
    return begin(x, layout, tuple(blocks), _tops(top or {}, x, layout))


def _check(part: OneHot | Shared | PerPoint, x: Tensor) -> None:
    """Check all that can be known without waiting for a device."""
    if isinstance(part, OneHot) and not _readable(part.columns):
        part.check_points(x)
    else:
        part.check(x)


def _readable(tensor: Tensor) -> bool:
    """Whether numbers may be looked at: none of a tracer, a transform or a device that works asynchronously."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        return False
    return tensor.device.type == "cpu" and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)


def _tops(top: Mapping[int, Tensor], x: Tensor, layout: Layout) -> dict[int, Tensor]:
    found = {}
    for k, vectors in top.items():
        if not 1 <= k <= layout.order:
            raise ConfigError(f"top seeds for order {k}; the layout has orders 1 to {layout.order}")
        rows = layout.rows(k)
        shape = (rows, *x.shape) if vectors.ndim == 3 else (rows, x.shape[1])
        check_vectors(f"top seeds of order {k}", vectors, shape, x)
        onward = layout.active(k + 1) if k < layout.order else 0
        if onward and _readable(vectors) and bool(vectors[:onward].any()):
            raise ConfigError(
                f"top seeds of order {k} are not zero in rows 0 to {onward - 1}, which go on to order {k + 1}; "
                "give these directions an order of their own"
            )
        found[k] = vectors if vectors.ndim == 3 else vectors.unsqueeze(1)
    return found
