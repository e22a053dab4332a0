"""Derivatives of every residual with respect to every parameter, in one backward pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor
from .model import Model

__all__ = ["RowLayer", "Taps"]

_ROWS = 64  # residuals that are differentiated at once under vmap; bounds the memory


@runtime_checkable
class RowLayer(Protocol):
    """A module that maps each row of its input by one affine map, and knows the derivatives by its own parameters.

    Jets pass through such a layer channel by channel, so that it needs no more than the slopes of each channel.
    """

    def row_jacobians(
        self, inputs: Float[Tensor, "c n i"], slopes: Float[Tensor, "c n o"], primal: Float[Tensor, "n o"] | None
    ) -> Iterable[tuple[nn.Parameter, Float[Tensor, "n ..."]]]:
        """Return parameters, each with the derivative of every row's residual with respect to it.

        Args:
            inputs: What the layer was applied to, by channel.
            slopes: Derivative of each row's residual with respect to the layer's output, by channel.
            primal: Sum of the slopes of those channels that constants are added to; None if there are none.
        """
        ...


class Taps:
    """Records what flows through the linear layers of a model while residuals are evaluated.

    The residual at a point depends on the pre-activations at this point alone. So the gradient of the *sum* of
    residuals with respect to a layer's output holds, row by row, the gradient of each residual, and with the layer's
    input its outer product is that residual's gradient with respect to the weight. Jets pass through a layer as several
    channels, whose products add up. A :class:`RowLayer` makes these products itself. Unknown parameters get one copy
    for each point. A trainable parameter elsewhere has no such structure: for these, each residual is differentiated by
    itself, under vmap.

    Long sums of derivatives are computed again in the backward pass, by the same operations: :meth:`jacobian` belongs
    inside of the context, too.

    Args:
        model: Network and unknowns.
        n: Number of points of the batch.
        columns: First column of the Jacobian that is wanted, and the one behind the last; None for all.

    Cost: one backward pass and ``O(n p)`` products for each channel; n backward passes with parameters outside of such
    layers.
    """

    def __init__(self, model: Model, n: int, columns: tuple[int, int] | None = None) -> None:
        self.model, self.n = model, n
        self._columns = columns or (0, sum(p.numel() for p in model.trainable()))
        wanted = {id(p) for p, _, _ in self._places()}
        self.free = {k: v.detach().expand(n).clone().requires_grad_() for k, v in model.free.items()}
        self._calls: dict[nn.Module, list[tuple[Tensor, Tensor]]] = {}
        self._complete = False
        self._layers = [m for m in model.modules() if isinstance(m, nn.Linear | RowLayer)]
        owned = {id(p) for layer in self._layers for p in layer.parameters(recurse=False)} | {
            id(p) for p in model.free.values()
        }
        self._stray = [p for p in model.trainable() if id(p) not in owned and id(p) in wanted]
        if columns is not None:
            own = (any(id(p) in wanted for p in layer.parameters(recurse=False)) for layer in self._layers)
            self._layers = [layer for layer, has in zip(self._layers, own, strict=True) if has]

    def _places(self) -> Iterator[tuple[nn.Parameter, slice, slice]]:
        """Parameters with columns that are wanted: which of their entries, and where these go."""
        (first, last), start = self._columns, 0
        for parameter in self.model.trainable():
            low, high = max(first - start, 0), min(last - start, parameter.numel())
            if low < high:
                yield parameter, slice(low, high), slice(start + low - first, start + high - first)
            start += parameter.numel()

    def __enter__(self) -> Taps:
        self._hooks = [layer.register_forward_hook(self._record) for layer in self._layers]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for hook in self._hooks:
            hook.remove()

    def _record(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        (x,) = args
        calls = self._calls.setdefault(layer, [])
        if not isinstance(output, Jet):
            if output.requires_grad and not self._complete:
                calls.append((x, output))
            return output
        rows: list[Tensor | None] = []
        for a, y in zip(x.coefficients, output.coefficients, strict=True):
            if y is None or a is None or not y.requires_grad:  # a frozen layer
                rows.append(y)
                continue
            full = y.expand(*y.shape[:-2], self.n, y.shape[-1]) if y.shape[-2] != self.n else y
            if not self._complete:
                calls.append((a, full))
            rows.append(full)
        return Jet(rows, output.layout)

    def jacobian(
        self, value: Float[Tensor, " n"], out: Float[Tensor, "n p"] | None = None, last: bool = True
    ) -> Float[Tensor, "n p"]:
        """Differentiate each entry of ``value`` with respect to each parameter that has columns."""
        self._complete = True
        found = self._one_by_one(value)
        outputs = [y for calls in self._calls.values() for _, y in calls]
        sources = [*outputs, *self.free.values()]
        gradients: tuple[Tensor | None, ...] = ()
        if sources:
            gradients = torch.autograd.grad(value.sum(), sources, retain_graph=not last, allow_unused=True)
        slopes = iter(gradients[: len(outputs)])
        for layer, calls in self._calls.items():
            for parameter, block in _layer_jacobian(layer, [(a, next(slopes)) for a, _ in calls], self.n):
                # layers may share a parameter
                found[id(parameter)] = block + found[id(parameter)] if id(parameter) in found else block
        for parameter, slope in zip(self.model.free.values(), gradients[len(outputs) :], strict=True):
            if slope is not None:
                found[id(parameter)] = slope
        jacobian = value.new_empty(self.n, self._columns[1] - self._columns[0]) if out is None else out
        for parameter, entries, place in self._places():
            part, own = jacobian[:, place], found.get(id(parameter))
            part.zero_() if own is None else part.copy_(own.reshape(self.n, -1)[:, entries])
        return jacobian

    def _one_by_one(self, value: Float[Tensor, " n"]) -> dict[int, Tensor]:
        """Gradients of each entry with respect to the parameters outside linear layers, some rows at a time."""
        if not self._stray:
            return {}
        rows = []
        for part in torch.eye(self.n, dtype=value.dtype, device=value.device).split(_ROWS):
            options: dict[str, Any] = {"retain_graph": True, "is_grads_batched": True, "materialize_grads": True}
            rows.append(torch.autograd.grad(value, self._stray, part, **options))
        return {id(p): torch.cat(blocks) for p, *blocks in zip(self._stray, *rows, strict=True)}


def _layer_jacobian(
    layer: nn.Module, calls: list[tuple[Tensor, Tensor | None]], n: int
) -> Iterable[tuple[Tensor, Tensor]]:
    """Parameters of a layer and their Jacobians, from inputs and output gradients of each channel."""
    inputs, slopes, primal = [], [], None
    for a, slope in calls:
        if slope is None:
            continue
        if slope.ndim == 2:
            primal = slope if primal is None else primal + slope
        slopes.append(slope.reshape(-1, n, slope.shape[-1]))
        rows = slopes[-1].shape[0]
        inputs.append(a.detach().reshape(-1, a.shape[-2], a.shape[-1]).expand(rows, n, a.shape[-1]))
    if not slopes:
        return ()
    left, right = torch.cat(slopes), torch.cat(inputs)
    if isinstance(layer, RowLayer):
        return layer.row_jacobians(right, left, primal)
    assert isinstance(layer, nn.Linear)  # the other kind that is recorded
    return _linear_jacobians(layer, right, left, primal)


def _linear_jacobians(
    layer: nn.Linear, inputs: Tensor, slopes: Tensor, primal: Tensor | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """Weight and bias Jacobians (n, o, i) and (n, o)."""
    yield layer.weight, torch.bmm(slopes.permute(1, 2, 0), inputs.permute(1, 0, 2))
    if primal is not None and layer.bias is not None:
        yield layer.bias, primal
