"""Matrix products of a first layer with points, coordinate axes and directions, sharing one gradient of the weight.

In 100,000 coordinates the weight is the largest array of a network. Autograd would make one gradient of its size for
each product and add them up; here all of them go into one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...typing import Float, Int, Tensor
from .._rows import eager
from .._series import Coefficient
from .opaque import opaque

__all__ = ["project", "spread"]


def project(
    points: Float[Tensor, "n d"],
    weight: Float[Tensor, "h d"],
    bias: Float[Tensor, "h"] | None,
    columns: Sequence[Int[Tensor, "s *n"]],
    vectors: Sequence[Float[Tensor, "r n d"]],
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """``x W^T + b``, ``W[:, columns]^T`` of shape (s, 1|n, h), and ``v W^T``.

    Cost: one product for the points and one for each set of vectors; a gather for columns.
    """
    if opaque():
        found = _compiled(points, weight, bias, list(columns), list(vectors))
    elif eager():
        found = _Project.apply(points, weight, bias, len(columns), *columns, *vectors)
    else:
        found = _project(points, weight, bias, len(columns), *columns, *vectors)
    count = 1 + len(columns)
    picked = [rows if rows.ndim == 3 else rows.unsqueeze(1) for rows in found[1:count]]
    return found[0], picked, list(found[count:])


def _project(points: Tensor, weight: Tensor, bias: Coefficient, count: int, *others: Tensor) -> tuple[Tensor, ...]:
    picked = [weight.t()[columns] for columns in others[:count]]
    return F.linear(points, weight, bias), *picked, *(F.linear(v, weight) for v in others[count:])


def _gradients(
    saved: Sequence[Tensor], count: int, changes: Sequence[Tensor], wanted: Sequence[bool]
) -> list[Coefficient]:
    """Gradients to points, weight, bias, columns (none) and vectors, of those that are wanted."""
    points, weight, *others = saved
    change, rows = changes[0], changes[1:]
    total = None
    if wanted[1]:
        total = change.t() @ points
        for other, row in zip(others[:count], rows[:count], strict=True):
            total.index_add_(1, other.reshape(-1), row.reshape(-1, row.shape[-1]).t())
        for other, row in zip(others[count:], rows[count:], strict=True):
            total.addmm_(row.reshape(-1, row.shape[-1]).t(), other.reshape(-1, other.shape[-1]))
    to_others = [row @ weight if want else None for want, row in zip(wanted[3:], rows, strict=True)]
    return [change @ weight if wanted[0] else None, total, change.sum(0) if wanted[2] else None, *to_others]


class _Project(torch.autograd.Function):
    @staticmethod
    def forward(  # type: ignore[override]
        ctx: Any, points: Tensor, weight: Tensor, bias: Coefficient, count: int, *others: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.count = count
        ctx.save_for_backward(points, weight, *others)
        ctx.save_for_forward(points, weight, *others)
        return _project(points, weight, bias, count, *others)

    @staticmethod
    def backward(ctx: Any, *changes: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        to_points, to_weight, to_bias, _, *rest = ctx.needs_input_grad
        found = _gradients(ctx.saved_tensors, ctx.count, changes, (to_points, to_weight, to_bias, *rest))
        return *found[:3], None, *found[3:]

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> tuple[Tensor, ...]:  # type: ignore[override]
        (points, weight, *others), count = ctx.saved_tensors, ctx.count
        d_points, d_weight, d_bias, _, *d_others = tangents
        d_weight = torch.zeros_like(weight) if d_weight is None else d_weight
        found = list(_project(points, d_weight, d_bias, count, *others))
        for place, tangent in ((0, d_points), *((count + 1 + i, t) for i, t in enumerate(d_others[count:]))):
            if tangent is not None:
                found[place] = found[place] + F.linear(tangent, weight)
        return tuple(found)


@torch.library.custom_op(
    "kjet::project",
    mutates_args=(),
    schema="(Tensor points, Tensor weight, Tensor? bias, Tensor[] columns, Tensor[] vectors) -> Tensor[]",
)
def _compiled(
    points: Tensor, weight: Tensor, bias: Coefficient, columns: list[Tensor], vectors: list[Tensor]
) -> list[Tensor]:
    return list(_project(points, weight, bias, len(columns), *columns, *vectors))


@torch.library.custom_op(
    "kjet::project_backward",
    mutates_args=(),
    schema="(Tensor[] saved, int count, Tensor[] changes, bool[] wanted) -> Tensor[]",
)
def _compiled_backward(saved: list[Tensor], count: int, changes: list[Tensor], wanted: list[bool]) -> list[Tensor]:
    return [gradient for gradient in _gradients(saved, count, changes, wanted) if gradient is not None]


# The shapes that a compiler asks for are those of the operations themselves.
_compiled.register_fake(lambda *args: list(_project(args[0], args[1], args[2], len(args[3]), *args[3], *args[4])))
_compiled_backward.register_fake(lambda *args: [g for g in _gradients(*args) if g is not None])


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    points, weight, _, columns, vectors = inputs
    ctx.count = len(columns)
    ctx.save_for_backward(points, weight, *columns, *vectors)


def _backward(ctx: Any, changes: list[Tensor]) -> tuple[Any, ...]:
    to_points, to_weight, to_bias, _, to_vectors = ctx.needs_input_grad
    count = ctx.count
    wanted = [to_points, to_weight, to_bias, *(False,) * count, *to_vectors]
    gradients = iter(_compiled_backward(list(ctx.saved_tensors), count, changes, wanted))
    found = [next(gradients) if want else None for want in wanted]
    return *found[:3], found[3 : 3 + count], found[3 + count :]


_compiled.register_autograd(_backward, setup_context=_remember)


def spread(
    values: Float[Tensor, "n d"], vectors: Float[Tensor, "r d"], weight: Float[Tensor, "h d"]
) -> Float[Tensor, "r n h"]:
    """``sum_i values[n, i] v[r, i] W[h, i]``, one direction after the other.

    Cost: r products; one array of the size of the values at a time, in the backward pass too.
    """
    return _Spread.apply(values, vectors, weight) if eager() else _spread(values, vectors, weight)


def _spread(values: Tensor, vectors: Tensor, weight: Tensor) -> Tensor:
    return torch.stack([F.linear(values * v, weight) for v in vectors.unbind()])


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, vectors: Tensor, weight: Tensor) -> Tensor:  # type: ignore[override]
        ctx.save_for_backward(values, vectors, weight)
        ctx.save_for_forward(values, vectors, weight)
        return _spread(values, vectors, weight)

    @staticmethod
    def backward(ctx: Any, change: Tensor) -> tuple[Coefficient, ...]:  # type: ignore[override]
        values, vectors, weight = ctx.saved_tensors
        to_values, to_vectors, to_weight = ctx.needs_input_grad
        d_values: Coefficient = None
        d_weight: Coefficient = None
        d_vectors = []
        for row, v in zip(change.unbind(), vectors.unbind(), strict=True):
            if to_weight:
                product = values * v
                d_weight = row.t() @ product if d_weight is None else d_weight.addmm_(row.t(), product)
            if to_values or to_vectors:
                back = row @ weight
                d_values = back * v if d_values is None else torch.addcmul(d_values, back, v)
                d_vectors.append((back * values).sum(0) if to_vectors else None)
        return (
            d_values if to_values else None,
            torch.stack(d_vectors) if to_vectors else None,  # type: ignore[arg-type]
            d_weight,
        )

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:  # type: ignore[override]
        saved = list(ctx.saved_tensors)
        terms = [_spread(*[*saved[:i], t, *saved[i + 1 :]]) for i, t in enumerate(tangents) if t is not None]
        return sum(terms[1:], terms[0])
