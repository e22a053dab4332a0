"""Taylor rules of operations that pick elements: extrema, sorting, pooling by the largest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...typing import Tensor
from .._registry import rule
from ..jet import Jet


def _picked(x: Jet, index: Tensor, dim: int, keepdim: bool = True) -> Jet:
    """Elements at the places that the primal chose."""
    y = x.gather(dim, index)
    return y if keepdim else y.squeeze(dim)


def _register_picking(*operations: Callable[..., Any]) -> None:
    """Operations that return values and their places along an axis, of as many axes as the argument."""
    for operation in operations:

        def handler(x: Jet, *args: Any, _operation: Callable[..., Any] = operation, **kwargs: Any) -> Any:
            found = _operation(x.primal, *args, **kwargs)
            dim = _axis_of(_operation, args, kwargs)
            return type(found)((_picked(x, found.indices, dim), found.indices))

        rule(operation)(handler)


def _axis_of(operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    place = 1 if operation is torch.topk else 0
    return args[place] if len(args) > place else kwargs.get("dim", -1)


_register_picking(torch.sort, torch.topk, torch.cummax, torch.cummin)


def _register_extremum(*operations: Callable[..., Any]) -> None:
    """``max(x)``, ``max(x, dim)`` and ``max(x, y)``, and their like."""
    pairs: dict[Any, Any] = {torch.max: torch.maximum, torch.min: torch.minimum}
    for operation in operations:

        def handler(x: Any, *args: Any, _operation: Callable[..., Any] = operation, **kwargs: Any) -> Any:
            other = args[0] if args else kwargs.get("other")
            if isinstance(other, Tensor | Jet):
                return pairs[_operation](x, other)
            if not args and not kwargs:
                return _along(x.reshape(-1), _operation, (0,), {}).values
            return _along(x, _operation, args, kwargs)

        rule(operation)(handler)


def _along(x: Jet, operation: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Values and places along an axis that is kept only if asked for."""
    found = operation(x.primal, *args, **kwargs)
    place = 1 if operation is torch.kthvalue else 0
    dim = args[place] if len(args) > place else kwargs.get("dim", -1)
    keepdim = found.indices.ndim == x.ndim
    index = found.indices if keepdim else found.indices.unsqueeze(dim)
    return type(found)((_picked(x, index, dim, keepdim), found.indices))


_register_extremum(torch.max, torch.min)


@rule(torch.kthvalue)
def kthvalue(x: Jet, *args: Any, **kwargs: Any) -> Any:
    """The k-th smallest along an axis."""
    return _along(x, torch.kthvalue, args, kwargs)


@rule(torch.median)
def median(x: Jet, *args: Any, **kwargs: Any) -> Any:
    """The middle one, along an axis or of all."""
    if args or kwargs:
        return _along(x, torch.median, args, kwargs)
    return _along(x.reshape(-1), torch.median, (0,), {}).values


@rule(torch.msort)
def msort(x: Jet) -> Jet:
    """Sort along the first axis."""
    return _picked(x, torch.sort(x.primal, 0).indices, 0)


def _shared(x: Jet, value: Tensor, dim: Any) -> Jet:
    """Average of the elements that have the extreme value, as torch's autograd shares slopes among them."""
    share = (x.primal == value).to(value.dtype)
    share = share / share.sum(dim, keepdim=True)
    y = (x * share).sum(dim, keepdim=True)
    return Jet([value, *y.coefficients[1:]], x.layout)


def _register_shared(operation: Callable[..., Tensor]) -> None:
    @rule(operation)
    def handler(x: Jet, dim: Any = (), keepdim: bool = False) -> Any:
        axes = tuple(range(x.ndim)) if dim in ((), None) else dim
        y = _shared(x, operation(x.primal, axes, keepdim=True), axes)
        if keepdim:
            return y
        return y.reshape(operation(x.primal.detach(), axes).shape)


_register_shared(torch.amax)
_register_shared(torch.amin)


@rule(torch.aminmax)
def aminmax(x: Jet, *, dim: Any = None, keepdim: bool = False) -> Any:
    """Smallest and largest."""
    axes = () if dim is None else dim
    low, high = (f(x, axes, keepdim) for f in (torch.amin, torch.amax))  # type: ignore[arg-type]
    return torch.return_types.aminmax((low, high))  # type: ignore[attr-defined]


def _register_pooling(axes: int, *operations: Callable[..., Any]) -> None:
    """Pooling by the largest over the last axes: the places come from the primal."""
    for operation in operations:
        indexed = getattr(F, operation.__name__ + "_with_indices")

        def handler(
            x: Jet, *args: Any, return_indices: bool = False, _indexed: Callable[..., Any] = indexed, **kwargs: Any
        ) -> Any:
            _, index = _indexed(x.primal, *args, return_indices=True, **kwargs)

            y = x.flatten(-axes).gather(-1, index.flatten(-axes)).reshape(index.shape)
            return (y, index) if return_indices else y

        rule(operation, indexed)(handler)


_register_pooling(1, F.max_pool1d, F.adaptive_max_pool1d)
_register_pooling(2, F.max_pool2d, F.adaptive_max_pool2d)
_register_pooling(3, F.max_pool3d, F.adaptive_max_pool3d)
