"""Derivatives of every residual with respect to every parameter, in one backward pass."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor
from .model import Model

__all__ = ["Taps"]

_ROWS = 64  # residuals that are differentiated at once under vmap; bounds the memory


class Taps:
    """Records what flows through the linear layers of a model while residuals are evaluated.

    The residual at a point depends on the pre-activations at this point alone. So the gradient of the *sum* of
    residuals with respect to a layer's output holds, row by row, the gradient of each residual, and with the layer's
    input its outer product is that residual's gradient with respect to the weight. Jets pass through a layer as several
    channels, whose products add up. Unknown parameters get one copy for each point. A trainable parameter outside
    linear layers has no such structure: for these, each residual is differentiated by itself, under vmap.

    Long sums of derivatives are computed again in the backward pass, by the same operations: :meth:`jacobian` belongs
    inside of the context, too.

    Args:
        model: Network and unknowns.
        n: Number of points of the batch.

    Cost: one backward pass and ``O(n p)`` products for each channel; n backward passes with parameters outside linear
    layers.
    """

    def __init__(self, model: Model, n: int) -> None:
        self.model, self.n = model, n
        self.free = {k: v.detach().expand(n).clone().requires_grad_() for k, v in model.free.items()}
        self._calls: dict[nn.Linear, list[tuple[Tensor, Tensor]]] = {}
        self._complete = False
        self._layers = [m for m in model.modules() if isinstance(m, nn.Linear)]
        owned = {id(p) for layer in self._layers for p in layer.parameters()} | {id(p) for p in model.free.values()}
        self._stray = [p for p in model.trainable() if id(p) not in owned]

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
        calls = self._calls.setdefault(layer, [])  # type: ignore[arg-type]
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
        """Differentiate each entry of ``value`` with respect to each parameter."""
        self._complete = True
        found = self._one_by_one(value)
        outputs = [y for calls in self._calls.values() for _, y in calls]
        sources = [*outputs, *self.free.values()]
        gradients = torch.autograd.grad(value.sum(), sources, retain_graph=not last, allow_unused=True)
        slopes = iter(gradients[: len(outputs)])
        for layer, calls in self._calls.items():
            weight, bias = _layer_jacobian([(a, next(slopes)) for a, _ in calls], self.n)
            for parameter, block in ((layer.weight, weight), (layer.bias, bias)):
                if block is not None:
                    # layers may share a parameter
                    found[id(parameter)] = block + found[id(parameter)] if id(parameter) in found else block
        for parameter, slope in zip(self.model.free.values(), gradients[len(outputs) :], strict=True):
            if slope is not None:
                found[id(parameter)] = slope
        jacobian = value.new_empty(self.n, sum(p.numel() for p in self.model.trainable())) if out is None else out
        start = 0
        for parameter in self.model.trainable():
            part = jacobian[:, start : start + parameter.numel()]
            block = found.get(id(parameter))
            part.zero_() if block is None else part.copy_(block.reshape(self.n, -1))
            start += parameter.numel()
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


def _layer_jacobian(calls: list[tuple[Tensor, Tensor | None]], n: int) -> tuple[Tensor | None, Tensor | None]:
    """Weight and bias Jacobians (n, o, i) and (n, o) from inputs and output gradients of each channel."""
    inputs, slopes, bias = [], [], None
    for a, slope in calls:
        if slope is None:
            continue
        if slope.ndim == 2:
            bias = slope if bias is None else bias + slope
        slopes.append(slope.reshape(-1, n, slope.shape[-1]))
        rows = slopes[-1].shape[0]
        inputs.append(a.detach().reshape(-1, a.shape[-2], a.shape[-1]).expand(rows, n, a.shape[-1]))
    if not slopes:
        return None, None
    left, right = torch.cat(slopes), torch.cat(inputs)
    return torch.bmm(left.permute(1, 2, 0), right.permute(1, 0, 2)), bias
