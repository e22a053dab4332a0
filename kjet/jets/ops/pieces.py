"""Taylor rules of cutting, joining and indexing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...errors import JetRuleError
from ...typing import Tensor
from .._linear import jointly, rowwise
from .._registry import rule
from ..jet import Jet
from .shapes import from_the_end, register_along

# --- cut --------------------------------------------------------------------------------------------------------------

register_along({"dim": 0}, torch.unbind, cutting=True)
register_along(
    {"dim": 1}, torch.chunk, torch.split, torch.tensor_split, torch.split_with_sizes, torch.unsafe_chunk,
    torch.unsafe_split, cutting=True,
)  # fmt: skip


@rule(torch.hsplit)
def hsplit(x: Jet, sections: Any) -> Sequence[Jet]:
    """Cut along the second axis, or the only one."""
    return x.tensor_split(sections, min(1, x.ndim - 1))


@rule(torch.vsplit)
def vsplit(x: Jet, sections: Any) -> Sequence[Jet]:
    """Cut along the first axis."""
    return x.tensor_split(sections, 0)


@rule(torch.dsplit)
def dsplit(x: Jet, sections: Any) -> Sequence[Jet]:
    """Cut along the third axis."""
    return x.tensor_split(sections, 2)


# --- joined -----------------------------------------------------------------------------------------------------------


@rule(torch.cat, torch.concat, torch.concatenate)
def cat(tensors: Any, dim: int = 0, axis: int | None = None) -> Jet:
    """Concatenate jets and tensors."""
    along = from_the_end(dim if axis is None else axis, tensors[0].ndim)
    return jointly(lambda *parts: torch.cat(parts, along), *tensors, mapped=False)


@rule(torch.stack)
def stack(tensors: Any, dim: int = 0) -> Jet:
    """Stack jets and tensors along a new axis."""
    along = from_the_end(dim, tensors[0].ndim + 1)
    return jointly(lambda *parts: torch.stack(parts, along), *tensors, mapped=False)


@rule(torch.hstack)
def hstack(tensors: Any) -> Jet:
    """Concatenate along the second axis, or the first of vectors."""
    parts = [torch.atleast_1d(part) for part in tensors]
    return cat(parts, min(1, parts[0].ndim - 1))  # type: ignore[union-attr]


@rule(torch.vstack, torch.row_stack)
def vstack(tensors: Any) -> Jet:
    """Concatenate along the first axis of matrices."""
    return cat([torch.atleast_2d(part) for part in tensors], 0)


@rule(torch.dstack)
def dstack(tensors: Any) -> Jet:
    """Concatenate along the third axis."""
    return cat([torch.atleast_3d(part) for part in tensors], 2)


@rule(torch.column_stack)
def column_stack(tensors: Any) -> Jet:
    """Concatenate along the second axis, vectors as columns."""
    return cat([part.reshape(part.numel(), 1) if part.ndim <= 1 else part for part in tensors], 1)


@rule(torch.block_diag)
def block_diag(*tensors: Any) -> Jet:
    """Blocks along the diagonal."""
    return jointly(torch.block_diag, *tensors)


# --- indexed ----------------------------------------------------------------------------------------------------------


@rule(torch.Tensor.__getitem__)
def getitem(x: Any, index: Any) -> Jet:
    """Index or slice the primal's axes; an index may not be a jet."""
    entries = index if isinstance(index, tuple) else (index,)
    if not isinstance(x, Jet) or any(isinstance(entry, Jet) for entry in entries):
        raise JetRuleError("an index cannot be a jet: it is not differentiable; index by integers, as in x[i.long()]")
    if all(entry is None or entry is Ellipsis or isinstance(entry, int | slice) for entry in entries):
        return _basic_index(x, entries)
    places = plain_index(entries)
    # Where one entry alone picks elements, its axis stays in place, and the row axis may be put in front.
    if sum(isinstance(entry, Tensor | list | int) for entry in places) == 1:
        return _basic_index(x, places)
    return rowwise(x, torch.Tensor.__getitem__, places)


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


@rule(torch.take)
def take(x: Jet, index: Any) -> Jet:
    """Elements by their places among all."""
    return x.reshape(-1)[index]
