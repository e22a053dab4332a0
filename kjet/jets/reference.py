"""Nested reverse-mode derivatives: slow, exponential in the order, and independent of the Taylor rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from ..typing import Float, MultiIndex, Tensor
from .operator import LinearOperator

__all__ = ["contract", "partials"]


def partials(
    f: Callable[[Tensor], Tensor],
    x: Float[Tensor, "n d"],
    multi_indices: Iterable[MultiIndex],
    create_graph: bool = False,
) -> dict[MultiIndex, Float[Tensor, "n m"]]:
    """Partial derivatives by ``torch.autograd.grad`` applied again and again.

    The oracle of the tests and the baseline of the benchmarks; ``f`` must act on each point by itself.

    >>> import torch
    >>> partials(lambda x: x**3, torch.tensor([[2.0]]), [(2,)])[(2,)].item()
    12.0
    """
    indices = [tuple(index) for index in multi_indices]
    leaf = x if x.requires_grad else x.detach().requires_grad_()
    columns = f(leaf).unbind(-1)
    cache: list[dict[MultiIndex, Tensor]] = [{(0,) * x.shape[1]: column} for column in columns]
    result = {}
    for index in indices:
        values = [_differentiate(known, index, leaf) for known in cache]
        stacked = torch.stack(values, -1)
        result[index] = stacked if create_graph else stacked.detach()
    return result


def _differentiate(known: dict[MultiIndex, Tensor], index: MultiIndex, x: Tensor) -> Tensor:
    if index not in known:
        axis = max(i for i, entry in enumerate(index) if entry)
        below = tuple(entry - (i == axis) for i, entry in enumerate(index))
        value = _differentiate(known, below, x)
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), x, create_graph=True, allow_unused=True)
        else:
            gradient = None
        rows = torch.zeros_like(x) if gradient is None else gradient
        for i in range(len(index)):
            known.setdefault(tuple(entry + (j == i) for j, entry in enumerate(below)), rows[:, i])
    return known[index]


def contract(
    f: Callable[[Tensor], Tensor], x: Float[Tensor, "n d"], operator: LinearOperator, create_graph: bool = False
) -> Float[Tensor, "n m"]:
    """Apply a linear operator by nested reverse mode."""
    terms = operator.terms(x.shape[-1])
    values = partials(f, x, terms, create_graph)
    parts = [(c.reshape(-1, 1) if isinstance(c, Tensor) else c) * values[index] for index, c in terms.items()]
    return torch.stack(parts).sum(0)
