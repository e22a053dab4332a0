"""Taylor rules of linear operations of one argument: Fourier transforms, pooling, copies, types, constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...errors import JetRuleError
from ...typing import Tensor
from .._linear import batched, jointly, leading, rowwise
from .._registry import rule
from .._series import linear
from ..jet import Jet


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
    torch.diff, torch.trapezoid, torch.trapz, torch.flip, torch.fliplr, torch.flipud, torch.rot90, torch.roll,
    torch.diagonal, torch.diag_embed, torch.diagflat, torch.diag, torch.trace, torch.take_along_dim, torch.tile,
    torch.repeat_interleave, torch.Tensor.repeat, F.grid_sample,
    torch.fft.fft, torch.fft.ifft, torch.fft.rfft, torch.fft.irfft, torch.fft.hfft, torch.fft.ihfft,
    torch.fft.fft2, torch.fft.ifft2, torch.fft.rfft2, torch.fft.irfft2,
    torch.fft.fftn, torch.fft.ifftn, torch.fft.rfftn, torch.fft.irfftn, torch.fft.fftshift, torch.fft.ifftshift,
)  # fmt: skip


def _register_leading(*operations: Callable[..., Tensor]) -> None:
    """Operations on each element, or on the last axes."""
    for operation in operations:

        def handler(x: Jet, *args: Any, _operation: Callable[..., Tensor] = operation, **kwargs: Any) -> Jet:
            return leading(x, lambda t: _operation(t, *args, **kwargs))

        rule(operation)(handler)


_register_leading(
    torch.tril, torch.triu, torch.real, torch.imag, torch.conj, torch.conj_physical, torch.resolve_conj,
    torch.resolve_neg, torch.view_as_real, torch.positive, torch.deg2rad, torch.rad2deg, torch.clone,
    torch.Tensor.contiguous, F.pixel_shuffle, F.pixel_unshuffle,
)  # fmt: skip


def _register_batched(axes: int | None, *operations: Callable[..., Tensor]) -> None:
    """Layers without parameters on batches of so many axes, or of any number."""
    for operation in operations:

        def handler(x: Jet, *args: Any, _operation: Callable[..., Tensor] = operation, **kwargs: Any) -> Jet:
            return batched(x, lambda t: _operation(t, *args, **kwargs), x.ndim if axes is None else axes)

        rule(operation)(handler)


_register_batched(3, F.avg_pool1d, F.adaptive_avg_pool1d, F.fold)
_register_batched(4, F.avg_pool2d, F.adaptive_avg_pool2d, F.unfold)
_register_batched(5, F.avg_pool3d, F.adaptive_avg_pool3d)
_register_batched(None, F.interpolate, F.channel_shuffle)
_register_rowwise(torch.Tensor.unfold)  # another operation than F.unfold, whose method it is not


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
    sides = tuple(pad)
    if mode != "constant":
        return batched(x, lambda t: F.pad(t, sides, mode), len(sides) // 2 + 2)
    rows = leading(x, lambda t: F.pad(t, sides))
    return Jet([F.pad(x.primal, sides, mode, value), *rows.coefficients[1:]], x.layout) if value else rows


@rule(torch.view_as_complex)
def view_as_complex(x: Jet) -> Jet:
    """Pairs as complex numbers; copied, since broadcast rows have no memory layout of pairs."""
    return leading(x, lambda t: torch.complex(t[..., 0], t[..., 1]))


@rule(torch.complex)
def complex_number(real: Any, imag: Any) -> Jet:
    """Complex numbers of real and imaginary parts."""
    return jointly(torch.complex, real, imag, mapped=False)


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
