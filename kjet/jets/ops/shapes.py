"""Taylor rules of reshaping, and of operations along axes.

They act on coefficients as on the primal, with the row axis in front: axes are counted from the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...errors import JetRuleError
from ...typing import Tensor
from .._linear import leading, pieces
from .._registry import rule
from .._series import aligned
from ..jet import Jet

# --- other shapes of the same elements --------------------------------------------------------------------------------


def _reshaped(x: Jet, view: Callable[[Tensor], Tensor]) -> Jet:
    """Give the rows the shape that the primal takes."""
    if x.stack is not None:
        return Jet.stacked(x.stack.reshape(x.stack.shape[0], *view(x.stack[0]).shape), x.layout)
    value = view(x.primal)
    rows = [x.row(k) for k in range(1, x.order + 1)]
    return Jet([value, *(None if c is None else c.reshape(c.shape[0], *value.shape) for c in rows)], x.layout)


def _register_reshaping(*operations: Callable[..., Tensor]) -> None:
    for operation in operations:

        def handler(x: Jet, *args: Any, _operation: Callable[..., Tensor] = operation, **kwargs: Any) -> Jet:
            return _reshaped(x, lambda t: _operation(t, *args, **kwargs))

        rule(operation)(handler)


_register_reshaping(
    torch.reshape, torch.Tensor.reshape, torch.Tensor.view, torch.flatten, torch.unflatten, torch.Tensor.unflatten,
    torch.ravel, torch.squeeze, torch.Tensor.squeeze, torch.unsqueeze, torch.atleast_1d, torch.atleast_2d,
    torch.atleast_3d,
)  # fmt: skip


@rule(torch.Tensor.view_as, torch.Tensor.reshape_as)
def view_as(x: Any, other: Any) -> Any:
    """View in the shape of another."""
    return x.reshape(other.shape)


@rule(torch.broadcast_to, torch.Tensor.expand)
def expand(x: Jet, *sizes: Any) -> Jet:
    """Broadcast; rows that broadcast anyway stay as small as they are."""
    value = x.primal.expand(*sizes)
    if x.stack is not None:
        return Jet.stacked(aligned(x.stack, value.ndim).expand(-1, *value.shape), x.layout)
    rows = [None if c is None else aligned(c, value.ndim) for c in x.coefficients[1:]]
    return Jet([value, *rows], x.layout)


@rule(torch.Tensor.expand_as)
def expand_as(x: Any, other: Any) -> Any:
    """Broadcast to the shape of another."""
    return x.expand(other.shape)


@rule(torch.broadcast_tensors)
def broadcast_tensors(*tensors: Any) -> Sequence[Any]:
    """Expand all to their common shape."""
    shape = torch.broadcast_shapes(*(t.shape for t in tensors))
    return [t.expand(shape) for t in tensors]


@rule(torch.meshgrid)
def meshgrid(*tensors: Any, indexing: str | None = None) -> Sequence[Any]:
    """Coordinates of a grid, by its axes."""
    axes = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
    count = len(axes)
    order = [1, 0, *range(2, count)] if indexing == "xy" and count > 1 else list(range(count))
    shape = [axes[i].numel() for i in order]
    views = [t.reshape([-1 if i == axis else 1 for i in order]) for axis, t in enumerate(axes)]
    return [view.expand(shape) for view in views]


# --- along axes -------------------------------------------------------------------------------------------------------


def from_the_end(axes: Any, ndim: int) -> Any:
    """Count axes from the end, where the row axis does not shift them."""
    if isinstance(axes, list | tuple):
        return tuple(from_the_end(axis, ndim) for axis in axes)
    return axes - max(ndim, 1) if isinstance(axes, int) and axes >= 0 else axes


def _named(options: dict[str, Any]) -> dict[str, Any]:
    """Give options the names that torch has beside those of numpy."""
    names = {"axis": "dim", "keepdims": "keepdim"}
    return {names.get(name, name): value for name, value in options.items()}


def register_along(places: dict[str, int], *operations: Callable[..., Any], cutting: bool = False) -> None:
    """Operations with axes among their arguments, by name and place behind the first argument."""
    for operation in operations:

        def handler(x: Any, *args: Any, _operation: Callable[..., Any] = operation, **kwargs: Any) -> Any:
            if not isinstance(x, Jet) or any(isinstance(a, Jet) for a in (*args, *kwargs.values())):
                raise JetRuleError(f"{_operation.__name__} knows a jet only as its first argument")
            changed, kwargs = list(args), _named(kwargs)
            for name, place in places.items():
                if place < len(args):
                    changed[place] = from_the_end(args[place], x.ndim)
                else:
                    kwargs[name] = from_the_end(kwargs.get(name, 0), x.ndim)
            return (pieces if cutting else leading)(x, lambda t: _operation(t, *changed, **kwargs))

        rule(operation)(handler)


register_along({"dim": 0}, torch.cumsum, torch.index_select, torch.select, torch.narrow)
register_along({"dim0": 0, "dim1": 1}, torch.transpose)
register_along({"axis0": 0, "axis1": 1}, torch.swapaxes)
register_along({"dim0": 0, "dim1": 1}, torch.swapdims)
register_along({"source": 0, "destination": 1}, torch.movedim, torch.moveaxis)


def _register_sums(*operations: Callable[..., Tensor]) -> None:
    """Sums and means: over all axes if none are given."""
    for operation in operations:

        def handler(x: Jet, *args: Any, _operation: Callable[..., Tensor] = operation, **kwargs: Any) -> Jet:
            return _summed(_operation, x, *args, **_named(kwargs))

        rule(operation)(handler)


def _summed(
    operation: Callable[..., Tensor], x: Jet, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Jet:  # fmt: skip
    axes = tuple(range(-x.ndim, 0)) if dim is None or dim == () else from_the_end(dim, x.ndim)
    return x if axes == () else leading(x, lambda t: operation(t, axes, keepdim, dtype=dtype))


_register_sums(torch.sum, torch.mean, torch.nansum)


@rule(torch.permute, torch.Tensor.permute)
def permute(x: Jet, *dims: Any) -> Jet:
    """Reorder the axes."""
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], list | tuple) else dims
    behind = [axis % x.ndim - x.ndim for axis in order]
    if x.stack is not None:
        return Jet.stacked(x.stack.permute(0, *behind), x.layout)
    rows = [x.row(k) for k in range(1, x.order + 1)]
    return Jet([x.primal.permute(*order), *(None if c is None else c.permute(0, *behind) for c in rows)], x.layout)


@rule(torch.t)
def t(x: Jet) -> Jet:
    """Transpose a matrix; a vector is what it is."""
    return x.transpose(-2, -1) if x.ndim == 2 else x


@rule(torch.adjoint)
def adjoint(x: Jet) -> Jet:
    """Transpose the last two axes and conjugate."""
    return x.transpose(-2, -1).conj() if x.is_complex() else x.transpose(-2, -1)


@rule(torch.gather)
def gather(x: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Jet:
    """Elements at constant places along an axis."""
    if not isinstance(x, Jet) or isinstance(index, Jet):
        raise JetRuleError("gather knows a jet only as its first argument; places are integers")
    axis = from_the_end(dim, x.ndim)

    def taken(c: Tensor) -> Tensor:
        return torch.gather(c, axis, index.expand(*c.shape[: c.ndim - x.ndim], *index.shape))

    return leading(x, taken)
