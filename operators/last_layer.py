"""Least squares of the last layer, in which the values of a network are linear."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from ..errors import ConfigError
from ..typing import Float, Tensor

__all__ = ["LinearInLast", "fit_last_layer", "solve_last_layer"]


@runtime_checkable
class LinearInLast(Protocol):
    """A network whose values are one linear layer applied to functions of the points."""

    last: nn.Linear

    def hidden(self, x: Any) -> Any:
        """Evaluate the functions that the last layer combines, at points or at jets of them."""
        ...


def solve_last_layer(
    matrix: Float[Tensor, "r p"], target: Float[Tensor, "r k"], *, rcond: float
) -> Float[Tensor, "p k"]:
    """Solve ``min |A w - y|`` by singular values, in float64 on the CPU.

    Singular values below `rcond` times the largest are left out. Of all solutions the shortest one is returned, so that
    it is the same for the same numbers.

    Raises:
        ConfigError: If an entry is not finite.

    Cost: ``O(r p min(r, p))``.

    >>> solve_last_layer(torch.tensor([[1.0, 1.0]]), torch.tensor([[2.0]]), rcond=1e-12).flatten()
    tensor([1.0000, 1.0000], dtype=torch.float64)
    """
    a, y = (tensor.detach().to("cpu", torch.float64) for tensor in (matrix, target))
    if not bool(torch.isfinite(a).all() and torch.isfinite(y).all()):
        raise ConfigError(
            "the least-squares problem of the last layer has entries that are not finite; check the points and values"
        )
    return torch.linalg.lstsq(a, y, rcond=rcond, driver="gelsd").solution


def fit_last_layer(
    network: LinearInLast, points: Float[Tensor, "n d"], values: Float[Tensor, "n m"], *, rcond: float = 1e-10
) -> float:
    """Set the last layer of a network to the least-squares fit of values at points.

    Args:
        network: A network with a linear layer ``last`` on top of ``hidden(points)``, such as
            :class:`kjet.operators.PirateNet`. Its last layer is changed in place.
        points: Where the values are known: data, or points of the initial state.
        values: One column for each field.
        rcond: Singular values of the features below this times the largest are left out. Larger values give smaller
            weights and a coarser fit.

    Returns:
        Root mean square of what is left.

    Raises:
        ConfigError: If values do not fit the points and fields, or something is not finite.

    Ref: Wang, Li, Chen, Perdikaris, *PirateNets: physics-informed deep learning with residual adaptive networks*, 2024.

    >>> from kjet.operators import PirateNet
    >>> net = PirateNet(1, 1, width=16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> x = torch.linspace(-1, 1, 50, dtype=torch.float64)[:, None]
    >>> fit_last_layer(net, x, torch.exp(x)) < 1e-4
    True
    """
    layer = network.last
    if values.shape != (len(points), layer.out_features):
        raise ConfigError(
            f"values have the shape {tuple(values.shape)}; expected ({len(points)}, {layer.out_features}), a row for "
            "each point and a column for each field"
        )
    like = layer.weight
    with torch.no_grad():
        features = network.hidden(points.to(like)).to("cpu", torch.float64)
        matrix = features if layer.bias is None else torch.cat([features, torch.ones_like(features[:, :1])], 1)
        target = values.detach().to("cpu", torch.float64)
        found = solve_last_layer(matrix, target, rcond=rcond)
        layer.weight.copy_(found[: layer.in_features].T)
        if layer.bias is not None:
            layer.bias.copy_(found[-1])
    return float((matrix @ found - target).square().mean().sqrt())
