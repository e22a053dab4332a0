"""Sinusoidal representation network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor
from .config import check_sizes, layer_sizes, require
from .dense import dense, rescale, uniform

__all__ = ["Siren", "SirenConfig"]


class Siren(nn.Module):
    """Perceptron with sine activations ``h <- sin(w (W h + b))`` and a linear last layer.

    ``w`` is `w0` in the first layer and `hidden_w0` in the others. Initial weights are uniform in ``+-1/d`` in the
    first layer and in ``+-sqrt(6 / fan_in) / hidden_w0`` behind it, which keeps the law of the activations the same
    in every layer; biases are uniform in ``+-1/sqrt(fan_in)``.

    Args:
        in_features: Number of input coordinates d.
        out_features: Number of fields m.
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`.
        w0: Factor of the first layer: about the highest frequency of its features, in radians for one unit of input.
        hidden_w0: Factor of the other layers. Their initial weights are divided by it, so that it acts on the gradient.
        input_range: Lower and upper bound of each input, mapped to [-1, 1].
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size or factor is not positive, or the range is empty.

    Ref: Sitzmann et al., *Implicit neural representations with periodic activation functions*, 2020, section 3.2.

    >>> net = Siren(2, 1, width=16, depth=2, w0=10.0, generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        width: int = 64,
        depth: int = 4,
        hidden: Sequence[int] = (),
        w0: float = 30.0,
        hidden_w0: float = 30.0,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("Siren", in_features, out_features)
        _check_factors("Siren", w0, hidden_w0)
        sizes = (in_features, *layer_sizes("Siren", width, depth, hidden), out_features)
        self.factors = (float(w0), *(float(hidden_w0),) * (len(sizes) - 3))
        self.rescale = rescale(input_range, in_features, dtype=dtype, device=device)

        def layer(i: int, o: int, bound: float) -> nn.Linear:
            weight = uniform(o, i, bound=bound, generator=generator, device=device)
            bias = uniform(o, bound=1 / math.sqrt(i), generator=generator, device=device)
            return dense(weight, bias, dtype=dtype, device=device)

        bounds = (1 / in_features, *(math.sqrt(6 / size) / hidden_w0 for size in sizes[1:-1]))
        self.layers = nn.ModuleList(
            layer(i, o, bound) for i, o, bound in zip(sizes[:-1], sizes[1:], bounds, strict=True)
        )

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        h = self.rescale(x)
        for factor, layer in zip(self.factors, self.layers[:-1], strict=True):
            h = torch.sin(factor * layer(h))
        return self.layers[-1](h)


@dataclass(frozen=True)
class SirenConfig:
    """Configuration of :class:`Siren`.

    Attributes:
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`; empty to use those.
        w0: Factor of the first layer; 30 is for images, smooth solutions want less.
        hidden_w0: Factor of the other layers.

    Raises:
        ConfigError: If a value is out of range.

    >>> SirenConfig(width=24, depth=3).build(2, 1).factors
    (30.0, 30.0, 30.0)
    """

    width: int = 64
    depth: int = 4
    hidden: list[int] = field(default_factory=list)
    w0: float = 30.0
    hidden_w0: float = 30.0

    def __post_init__(self) -> None:
        layer_sizes("SirenConfig", self.width, self.depth, self.hidden)
        _check_factors("SirenConfig", self.w0, self.hidden_w0)

    def build(
        self,
        in_features: int,
        out_features: int,
        *,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> Siren:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return Siren(
            in_features,
            out_features,
            width=self.width,
            depth=self.depth,
            hidden=self.hidden,
            w0=self.w0,
            hidden_w0=self.hidden_w0,
            input_range=input_range,
            generator=generator,
            dtype=dtype,
            device=device,
        )


def _check_factors(owner: str, w0: float, hidden_w0: float) -> None:
    for name, value in (("w0", w0), ("hidden_w0", hidden_w0)):
        valid = math.isfinite(value) and value > 0
        require(valid, owner, name, value, "a positive number", "Use 30 for images, 1 to 10 for smooth solutions.")
