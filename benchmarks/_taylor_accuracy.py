"""Rounding of high derivatives in float32, and what saturated activations give."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from kjet.jets import jet

from ._cases import Case
from ._taylor_sides import SIZES, layers

__all__ = ["rounding", "saturation"]

SATURATING: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "softplus": nn.Softplus,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
}


def rounding(case: Case, seed: int, device: str, with_compiler: bool, with_jax: bool) -> dict[str, Any]:
    """Error of a derivative in float32, relative to float64 at the same float32 weights and points.

    The largest error over the points, over the largest derivative.
    """
    net, x = case.network(torch.float32, seed).to(device), case.inputs(torch.float32, seed).to(device)
    side = case.sides["jets"]
    with torch.no_grad():
        exact = side(copy.deepcopy(net).double(), x.double())
        found = {"kjet": side(net, x)}
        if with_compiler:
            torch.compiler.reset()
            found["kjet compiled"] = torch.compile(lambda: side(net, x), fullgraph=True, dynamic=False)()
    if with_jax:
        from ._jax_directional import derivative

        direction = case_direction(case).float().numpy()
        found["jax"] = torch.tensor(derivative(layers(net), x.cpu().numpy(), direction, case.order)).to(device)
    errors = {name: float((values.double() - exact).abs().max() / exact.abs().max()) for name, values in found.items()}
    return {**{key: getattr(case, key) for key in SIZES}, "errors": {n: float(f"{e:.2g}") for n, e in errors.items()}}


def case_direction(case: Case) -> Tensor:
    """Direction of the cases of rising order."""
    direction = torch.linspace(-1.0, 1.0, case.dim, dtype=torch.float64)
    return direction / direction.norm()


def saturation(case: Case, seed: int, device: str, order: int = 8, scale: float = 1e4) -> dict[str, Any]:
    """Count numbers that are not finite among derivatives and gradients of networks far in saturation.

    The first layer is multiplied by `scale`, so that its arguments are of that size.
    """
    net, x = case.network(torch.float32, seed).to(device), case.inputs(torch.float32, seed).to(device)
    direction = case_direction(case).to(x)[None]
    counts = {}
    for name, activation in SATURATING.items():
        changed = nn.Sequential(
            *(layer if isinstance(layer, nn.Linear) else activation() for layer in copy.deepcopy(net))
        )
        with torch.no_grad():
            next(changed.parameters()).mul_(scale)
        counts[name] = _not_finite(changed, x, direction, order)
    return {"name": f"first layer times {scale:g}", "order": order, "not_finite": counts}


def _not_finite(net: nn.Module, x: Tensor, direction: Tensor, order: int) -> int:
    derivatives = jet(net, x, direction, order)
    gradients = torch.autograd.grad(derivatives[:, 0].sum(), list(net.parameters()))
    return sum(int((~torch.isfinite(values)).sum()) for values in (derivatives, *gradients))
