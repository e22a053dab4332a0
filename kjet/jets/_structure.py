"""Taylor rules of linear operations of one argument: shapes, reductions, Fourier transforms, copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ..typing import Tensor
from ._series import linear
from .jet import Jet, rule


def rowwise(x: Jet, operation: Callable[..., Any], *args: Any, **kwargs: Any) -> Jet:
    """Apply a linear operation to the primal and, mapped over the row axis, to each coefficient."""

    def apply(tensor: Tensor) -> Tensor:
        return operation(tensor, *args, **kwargs)

    mapped = torch.func.vmap(apply)
    rows = [x.row(k) for k in range(1, x.order + 1)]
    return Jet([apply(x.primal), *(None if row is None else mapped(row) for row in rows)], x.layout)


def _register_rowwise(*operations: Callable[..., Any]) -> None:
    for operation in operations:
        method = getattr(torch.Tensor, operation.__name__, operation)
        # Both, since the method takes sizes as varargs and the function as a tuple.
        for each in {operation, method} if callable(method) else {operation}:

            def handler(x: Jet, *args: Any, _operation: Callable[..., Any] = each, **kwargs: Any) -> Jet:
                return rowwise(x, _operation, *args, **kwargs)

            rule(each)(handler)


_register_rowwise(
    torch.sum, torch.mean, torch.cumsum, torch.nansum,
    torch.reshape, torch.flatten, torch.unflatten, torch.permute, torch.transpose, torch.swapaxes, torch.movedim,
    torch.t, torch.squeeze, torch.unsqueeze, torch.flip, torch.roll, torch.tril, torch.triu, torch.diagonal,
    torch.diag_embed, torch.select, torch.narrow, torch.index_select, torch.gather, torch.take_along_dim,
    torch.broadcast_to, torch.tile, torch.repeat_interleave, torch.trace, torch.real, torch.imag, torch.conj,
    torch.view_as_real, torch.view_as_complex,
    torch.fft.fft, torch.fft.ifft, torch.fft.rfft, torch.fft.irfft, torch.fft.fft2, torch.fft.ifft2, torch.fft.rfft2,
    torch.fft.irfft2, torch.fft.fftn, torch.fft.ifftn, torch.fft.rfftn, torch.fft.irfftn, torch.fft.fftshift,
    torch.fft.ifftshift, F.pad, F.unfold, F.avg_pool1d, F.avg_pool2d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d,
    F.pixel_shuffle, F.pixel_unshuffle,
    torch.Tensor.view, torch.Tensor.expand, torch.Tensor.expand_as, torch.Tensor.repeat, torch.Tensor.contiguous,
    torch.Tensor.to, torch.Tensor.type_as, torch.Tensor.double, torch.Tensor.float, torch.Tensor.clone,
)  # fmt: skip


@rule(torch.Tensor.detach, torch.detach)
def detach(x: Jet) -> Jet:
    """Cut the graph of every coefficient."""
    return linear(x, torch.detach, torch.detach)


@rule(F.dropout)
def dropout(x: Jet, p: float = 0.5, training: bool = False, inplace: bool = False) -> Jet:
    """Pass through; dropout only where it is switched off."""
    if training and p > 0:
        raise ValueError("a derivative through active dropout is random; call model.eval() first")
    return x


@rule(torch.Tensor.__getitem__)
def getitem(x: Jet, index: Any) -> Jet:
    """Index or slice the primal's axes; an index may not be a jet."""
    entries = index if isinstance(index, tuple) else (index,)
    if all(entry is None or entry is Ellipsis or isinstance(entry, int | slice) for entry in entries):
        return _basic_index(x, entries)
    return rowwise(x, torch.Tensor.__getitem__, index)


def _basic_index(x: Jet, entries: tuple[Any, ...]) -> Jet:
    """Index by integers, slices, None and one ellipsis: a view of each coefficient, kept broadcast where it can be."""

    def behind_rows(c: Tensor) -> Tensor:
        return c[(slice(None), *entries)]

    last_only = len(entries) == 2 and entries[0] is Ellipsis
    coefficients: list[Tensor | None] = [x.primal[entries]]
    for k in range(1, x.order + 1):
        c = x.coefficients[k]
        whole = c is not None and last_only and c.shape[-1] == x.shape[-1]
        coefficients.append(None if c is None else behind_rows(c if whole else x.row(k)))  # type: ignore[arg-type]
    return Jet(coefficients, x.layout)


def _pieces(x: Jet, operation: Callable[[Tensor], tuple[Tensor, ...]]) -> tuple[Jet, ...]:
    """Apply an operation that returns several tensors."""
    mapped = torch.func.vmap(operation)
    parts = [operation(x.primal)]
    count = len(parts[0])
    for k in range(1, x.order + 1):
        row = x.row(k)
        parts.append((None,) * count if row is None else mapped(row))  # type: ignore[arg-type]
    return tuple(Jet([part[i] for part in parts], x.layout) for i in range(count))


@rule(torch.split)
def split(x: Jet, split_size: Any, dim: int = 0) -> tuple[Jet, ...]:
    """Split along an axis."""
    return _pieces(x, lambda t: torch.split(t, split_size, dim))


@rule(torch.chunk)
def chunk(x: Jet, chunks: int, dim: int = 0) -> tuple[Jet, ...]:
    """Split into a number of parts."""
    return _pieces(x, lambda t: torch.chunk(t, chunks, dim))


@rule(torch.tensor_split)
def tensor_split(x: Jet, sections: Any, dim: int = 0) -> tuple[Jet, ...]:
    """Split at indices."""
    return _pieces(x, lambda t: torch.tensor_split(t, sections, dim))


@rule(torch.unbind)
def unbind(x: Jet, dim: int = 0) -> tuple[Jet, ...]:
    """Take an axis apart."""
    return _pieces(x, lambda t: torch.unbind(t, dim))


def _several(operation: Callable[..., Tensor], items: Any, *args: Any, **kwargs: Any) -> Jet:
    """Apply an operation on a list of tensors, some of them jets."""
    jets = [item for item in items if isinstance(item, Jet)]
    layout = jets[0].layout
    coefficients: list[Tensor | None] = [
        operation([item.primal if isinstance(item, Jet) else item for item in items], *args, **kwargs)
    ]
    mapped = torch.func.vmap(lambda *tensors: operation(tensors, *args, **kwargs))
    for k in range(1, layout.order + 1):
        rows = [item.row(k) if isinstance(item, Jet) else None for item in items]
        if all(row is None for row in rows):
            coefficients.append(None)
            continue
        like = jets[0].primal
        filled = [
            like.new_zeros(layout.rows(k), *item.shape) if row is None else row
            for row, item in zip(rows, items, strict=True)
        ]
        coefficients.append(mapped(*filled))
    return Jet(coefficients, layout)


@rule(torch.cat, torch.concat, torch.concatenate)
def cat(tensors: Any, dim: int = 0, axis: int | None = None) -> Jet:
    """Concatenate jets and tensors."""
    along = dim if axis is None else axis
    return _several(lambda parts: torch.cat(tuple(parts), dim=along), tensors)


@rule(torch.stack)
def stack(tensors: Any, dim: int = 0) -> Jet:
    """Stack jets and tensors."""
    return _several(lambda parts: torch.stack(tuple(parts), dim=dim), tensors)


@rule(torch.hstack)
def hstack(tensors: Any) -> Jet:
    """Concatenate along the second axis, or the first of vectors."""
    return _several(lambda parts: torch.hstack(tuple(parts)), tensors)


for _name in ("zeros_like", "ones_like", "full_like", "empty_like", "randn_like", "rand_like"):
    _function = getattr(torch, _name)

    def _constant(x: Jet, *args: Any, _function: Callable[..., Tensor] = _function, **kwargs: Any) -> Tensor:
        return _function(x.primal, *args, **kwargs)

    rule(_function)(_constant)

for _name in ("new_zeros", "new_ones", "new_full", "new_tensor", "new_empty"):
    _method = getattr(torch.Tensor, _name)

    def _new(x: Jet, *args: Any, _method: Callable[..., Tensor] = _method, **kwargs: Any) -> Tensor:
        return _method(x.primal, *args, **kwargs)

    rule(_method)(_new)
