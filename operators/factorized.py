"""Linear layers whose weight is a scale for each output times a direction, both trained."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor
from .config import require
from .dense import glorot, normal

__all__ = ["FactorizedLinear", "dense_layer"]


class FactorizedLinear(nn.Module):
    """Linear layer ``x W^T + b`` with ``W = diag(exp(s)) V``, in which s, V and b are trained.

    Starts at the weight that is given: s is drawn from ``N(mean, deviation^2)`` and ``V = diag(exp(-s)) W``. Steps of a
    first-order method then are of different lengths for different outputs.

    Args:
        weight: Weight W at the start.
        bias: Bias at the start; None starts at zero.
        mean: Mean of s.
        deviation: Standard deviation of s.
        generator: Source of s; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If the mean is not finite, or the deviation negative or not finite.

    Ref: Wang, Wang, Seidman, Perdikaris, *Random weight factorization improves the training of continuous neural
    representations*, 2022.

    >>> layer = FactorizedLinear(torch.eye(2), generator=torch.Generator().manual_seed(0))
    >>> layer(torch.tensor([[1.0, 2.0]])).tolist(), [tuple(p.shape) for p in layer.parameters()]
    ([[1.0, 2.0]], [(2, 2), (2,), (2,)])
    """

    def __init__(
        self,
        weight: Float[Tensor, "o i"],
        bias: Float[Tensor, " o"] | None = None,
        *,
        mean: float = 1.0,
        deviation: float = 0.1,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        require(math.isfinite(mean), "FactorizedLinear", "mean", mean, "a finite number", "Use 1.")
        valid = 0 <= deviation < math.inf
        require(valid, "FactorizedLinear", "deviation", deviation, "a finite number of at least 0", "Use 0.1.")
        scale = mean + deviation * normal(len(weight), generator=generator, device=device)
        direction = weight.detach().to(scale) * torch.exp(-scale)[:, None]
        start = torch.zeros_like(scale) if bias is None else bias.detach().to(scale)
        kind = torch.get_default_dtype() if dtype is None else dtype
        self.direction = nn.Parameter(direction.to(kind).to(device))
        self.scale = nn.Parameter(scale.to(kind).to(device))
        self.bias = nn.Parameter(start.to(kind).to(device))

    @property
    def weight(self) -> Float[Tensor, "o i"]:
        """The product W."""
        return torch.exp(self.scale)[:, None] * self.direction

    def forward(self, x: Float[Tensor, "*n i"] | Jet) -> Float[Tensor, "*n o"] | Jet:
        """Evaluate at rows, or at jets of them."""
        return F.linear(x, self.weight, self.bias)  # type: ignore[arg-type]

    def row_jacobians(
        self, inputs: Float[Tensor, "c n i"], slopes: Float[Tensor, "c n o"], primal: Float[Tensor, "n o"] | None
    ) -> Iterator[tuple[nn.Parameter, Float[Tensor, "n ..."]]]:
        """Differentiate each row's residual: ``J_V = diag(exp(s)) J_W`` and ``J_s = sum_i V_oi J_V,oi``.

        Args:
            inputs: What the layer was applied to, by channel.
            slopes: Derivative of each row's residual with respect to the layer's output, by channel.
            primal: Sum of the slopes of those channels to which the bias was added; None if there are none.

        Yields:
            A parameter, and the derivative of each row's residual with respect to it.

        Cost: ``O(c n o i)``, as for a plain layer.
        """
        scaled = torch.exp(self.scale.detach()) * slopes
        block = torch.bmm(scaled.permute(1, 2, 0), inputs.permute(1, 0, 2))
        yield self.direction, block
        yield self.scale, (self.direction.detach() * block).sum(-1)
        if primal is not None:
            yield self.bias, primal

    def extra_repr(self) -> str:
        """Describe the layer as torch does a linear one."""
        rows, columns = self.direction.shape
        return f"in_features={columns}, out_features={rows}"


def dense_layer(
    in_features: int,
    out_features: int,
    *,
    factorized: bool = False,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> nn.Module:
    """Make a linear layer with Glorot's weights and zero biases, its weight factorized or not.

    >>> dense_layer(2, 3), dense_layer(2, 3, factorized=True)
    (Linear(in_features=2, out_features=3, bias=True), FactorizedLinear(in_features=2, out_features=3))
    """
    place = device if generator is None else generator.device
    if not factorized:
        return glorot(in_features, out_features, generator=generator, dtype=dtype, device=device)
    plain = glorot(in_features, out_features, generator=generator, dtype=torch.float64, device=place)
    return FactorizedLinear(plain.weight, generator=generator, dtype=dtype, device=device)
