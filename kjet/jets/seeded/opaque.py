"""Gathers of columns that compilers call as they are.

The gradient of a gather adds into an array. With torch 2.13, Inductor may move such an addition in a CPU kernel behind
the place where the array is read (gradients are then silently wrong), and copies the array more often than needed. As
operations of their own, both directions stay in order and in place.
"""

from __future__ import annotations

from typing import Any

import torch

from ...typing import Float, Int, Tensor

__all__ = ["columns_of", "opaque"]


def opaque() -> bool:
    """Tell whether a compiler traces, for running here, operations that may be hidden from it.

    Autocast has to see each product, and transforms of torch.func and exported programs know torch's operations alone.
    """
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return False
    if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
        return False
    return not torch._C._are_functorch_transforms_active()


def columns_of(values: Float[Tensor, "*n d"], positions: Int[Tensor, "s *n"]) -> Tensor:
    """Columns of values (d,) or (n|1, d): (s,) or (n|1, s) for positions (s,), and (n, s) for positions (s, n)."""
    if values.requires_grad and torch.is_grad_enabled() and opaque():
        return _compiled(values, positions)
    return _columns(values, positions)


def _columns(values: Tensor, positions: Tensor) -> Tensor:
    if positions.ndim == 1:
        return values.index_select(-1, positions)
    columns = positions.t()
    if values.ndim == 2 and values.shape[0] == columns.shape[0]:
        return values.gather(1, columns)
    return values.reshape(-1)[columns]


@torch.library.custom_op("kjet::columns", mutates_args=(), schema="(Tensor values, Tensor positions) -> Tensor")
def _compiled(values: Tensor, positions: Tensor) -> Tensor:
    return _columns(values, positions)


@torch.library.custom_op(
    "kjet::columns_backward", mutates_args=(), schema="(Tensor change, Tensor positions, SymInt[] shape) -> Tensor"
)
def _compiled_backward(change: Tensor, positions: Tensor, shape: list[int]) -> Tensor:
    total = change.new_zeros(shape)
    if positions.ndim == 1:
        return total.index_add_(-1, positions, change)
    if len(shape) == 2 and shape[0] == change.shape[0]:
        return total.scatter_add_(1, positions.t(), change)
    total.view(-1).index_add_(0, positions.t().reshape(-1), change.reshape(-1))
    return total


_compiled.register_fake(_columns)
_compiled_backward.register_fake(lambda change, positions, shape: change.new_empty(shape))


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    values, positions = inputs
    ctx.shape = values.shape
    ctx.save_for_backward(positions)


def _backward(ctx: Any, change: Tensor) -> tuple[Any, ...]:
    return _compiled_backward(change, ctx.saved_tensors[0], ctx.shape), None


_compiled.register_autograd(_backward, setup_context=_remember)
