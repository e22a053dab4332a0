"""Multilayer perceptron for very many coordinates: blocks of them may share the weights of the first layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from ..errors import ConfigError, unknown
from ..jets import Jet
from ..typing import Float, Tensor
from .activations import activation as named
from .config import check_scale, check_sizes, layer_sizes, require_count
from .dense import glorot, rescale
from .mlp import MLP

__all__ = ["MLPHD", "BlockLinear", "MLPHDConfig"]

_FIRST_LAYERS = ("full", "block", "conv")


class BlockLinear(nn.Module):
    """One linear layer for every block of `size` neighbouring coordinates; the last ``d mod size`` ones are not read.

    Directions of jets that all points share stay so: cost O((n + s) d) for s of them.

    Args:
        in_features: Number of coordinates d.
        size: Coordinates in a block.
        bias: Whether a constant is added.
        generator: Source of the weights; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If there is no whole block.

    >>> layer = BlockLinear(5, 2)
    >>> layer.linear.weight.data.fill_(1.0).shape, layer(torch.arange(5.0)[None])
    (torch.Size([1, 2]), tensor([[1., 5.]], grad_fn=<SqueezeBackward1>))
    """

    def __init__(
        self,
        in_features: int,
        size: int,
        *,
        bias: bool = True,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        require_count("BlockLinear", "size", size, "Use 100.")
        if size > in_features:
            raise ConfigError(f"blocks of {size} coordinates do not fit into {in_features}; use a smaller block_size")
        self.blocks, self.size = in_features // size, size
        self.linear = glorot(size, 1, generator=generator, dtype=dtype, device=device)
        if not bias:
            self.linear.bias = None  # type: ignore[assignment]

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n b"] | Jet:
        """Evaluate at points, or at jets of them."""
        if not isinstance(x, Jet):
            return self._map(x, self.linear.bias)
        # coefficient by coefficient as they are stored: a rule for the reshaped jet would repeat shared directions
        stored = [
            c if c is None or (c.ndim > 1 and c.shape[-1] == x.shape[-1]) else x.row(k)
            for k, c in enumerate(x.coefficients[1:], start=1)
        ]
        rows = [None if c is None else self._map(c, None) for c in stored]
        return Jet([self._map(x.primal, self.linear.bias), *rows], x.layout)

    def _map(self, x: Tensor, bias: Tensor | None) -> Tensor:
        blocks = x[..., : self.blocks * self.size].unflatten(-1, (self.blocks, self.size))
        return F.linear(blocks, self.linear.weight, bias).squeeze(-1)


class MLPHD(nn.Module):
    """:class:`MLP` whose first layer may share its weights between blocks of coordinates.

    - ``full``: no sharing; d x width weights in the first layer.
    - ``conv``: :class:`BlockLinear` without bias first, a convolution of kernel and stride `block_size`.
    - ``block``: the same with a bias, followed by the activation.

    The first layer of the perceptron then has ``d / block_size x width`` weights: at a million coordinates and
    width 128, 1.3 million with blocks of 100 instead of 128 million.

    Args:
        in_features: Number of input coordinates d.
        out_features: Number of fields m.
        first_layer: ``"full"``, ``"block"`` or ``"conv"``.
        block_size: Coordinates in a block; what is left over, such as time behind them, enters directly.
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`.
        activation: Name of the activation, one of ``kjet.operators.ACTIVATIONS``.
        input_range: Lower and upper bound of each input.
        input_scale: Factor of the inputs once they are mapped to ``[-1, 1]^d``.
        output_scale: Factor of the values.
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, a name unknown, the range empty, or no whole block fits.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor derivative estimator: efficient amortization for arbitrary
    differential operators*, 2024, for the sharing by convolution.

    >>> net = MLPHD(1000, 1, first_layer="conv", block_size=100, width=16)
    >>> net(torch.zeros(5, 1000)).shape, sum(p.numel() for p in net.parameters())
    (torch.Size([5, 1]), 1109)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        first_layer: str = "full",
        block_size: int = 100,
        width: int = 64,
        depth: int = 4,
        hidden: Sequence[int] = (),
        activation: str = "tanh",
        input_range: Float[Tensor, "d 2"] | None = None,
        input_scale: float = 1.0,
        output_scale: float = 1.0,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("MLPHD", in_features, out_features)
        _check_first_layer(first_layer)
        self.rescale = rescale(input_range, in_features, scale=input_scale, dtype=dtype, device=device)
        self.shared: BlockLinear | None = None
        self.left_over, features = 0, in_features
        if first_layer != "full":
            self.shared = BlockLinear(
                in_features, block_size, bias=first_layer == "block", generator=generator, dtype=dtype, device=device
            )
            self.left_over = in_features % block_size
            features = self.shared.blocks + self.left_over
        self.activation = named(activation) if first_layer == "block" else None
        self.core = MLP(
            features, out_features, width=width, depth=depth, hidden=hidden, activation=activation,
            output_scale=output_scale, generator=generator, dtype=dtype, device=device,
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        z = self.rescale(x)
        if self.shared is None:
            return self.core(z)
        h = self.shared(z)
        h = h if self.activation is None else self.activation(h)
        return self.core(torch.cat([h, z[..., -self.left_over :]], dim=-1) if self.left_over else h)


@dataclass(frozen=True)
class MLPHDConfig:
    """Configuration of :class:`MLPHD`.

    Attributes:
        first_layer: ``"full"``, ``"block"`` or ``"conv"``.
        block_size: Coordinates in a block.
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`; empty to use those.
        activation: Name of the activation.
        input_scale: Factor of the inputs once they are mapped to ``[-1, 1]^d``. On a ball in d dimensions coordinates
            are of size ``d^(-1/2)``, where tanh is nearly linear: ``d^(1/4)`` brings back the curvature. Beyond a
            hundred dimensions take ``(1000 / d)^(1/2)``, with which steps of Adam act as much whatever d is.
        output_scale: Factor of the values: the size of the solution, where it is far from 1.

    Raises:
        ConfigError: If a value is out of range.

    >>> MLPHDConfig(first_layer="block", block_size=10, width=8).build(40, 1).core.layers[0]
    Linear(in_features=4, out_features=8, bias=True)
    """

    first_layer: str = "full"
    block_size: int = 100
    width: int = 64
    depth: int = 4
    hidden: list[int] = field(default_factory=list)
    activation: str = "tanh"
    input_scale: float = 1.0
    output_scale: float = 1.0

    def __post_init__(self) -> None:
        _check_first_layer(self.first_layer)
        require_count("MLPHDConfig", "block_size", self.block_size, "Use 100.")
        layer_sizes("MLPHDConfig", self.width, self.depth, self.hidden)
        named(self.activation)
        check_scale("MLPHDConfig", "input_scale", self.input_scale)
        check_scale("MLPHDConfig", "output_scale", self.output_scale)

    def build(
        self,
        in_features: int,
        out_features: int,
        *,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> MLPHD:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return MLPHD(
            in_features,
            out_features,
            first_layer=self.first_layer,
            block_size=self.block_size,
            width=self.width,
            depth=self.depth,
            hidden=self.hidden,
            activation=self.activation,
            input_range=input_range,
            input_scale=self.input_scale,
            output_scale=self.output_scale,
            generator=generator,
            dtype=dtype,
            device=device,
        )


def _check_first_layer(name: str) -> None:
    if name not in _FIRST_LAYERS:
        raise ConfigError(unknown("first layer", name, _FIRST_LAYERS))
