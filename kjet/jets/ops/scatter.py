"""Taylor rules of writing at constant places: messages summed into nodes, elements and slices replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...errors import JetRuleError
from ...typing import Tensor
from .._linear import jointly, leading, rowwise
from .._registry import rule
from ..jet import Jet
from ._inplace import overwrite
from .pieces import plain_index
from .shapes import from_the_end

_torch: Any = torch  # its annotations do not know that its functions take jets


def _constant(index: Any) -> Any:
    if isinstance(index, Jet):
        raise JetRuleError("places to write to must be integers; got a jet, which is not differentiable as an index")
    return index


def _filled(x: Jet, fill: Callable[[Tensor, Any], Tensor], value: Any) -> Jet:
    """Write a constant: zero into every coefficient, which the operation takes with the row axis in front."""
    return Jet([fill(x.primal, value), *leading(x, lambda t: fill(t, 0)).coefficients[1:]], x.layout)


def _beside(index: Tensor, t: Tensor) -> Tensor:
    """Repeat places for every row."""
    return index.expand(*t.shape[: t.ndim - index.ndim], *index.shape)


# --- along an axis ---------------------------------------------------------------------------------------------------


def _register_updates(places: Callable[[Tensor, Tensor], Tensor], *operations: Callable[..., Tensor]) -> None:
    """Operations of ``(x, dim, index, source)`` that are linear in x and source together."""
    for operation in operations:

        def handler(
            x: Any, dim: int, index: Any, source: Any = None, *, src: Any = None,
            _operation: Callable[..., Tensor] = operation, **kwargs: Any,
        ) -> Jet:  # fmt: skip
            _constant(index)
            axis, new = from_the_end(dim, x.ndim), src if source is None else source

            def write(t: Tensor, s: Tensor) -> Tensor:
                return _operation(t, axis, places(index, t), s, **kwargs)

            return jointly(write, x, new, mapped=False)

        rule(operation)(handler)


_register_updates(lambda index, _: index, torch.index_add, torch.index_copy)
_register_updates(_beside, torch.scatter_add)


@rule(torch.index_fill)
def index_fill(x: Jet, dim: int, index: Any, value: Any) -> Jet:
    """Put a constant at places along an axis."""
    axis = from_the_end(dim, x.ndim)
    return _filled(x, lambda t, number: torch.index_fill(t, axis, _constant(index), number), value)


@rule(torch.scatter)
def scatter(x: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Jet:
    """Put elements, or one number, at places along an axis."""
    if reduce is not None and reduce != "add":
        raise JetRuleError(f'scatter of jets knows reduce="add" only; got "{reduce}"')
    axis, new = from_the_end(dim, _constant(index).ndim), value if src is None else src
    if not isinstance(new, Tensor | Jet):
        if reduce is None:
            return _filled(x, lambda t, number: torch.scatter(t, axis, _beside(index, t), number), new)
        new = torch.full(index.shape, new, dtype=x.dtype, device=x.device)
    operation = torch.scatter if reduce is None else torch.scatter_add
    return jointly(lambda t, s: operation(t, axis, _beside(index, t), s), x, new, mapped=False)


@rule(torch.scatter_reduce)
def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Jet:
    """Sum, mean or extremum of the elements that go to the same place."""
    axis = from_the_end(dim, _constant(index).ndim)
    if reduce in ("sum", "mean"):

        def write(t: Tensor, s: Tensor) -> Tensor:
            return torch.scatter_reduce(t, axis, _beside(index, t), s, reduce, include_self=include_self)

        return jointly(write, x, src, mapped=False)
    if reduce not in ("amax", "amin"):
        raise JetRuleError(f'scatter_reduce of jets knows sum, mean, amax and amin; got "{reduce}"')
    return _scatter_extremum(x, dim, index, src, reduce, include_self)


def _scatter_extremum(x: Any, dim: int, index: Tensor, src: Any, reduce: str, include_self: bool) -> Jet:
    """Those that have the extreme value share the slope."""
    own, new = (t.primal if isinstance(t, Jet) else t for t in (x, src))
    value = torch.scatter_reduce(own, dim, index, new, reduce, include_self=include_self)
    touched = torch.zeros_like(own).scatter(dim, index, 1.0) > 0
    stays = (own == value) & (~touched if not include_self else True)
    wins = (new == value.gather(dim, index)).to(value.dtype)
    count = stays.to(value.dtype).scatter_add(dim, index, wins)
    total = _torch.scatter_add(x * stays.to(value.dtype), dim, index, src * wins) / count
    return Jet([value, *total.coefficients[1:]], total.layout)


# --- at indices, in slices --------------------------------------------------------------------------------------------


@rule(torch.index_put)
def index_put(x: Any, indices: Any, values: Any, accumulate: bool = False) -> Jet:
    """Put or add elements at indices."""
    places = plain_index(tuple(_constant(index) for index in indices))
    return jointly(lambda t, s: torch.index_put(t, places, s, accumulate), x, values)


@rule(torch.select_scatter)
def select_scatter(x: Any, src: Any, dim: int, index: int) -> Jet:
    """Replace one slice along an axis."""
    axis = from_the_end(dim, x.ndim)
    return jointly(lambda t, s: torch.select_scatter(t, s, axis, index), x, src, mapped=False)


@rule(torch.slice_scatter)
def slice_scatter(x: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Jet:
    """Replace slices along an axis."""
    axis = from_the_end(dim, x.ndim)
    return jointly(lambda t, s: torch.slice_scatter(t, s, axis, start, end, step), x, src, mapped=False)


@rule(torch.diagonal_scatter)
def diagonal_scatter(x: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Jet:
    """Replace a diagonal."""
    axes = from_the_end((dim1, dim2), x.ndim)
    return jointly(lambda t, s: torch.diagonal_scatter(t, s, offset, *axes), x, src, mapped=False)


@rule(torch.Tensor.__setitem__)
def setitem(x: Any, index: Any, value: Any) -> None:
    """``x[index] = value``: x takes on the result."""
    entries = plain_index(tuple(_constant(e) for e in (index if isinstance(index, tuple) else (index,))))

    def written(t: Tensor, s: Any) -> Tensor:
        result = t.clone()
        result[entries] = s
        return result

    def cleared(x: Jet) -> Jet:
        rows = rowwise(x, lambda t: written(t, 0))
        return Jet([written(x.primal, value), *rows.coefficients[1:]], x.layout)

    if not isinstance(x, Jet):
        overwrite(x, value)
    elif isinstance(value, Tensor | Jet):
        overwrite(x, jointly(written, x, value))
    else:
        overwrite(x, cleared(x))


@rule(torch.Tensor.copy_)
def copy_in_place(x: Any, source: Any, non_blocking: bool = False) -> Jet:
    """Take on the values of another."""
    return overwrite(x, source.expand(x.shape))


def _register_constants_in_place(*methods: Callable[..., Tensor]) -> None:
    for method in methods:

        def handler(x: Jet, *args: Any, _method: Callable[..., Tensor] = method, **kwargs: Any) -> Jet:
            return overwrite(x, _method(torch.empty_like(x.primal), *args, **kwargs))

        rule(method)(handler)


_register_constants_in_place(torch.Tensor.zero_, torch.Tensor.fill_)
