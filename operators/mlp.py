"""Multilayer perceptron."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor
from .activations import activation as named
from .config import check_scale, check_sizes, layer_sizes
from .dense import rescale
from .factorized import dense_layer

__all__ = ["MLP", "MLPConfig"]


class MLP(nn.Module):
    """Multilayer perceptron ``h <- sigma(W h + b)``, with a linear last layer.

    Inputs are first mapped from `input_range` to ``[-1, 1]^d``. Weights follow Glorot's normal law, biases are zero.
    Takes points (n, d), or jets of them, to values (n, m).

    Args:
        in_features: Number of input coordinates d.
        out_features: Number of fields m.
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`.
        activation: Name of the activation, one of ``kjet.operators.ACTIVATIONS``.
        input_range: Lower and upper bound of each input.
        input_scale: Factor of the inputs once they are mapped to ``[-1, 1]^d``.
        output_scale: Factor of the values.
        factorized: Whether weights are trained as a scale times a direction; see
            :class:`kjet.operators.FactorizedLinear`.
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, the activation unknown or the range empty.

    Ref: Glorot, Bengio, *Understanding the difficulty of training deep feedforward neural networks*, 2010.

    >>> net = MLP(2, 1, hidden=[16, 8], generator=torch.Generator().manual_seed(0))
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
        activation: str = "tanh",
        input_range: Float[Tensor, "d 2"] | None = None,
        input_scale: float = 1.0,
        output_scale: float = 1.0,
        factorized: bool = False,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("MLP", in_features, out_features)
        sizes = (in_features, *layer_sizes("MLP", width, depth, hidden), out_features)
        self.activation, self.output_scale = named(activation), output_scale
        self.rescale = rescale(input_range, in_features, scale=input_scale, dtype=dtype, device=device)
        self.layers = nn.ModuleList(
            dense_layer(i, o, factorized=factorized, generator=generator, dtype=dtype, device=device)
            for i, o in itertools.pairwise(sizes)
        )

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        h = self.rescale(x)
        for layer in self.layers[:-1]:
            h = self.activation(layer(h))
        y = self.layers[-1](h)
        return y if self.output_scale == 1 else self.output_scale * y


@dataclass(frozen=True)
class MLPConfig:
    """Configuration of :class:`MLP`.

    Attributes:
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`; empty to use those.
        activation: Name of the activation.
        input_scale: Factor of the inputs once they are mapped to ``[-1, 1]^d``. On a ball in d dimensions coordinates
            are of size ``d^(-1/2)``, where tanh is nearly linear: ``d^(1/4)`` brings back the curvature. Beyond a
            hundred dimensions take ``(1000 / d)^(1/2)``, with which steps of Adam act as much whatever d is.
        output_scale: Factor of the values: the size of the solution, where it is far from 1.
        factorized: Whether weights are trained as a scale times a direction.

    Raises:
        ConfigError: If a value is out of range.

    >>> MLPConfig(width=24, depth=3).build(2, 1).layers[1]
    Linear(in_features=24, out_features=24, bias=True)
    """

    width: int = 64
    depth: int = 4
    hidden: list[int] = field(default_factory=list)
    activation: str = "tanh"
    input_scale: float = 1.0
    output_scale: float = 1.0
    factorized: bool = False

    def __post_init__(self) -> None:
        layer_sizes("MLPConfig", self.width, self.depth, self.hidden)
        named(self.activation)
        check_scale("MLPConfig", "input_scale", self.input_scale)
        check_scale("MLPConfig", "output_scale", self.output_scale)

    def build(
        self,
        in_features: int,
        out_features: int,
        *,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> MLP:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return MLP(
            in_features,
            out_features,
            width=self.width,
            depth=self.depth,
            hidden=self.hidden,
            activation=self.activation,
            input_range=input_range,
            input_scale=self.input_scale,
            output_scale=self.output_scale,
            factorized=self.factorized,
            generator=generator,
            dtype=dtype,
            device=device,
        )
