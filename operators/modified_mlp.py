"""Perceptron whose layers are gated by two encoders of the input."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor
from .activations import activation as named
from .config import check_sizes, layer_sizes
from .dense import rescale
from .factorized import dense_layer

__all__ = ["ModifiedMLP", "ModifiedMLPConfig"]


class ModifiedMLP(nn.Module):
    """Perceptron in which two encoders of the input gate every hidden layer.

    ``U = sigma(W_u x + b_u)``, ``V = sigma(W_v x + b_v)``; each hidden layer computes ``Z = sigma(W h + b)`` and
    passes on ``h = Z U + (1 - Z) V``; the last layer is linear. All hidden layers have the size of the encoders.

    Args:
        in_features: Number of input coordinates d.
        out_features: Number of fields m.
        width: Size of the encoders and hidden layers.
        depth: Number of hidden layers, the encoders not counted.
        activation: Name of the activation, one of ``kjet.operators.ACTIVATIONS``.
        factorized: Whether weights are trained as a scale times a direction; see
            :class:`kjet.operators.FactorizedLinear`.
        input_range: Lower and upper bound of each input, mapped to [-1, 1].
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, the activation unknown or the range empty.

    Ref: Wang, Teng, Perdikaris, *Understanding and mitigating gradient flow pathologies in physics-informed neural
    networks*, 2021, section 2.6.

    >>> net = ModifiedMLP(2, 1, width=16, depth=2, generator=torch.Generator().manual_seed(0))
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
        activation: str = "tanh",
        factorized: bool = False,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("ModifiedMLP", in_features, out_features)
        sizes = (in_features, *layer_sizes("ModifiedMLP", width, depth, ()))

        def layer(i: int, o: int) -> nn.Module:
            return dense_layer(i, o, factorized=factorized, generator=generator, dtype=dtype, device=device)

        self.activation = named(activation)
        self.rescale = rescale(input_range, in_features, dtype=dtype, device=device)
        self.encoder_u = layer(in_features, width)
        self.encoder_v = layer(in_features, width)
        self.layers = nn.ModuleList(layer(i, o) for i, o in itertools.pairwise(sizes))
        self.last = layer(width, out_features)

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        h = self.rescale(x)
        v = self.activation(self.encoder_v(h))
        difference = self.activation(self.encoder_u(h)) - v
        for layer in self.layers:
            # Z U + (1 - Z) V with one product, which is what a jet pays for.
            h = v + self.activation(layer(h)) * difference
        return self.last(h)


@dataclass(frozen=True)
class ModifiedMLPConfig:
    """Configuration of :class:`ModifiedMLP`.

    Attributes:
        width: Size of the encoders and hidden layers.
        depth: Number of hidden layers.
        activation: Name of the activation.
        factorized: Whether weights are trained as a scale times a direction.

    Raises:
        ConfigError: If a value is out of range.

    >>> ModifiedMLPConfig(width=24, depth=3).build(2, 1).encoder_u
    Linear(in_features=2, out_features=24, bias=True)
    """

    width: int = 64
    depth: int = 4
    activation: str = "tanh"
    factorized: bool = False

    def __post_init__(self) -> None:
        layer_sizes("ModifiedMLPConfig", self.width, self.depth, ())
        named(self.activation)

    def build(
        self,
        in_features: int,
        out_features: int,
        *,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> ModifiedMLP:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return ModifiedMLP(
            in_features,
            out_features,
            width=self.width,
            depth=self.depth,
            activation=self.activation,
            factorized=self.factorized,
            input_range=input_range,
            generator=generator,
            dtype=dtype,
            device=device,
        )
