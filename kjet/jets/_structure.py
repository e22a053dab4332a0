"""Taylor rules of linear operations of one argument: shapes, reductions, Fourier transforms, copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ..errors import JetRuleError
from ..typing import Tensor
from ._linear import jointly, pieces, rowwise
from ._series import linear
from .jet import Jet, rule


def _register_rowwise(*operations: Callable[..., Any]) -> None:
    for operation in operations:
        method = getattr(torch.Tensor, operation.__name__, operation)
        # Both, since the method takes sizes as varargs and the function as a tuple.
        for each in dict.fromkeys((operation, method)) if callable(method) else (operation,):

            def handler(x: Any, *args: Any, _operation: Callable[..., Any] = each, **kwargs: Any) -> Jet:
                if not isinstance(x, Jet) or any(isinstance(a, Jet) for a in (*args, *kwargs.values())):
                    raise JetRuleError(f"{_operation.__name__} knows a jet only as its first argument")
                return rowwise(x, _operation, *args, **kwargs)

            rule(each)(handler)


_register_rowwise(
    torch.sum, torch.mean, torch.cumsum, torch.nansum, torch.diff, torch.trapezoid, torch.trapz,
    torch.reshape, torch.flatten, torch.unflatten, torch.ravel, torch.permute, torch.transpose, torch.swapaxes,
    torch.swapdims, torch.movedim, torch.moveaxis, torch.t, torch.adjoint, torch.squeeze, torch.unsqueeze,
    torch.flip, torch.fliplr, torch.flipud, torch.rot90, torch.roll, torch.tril, torch.triu,
    torch.diagonal, torch.diag_embed, torch.diagflat, torch.diag, torch.trace,
    torch.select, torch.narrow, torch.index_select, torch.gather, torch.take_along_dim,
    torch.broadcast_to, torch.tile, torch.repeat_interleave,
    torch.atleast_1d, torch.atleast_2d, torch.atleast_3d,
    torch.real, torch.imag, torch.conj, torch.conj_physical, torch.resolve_conj, torch.resolve_neg, torch.view_as_real,
    torch.positive, torch.deg2rad, torch.rad2deg, torch.clone, torch.Tensor.contiguous,
    torch.fft.fft, torch.fft.ifft, torch.fft.rfft, torch.fft.irfft, torch.fft.hfft, torch.fft.ihfft,
    torch.fft.fft2, torch.fft.ifft2, torch.fft.rfft2, torch.fft.irfft2,
    torch.fft.fftn, torch.fft.ifftn, torch.fft.rfftn, torch.fft.irfftn, torch.fft.fftshift, torch.fft.ifftshift,
    F.unfold, F.fold, F.interpolate, F.channel_shuffle, F.pixel_shuffle, F.pixel_unshuffle, F.grid_sample,
    F.avg_pool1d, F.avg_pool2d, F.avg_pool3d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d,
    torch.Tensor.view, torch.Tensor.expand, torch.Tensor.repeat, torch.Tensor.unfold,
)  # fmt: skip


@rule(torch.Tensor.expand_as)
def expand_as(x: Any, other: Any) -> Any:
    """Broadcast to the shape of another."""
    return x.expand(other.shape)


@rule(torch.Tensor.view_as, torch.Tensor.reshape_as)
def view_as(x: Any, other: Any) -> Any:
    """View in the shape of another."""
    return x.reshape(other.shape)


def _converted(x: Jet, convert: Callable[[Tensor], Tensor]) -> Any:
    """Change the type or the device of every coefficient; what is no longer continuous is constant."""
    value = convert(x.primal)
    if not (value.is_floating_point() or value.is_complex()):
        return value
    if x.stack is not None:
        return Jet.stacked(convert(x.stack), x.layout)
    return Jet([value, *(None if c is None else convert(c) for c in x.coefficients[1:])], x.layout)


def _register_conversions(*methods: Callable[..., Tensor]) -> None:
    for method in methods:

        def handler(x: Jet, *args: Any, _method: Callable[..., Tensor] = method, **kwargs: Any) -> Any:
            return _converted(x, lambda c: _method(c, *args, **kwargs))

        rule(method)(handler)


_register_conversions(
    torch.Tensor.type, torch.Tensor.double, torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16,
    torch.Tensor.bool, torch.Tensor.int, torch.Tensor.long,
    torch.Tensor.cpu, torch.Tensor.cuda,
)  # fmt: skip


@rule(torch.Tensor.to)
def to(x: Any, *args: Any, **kwargs: Any) -> Any:
    """Change the type or the device, given as such or by another tensor or jet."""
    if args and isinstance(args[0], Jet):
        args = (args[0].primal, *args[1:])
    return _converted(x, lambda c: c.to(*args, **kwargs)) if isinstance(x, Jet) else x.to(*args, **kwargs)


@rule(torch.Tensor.type_as)
def type_as(x: Any, other: Any) -> Any:
    """Change to the type of another."""
    return x.to(other.dtype)


@rule(torch.Tensor.detach, torch.detach)
def detach(x: Jet) -> Jet:
    """Cut the graph of every coefficient."""
    return linear(x, torch.detach, torch.detach)


@rule(
    F.dropout, torch.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout
)  # fmt: skip
def dropout(x: Jet, p: float = 0.5, training: bool = False, inplace: bool = False) -> Jet:
    """Pass through; dropout only where it is switched off."""
    if training and p > 0:
        raise ValueError("a derivative through active dropout is random; call model.eval() first")
    return x


@rule(F.pad)
def pad(x: Jet, pad: Any, mode: str = "constant", value: float | None = None) -> Jet:
    """Pad; the value that is put in is constant, so that coefficients are padded by zeros."""
    if mode != "constant" or not value:
        return rowwise(x, F.pad, tuple(pad), mode)
    return Jet([F.pad(x.primal, tuple(pad), mode, value), *rowwise(x, F.pad, tuple(pad)).coefficients[1:]], x.layout)


@rule(torch.take)
def take(x: Jet, index: Any) -> Jet:
    """Elements by their places among all."""
    return x.reshape(-1)[index]


@rule(torch.view_as_complex)
def view_as_complex(x: Jet) -> Jet:
    """Pairs as complex numbers; copied, since broadcast rows have no memory layout of pairs."""
    return rowwise(x, lambda t: torch.complex(t[..., 0], t[..., 1]))


@rule(torch.complex)
def complex_number(real: Any, imag: Any) -> Jet:
    """Complex numbers of real and imaginary parts."""
    return jointly(torch.complex, real, imag)


@rule(torch.Tensor.__getitem__)
def getitem(x: Any, index: Any) -> Jet:
    """Index or slice the primal's axes; an index may not be a jet."""
    entries = index if isinstance(index, tuple) else (index,)
    if not isinstance(x, Jet) or any(isinstance(entry, Jet) for entry in entries):
        raise JetRuleError("an index cannot be a jet: it is not differentiable; index by integers, as in x[i.long()]")
    if all(entry is None or entry is Ellipsis or isinstance(entry, int | slice) for entry in entries):
        return _basic_index(x, entries)
    return rowwise(x, torch.Tensor.__getitem__, plain_index(entries))


def plain_index(entries: tuple[Any, ...]) -> tuple[Any, ...]:
    """Replace masks by the places where they hold: vmap knows no indexing by masks."""
    result: list[Any] = []
    for entry in entries:
        if isinstance(entry, Tensor) and entry.dtype == torch.bool:
            result += entry.nonzero(as_tuple=True)
        else:
            result.append(entry)
    return tuple(result)


def _basic_index(x: Jet, entries: tuple[Any, ...]) -> Jet:
    """Index by integers, slices, None and one ellipsis: a view of each coefficient, kept broadcast where it can be."""

    def behind_rows(c: Tensor) -> Tensor:
        return c[(slice(None), *entries)]

    if x.stack is not None:
        return Jet.stacked(behind_rows(x.stack), x.layout)
    last_only = len(entries) == 2 and entries[0] is Ellipsis
    coefficients: list[Tensor | None] = [x.primal[entries]]
    for k in range(1, x.order + 1):
        c = x.coefficients[k]
        whole = c is not None and last_only and c.shape[-1] == x.shape[-1]
        coefficients.append(None if c is None else behind_rows(c if whole else x.row(k)))  # type: ignore[arg-type]
    return Jet(coefficients, x.layout)


def _register_pieces(*operations: Callable[..., Any]) -> None:
    for operation in operations:

        def handler(
            x: Jet, *args: Any, _operation: Callable[..., Any] = operation, **kwargs: Any
        ) -> tuple[Jet, ...]:  # fmt: skip
            return pieces(x, lambda t: tuple(_operation(t, *args, **kwargs)))

        rule(operation)(handler)


_register_pieces(
    torch.split, torch.chunk, torch.tensor_split, torch.unbind, torch.hsplit, torch.vsplit, torch.dsplit,
    torch.split_with_sizes, torch.unsafe_split, torch.unsafe_chunk,
)  # fmt: skip


def _register_joins(*operations: Callable[..., Any]) -> None:
    for operation in operations:

        def handler(tensors: Any, *args: Any, _operation: Callable[..., Any] = operation, **kwargs: Any) -> Jet:
            return jointly(lambda *parts: _operation(parts, *args, **kwargs), *tensors)

        rule(operation)(handler)


_register_joins(
    torch.cat, torch.concat, torch.concatenate, torch.stack, torch.hstack, torch.vstack, torch.dstack,
    torch.column_stack, torch.row_stack,
)  # fmt: skip


@rule(torch.block_diag)
def block_diag(*tensors: Any) -> Jet:
    """Blocks along the diagonal."""
    return jointly(torch.block_diag, *tensors)


@rule(torch.broadcast_tensors)
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Expand all to their common shape."""
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    return tuple(t.expand(shape) for t in tensors)


@rule(torch.meshgrid)
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """Coordinates of a grid, by its axes."""
    axes = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    count = len(axes)
    order = [1, 0, *range(2, count)] if indexing == "xy" and count > 1 else list(range(count))
    shape = [axes[i].numel() for i in order]
    views = [t.reshape([-1 if i == axis else 1 for i in order]) for axis, t in enumerate(axes)]
    return tuple(view.expand(shape) for view in views)


def _constant_like(x: Jet, value: Tensor) -> Any:
    """Wrap what is made in a jet's likeness in a jet too, so that jets may be written into it."""
    if not (value.is_floating_point() or value.is_complex()):
        return value
    return Jet([value, *(None,) * x.order], x.layout)


def _register_constants(*operations: Callable[..., Tensor]) -> None:
    for operation in operations:

        def handler(x: Jet, *args: Any, _operation: Callable[..., Tensor] = operation, **kwargs: Any) -> Any:
            return _constant_like(x, _operation(x.primal, *args, **kwargs))

        rule(operation)(handler)


_register_constants(
    torch.zeros_like, torch.ones_like, torch.full_like, torch.empty_like, torch.randn_like, torch.rand_like,
    torch.Tensor.new_zeros, torch.Tensor.new_ones, torch.Tensor.new_full, torch.Tensor.new_tensor,
    torch.Tensor.new_empty,
)  # fmt: skip
