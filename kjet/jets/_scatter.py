"""Taylor rules of writing at constant places: messages summed into nodes, elements and slices replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ..errors import JetRuleError
from ..typing import Tensor
from ._inplace import overwrite
from ._linear import jointly, rowwise
from ._structure import plain_index
from .jet import Jet, rule

_torch: Any = torch  # its annotations do not know that its functions take jets


def _constant(index: Any) -> Any:
    if isinstance(index, Jet):
        raise JetRuleError("places to write to must be integers; got a jet, which is not differentiable as an index")
    return index


def _filled(x: Jet, fill: Callable[[Tensor, Any], Tensor], value: Any) -> Jet:
    """Write a constant: zero into every coefficient."""
    return Jet([fill(x.primal, value), *rowwise(x, lambda t: fill(t, 0)).coefficients[1:]], x.layout)


# --- along an axis ---------------------------------------------------------------------------------------------------


def _register_updates(*operations: Callable[..., Tensor]) -> None:
    """Operations of ``(x, dim, index, source)`` that are linear in x and source together."""
    for operation in operations:

        def handler(
            x: Any, dim: int, index: Any, source: Any = None, *, src: Any = None,
            _operation: Callable[..., Tensor] = operation, **kwargs: Any,
        ) -> Jet:  # fmt: skip
            _constant(index)
            new = src if source is None else source
            return jointly(lambda t, s: _operation(t, dim, index, s, **kwargs), x, new)

        rule(operation)(handler)


_register_updates(torch.index_add, torch.index_copy, torch.scatter_add)


@rule(torch.index_fill)
def index_fill(x: Jet, dim: int, index: Tensor, value: Any) -> Jet:
    """Put a constant at places along an axis."""
    return _filled(x, lambda t, number: torch.index_fill(t, dim, _constant(index), number), value)


@rule(torch.scatter)
def scatter(x: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Jet:
    """Put elements, or one number, at places along an axis."""
    _constant(index)
    if reduce is not None and reduce != "add":
        raise JetRuleError(f'scatter of jets knows reduce="add" only; got "{reduce}"')
    new = value if src is None else src
    if not isinstance(new, Tensor | Jet):
        if reduce is None:
            return _filled(x, lambda t, number: torch.scatter(t, dim, index, number), new)
        new = torch.full(index.shape, new, dtype=x.dtype, device=x.device)
    operation = torch.scatter if reduce is None else torch.scatter_add
    return jointly(lambda t, s: operation(t, dim, index, s), x, new)


@rule(torch.scatter_reduce)
def scatter_reduce(x: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Jet:
    """Sum, mean or extremum of the elements that go to the same place."""
    _constant(index)
    if reduce in ("sum", "mean"):
        return jointly(lambda t, s: torch.scatter_reduce(t, dim, index, s, reduce, include_self=include_self), x, src)
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


def _register_slices(*operations: Callable[..., Tensor]) -> None:
    """Operations of ``(x, source, where)`` that are linear in x and source together."""
    for operation in operations:

        def handler(
            x: Any, src: Any, *args: Any, _operation: Callable[..., Tensor] = operation, **kwargs: Any
        ) -> Jet:  # fmt: skip
            return jointly(lambda t, s: _operation(t, s, *args, **kwargs), x, src)

        rule(operation)(handler)


_register_slices(torch.select_scatter, torch.slice_scatter, torch.diagonal_scatter)


@rule(torch.Tensor.__setitem__)
def setitem(x: Any, index: Any, value: Any) -> None:
    """``x[index] = value``: x takes on the result."""
    entries = plain_index(tuple(_constant(e) for e in (index if isinstance(index, tuple) else (index,))))

    def written(t: Tensor, s: Any) -> Tensor:
        result = t.clone()
        result[entries] = s
        return result

    if not isinstance(x, Jet):
        overwrite(x, value)
    elif isinstance(value, Tensor | Jet):
        overwrite(x, jointly(written, x, value))
    else:
        overwrite(x, _filled(x, written, value))


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
