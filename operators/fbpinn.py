"""Finite basis networks: many small networks on overlapping boxes, joined by smooth windows."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError
from ..jets import Jet
from ..typing import Float, Tensor
from .activations import activation as named
from .config import check_scale, check_sizes, layer_sizes
from .dense import normal, rescale
from .windows import Windows, check_windows, subdomain_boxes

__all__ = ["FBPINN", "BatchedLinear", "FBPINNConfig"]


class BatchedLinear(nn.Module):
    """One linear layer for each of k networks, side by side: ``y_j = x_j W_j^T + b_j``, in one batched product.

    Takes rows (n, k i) to (n, k o), the features of a network next to each other. Weights follow Glorot's normal law,
    biases are zero.

    Args:
        count: Number of networks k.
        in_features: Inputs i of each.
        out_features: Outputs o of each.
        generator: Source of the weights; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Cost: ``O(n k i o)``, that of the layers one by one.

    >>> layer = BatchedLinear(3, 2, 4, generator=torch.Generator().manual_seed(0))
    >>> layer(torch.zeros(5, 6)).shape
    torch.Size([5, 12])
    """

    def __init__(
        self,
        count: int,
        in_features: int,
        out_features: int,
        *,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        scale = math.sqrt(2.0 / (in_features + out_features))
        weight = scale * normal(count, out_features, in_features, generator=generator, device=device)
        kind = torch.get_default_dtype() if dtype is None else dtype
        self.weight = nn.Parameter(weight.to(kind).to(device))
        self.bias = nn.Parameter(torch.zeros(count * out_features, dtype=kind, device=device))

    def forward(self, x: Float[Tensor, "*n i"] | Jet) -> Float[Tensor, "*n o"] | Jet:
        """Evaluate at rows, or at jets of them."""
        if not isinstance(x, Jet):
            return self._map(x) + self.bias
        rows = [None if x.coefficients[k] is None else self._map(_complete(x, k)) for k in range(1, x.order + 1)]
        return Jet([self._map(x.primal) + self.bias, *rows], x.layout)

    def _map(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        parts = x.unflatten(-1, (self.weight.shape[0], self.weight.shape[2]))
        return torch.einsum("...ki,koi->...ko", parts, self.weight).flatten(-2)

    def row_jacobians(
        self, inputs: Float[Tensor, "c n i"], slopes: Float[Tensor, "c n o"], primal: Float[Tensor, "n o"] | None
    ) -> Iterator[tuple[nn.Parameter, Float[Tensor, "n ..."]]]:
        """Differentiate each row's residual, network by network: its slope times the layer's input.

        Args:
            inputs: What the layer was applied to, by channel.
            slopes: Derivative of each row's residual with respect to the layer's output, by channel.
            primal: Sum of the slopes of those channels to which the bias was added; None if there are none.

        Yields:
            A parameter, and the derivative of each row's residual with respect to it.

        Cost: ``O(c n k i o)``.
        """
        count, out_features, in_features = self.weight.shape
        left, right = slopes.unflatten(-1, (count, out_features)), inputs.unflatten(-1, (count, in_features))
        yield self.weight, torch.einsum("cnko,cnki->nkoi", left, right)
        if primal is not None:
            yield self.bias, primal

    def extra_repr(self) -> str:
        """Describe the layer as torch does a linear one."""
        count, out_features, in_features = self.weight.shape
        return f"count={count}, in_features={in_features}, out_features={out_features}"


def _complete(x: Jet, k: int) -> Tensor:
    """Coefficient k with all its features; the points may still be broadcast."""
    c = x.coefficients[k]
    full = c if c is not None and c.ndim > 1 and c.shape[-1] == x.shape[-1] else x.row(k)
    assert full is not None  # the caller leaves out zero coefficients
    return full


class FBPINN(nn.Module):
    """Finite basis network ``u(x) = sum_k w_k(x) N_k(z_k(x))`` on overlapping boxes.

    The boxes are the cells of a regular grid on `input_range`, widened so that neighbours overlap; ``z_k`` maps box k
    to ``[-1, 1]^d``. Windows ``w_k`` sum to 1 and vanish outside of their boxes, see :class:`Windows`. Each network is
    a perceptron of its own. A solution with fine structure looks smooth to each of them, and errors stay local.

    Takes points (n, d), or jets of them, to values (n, m).

    Args:
        in_features: Number of input coordinates d.
        out_features: Number of fields m.
        subdomains: Boxes along each coordinate; a single number for all of them.
        overlap: Width of the strip that two neighbours share, in widths of a cell of the grid; above 0, at most 1.
        smoothness: Order of the highest continuous derivative of the windows: at least that of the equation.
        width: Size of every hidden layer of each network.
        depth: Number of hidden layers of each network.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`.
        activation: Name of the activation, one of ``kjet.operators.ACTIVATIONS``.
        input_range: Lower and upper bound of each input; ``[-1, 1]^d`` if None.
        output_scale: Factor of the values.
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, the activation unknown, the range empty, the overlap out of range, or
            the boxes do not fit the inputs.

    Cost: all k networks at all points, in one batched product for each layer, although only ``2^d`` of them count at a
    point: k times that of one small network. Time grows with the number of boxes for a fixed number of points.

    Ref: Moseley, Markham, Nissen-Meyer, *Finite basis physics-informed neural networks (FBPINNs): a scalable domain
    decomposition approach for solving differential equations*, 2021.

    >>> net = FBPINN(2, 1, subdomains=[4, 2], width=8, depth=1, generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(5, 2)).shape, sum(p.numel() for p in net.parameters())
    (torch.Size([5, 1]), 264)
    """

    expand: Tensor
    offset: Tensor

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        subdomains: Sequence[int] = (4,),
        overlap: float = 0.9,
        smoothness: int = 4,
        width: int = 16,
        depth: int = 2,
        hidden: Sequence[int] = (),
        activation: str = "tanh",
        input_range: Float[Tensor, "d 2"] | None = None,
        output_scale: float = 1.0,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("FBPINN", in_features, out_features)
        options: dict[str, Any] = {"dtype": dtype, "device": device}
        self.rescale = rescale(input_range, in_features, **options)
        counts = _each(subdomains, in_features)
        self.windows = Windows(counts, overlap, smoothness, **options)
        self.activation, self.output_scale, self.out_features = named(activation), output_scale, out_features
        count = self.windows.count
        sizes = (in_features, *layer_sizes("FBPINN", width, depth, hidden), out_features)
        self.layers = nn.ModuleList(
            BatchedLinear(count, i, o, generator=generator, **options) for i, o in itertools.pairwise(sizes)
        )
        low, high = subdomain_boxes(counts, overlap).unbind(-1)
        inverse = 2.0 / (high - low)
        kind = torch.get_default_dtype() if dtype is None else dtype
        # one fixed linear map takes a point to its place in each of the boxes
        self.register_buffer("expand", torch.diag_embed(inverse).flatten(0, 1).to(kind).to(device))
        self.register_buffer("offset", (-0.5 * (low + high) * inverse).flatten().to(kind).to(device))

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        z = self.rescale(x)
        h = nn.functional.linear(z, self.expand, self.offset)
        for layer in self.layers[:-1]:
            h = self.activation(layer(h))
        values = self.layers[-1](h).unflatten(-1, (self.windows.count, self.out_features))
        y = (values * self.windows(z).unsqueeze(-1)).sum(-2)
        return y if self.output_scale == 1 else self.output_scale * y


def _each(subdomains: Sequence[int], in_features: int) -> tuple[int, ...]:
    """Number of boxes along each input."""
    counts = tuple(subdomains) * in_features if len(subdomains) == 1 else tuple(subdomains)
    if len(counts) != in_features:
        raise ConfigError(
            f"FBPINN: subdomains = {list(subdomains)} splits {len(counts)} inputs, but the network takes "
            f"{in_features}; give one number for each, or a single one (a periodic coordinate enters as sines and "
            "cosines, each an input; constraint=soft leaves it as it is)"
        )
    return counts


@dataclass(frozen=True)
class FBPINNConfig:
    """Configuration of :class:`FBPINN`.

    Attributes:
        subdomains: Boxes along each coordinate; a single number for all of them.
        overlap: Width of the strip that two neighbours share, in widths of a cell of the grid.
        smoothness: Order of the highest continuous derivative of the windows: at least that of the equation.
        width: Size of every hidden layer of each network.
        depth: Number of hidden layers of each network.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`; empty to use those.
        activation: Name of the activation.
        output_scale: Factor of the values: the size of the solution, where it is far from 1.

    Raises:
        ConfigError: If a value is out of range.

    >>> FBPINNConfig(subdomains=[4, 2], width=24).build(2, 1).layers[1]
    BatchedLinear(count=8, in_features=24, out_features=24)
    """

    subdomains: list[int] = field(default_factory=lambda: [4])
    overlap: float = 0.9
    smoothness: int = 4
    width: int = 16
    depth: int = 2
    hidden: list[int] = field(default_factory=list)
    activation: str = "tanh"
    output_scale: float = 1.0

    def __post_init__(self) -> None:
        check_windows("FBPINNConfig", self.subdomains, self.overlap, self.smoothness)
        layer_sizes("FBPINNConfig", self.width, self.depth, self.hidden)
        named(self.activation)
        check_scale("FBPINNConfig", "output_scale", self.output_scale)

    def build(
        self,
        in_features: int,
        out_features: int,
        *,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> FBPINN:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return FBPINN(
            in_features,
            out_features,
            subdomains=self.subdomains,
            overlap=self.overlap,
            smoothness=self.smoothness,
            width=self.width,
            depth=self.depth,
            hidden=self.hidden,
            activation=self.activation,
            input_range=input_range,
            output_scale=self.output_scale,
            generator=generator,
            dtype=dtype,
            device=device,
        )
