"""Network of residual blocks that starts as a linear combination of its embedding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from ..errors import ConfigError, unknown
from ..jets import Jet
from ..typing import Float, Tensor
from .activations import Activation
from .activations import activation as named
from .config import check_sizes, layer_sizes, require
from .dense import dense, glorot, normal, rescale, uniform
from .factorized import dense_layer
from .fourier import FourierFeatures

__all__ = ["PirateNet", "PirateNetConfig"]

_EMBEDDINGS = ("fourier", "dense")


class PirateNet(nn.Module):
    """Gated residual blocks ``h <- h + alpha (F(h) - h)`` with trained weights `alpha` that start at zero.

    The inputs, mapped to ``[-1, 1]^d``, are embedded: by random Fourier features or by a trained dense layer. With two
    gates ``U, V = sigma(W phi + b)`` of the embedding, a block is

        ``f = sigma(W_1 h + b_1)``, ``z = f U + (1 - f) V``, ``g = sigma(W_2 z + b_2)``, ``w = g U + (1 - g) V``,
        ``F(h) = sigma(W_3 w + b_3)``.

    With `alpha` at zero the network is linear in its last layer and the embedding, however many blocks there are; they
    come in as far as training wants them. Before that, the last layer can be fitted to what is known of the solution:
    see :func:`kjet.operators.fit_last_layer`. :func:`kjet.solve` does so unless `fit` is false.

    Args:
        in_features: Number of input coordinates d.
        out_features: Number of fields m.
        embedding: ``"fourier"`` or ``"dense"``.
        features: Size of the embedding; 0 takes `width`.
        sigma: Standard deviation of the frequencies, in cycles for half of an input's range.
        width: Size of the gates and of the layers inside a block.
        depth: Number of blocks, of three layers each.
        alpha: Weight of the blocks at the start.
        activation: Name of the activation, one of ``kjet.operators.ACTIVATIONS``.
        factorized: Whether weights are trained as a scale times a direction, all but the last.
        fit: Whether :func:`kjet.solve` fits the last layer before it trains.
        input_range: Lower and upper bound of each input.
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, the embedding of Fourier features of odd size, a name unknown or the
            range empty.

    Ref: Wang, Li, Chen, Perdikaris, *PirateNets: physics-informed deep learning with residual adaptive networks*, 2024.

    >>> net = PirateNet(2, 1, width=16, depth=2, generator=torch.Generator().manual_seed(0))
    >>> x = torch.rand(5, 2, generator=torch.Generator().manual_seed(1))
    >>> net(x).shape, torch.equal(net.hidden(x), net.embedding(net.rescale(x)))
    (torch.Size([5, 1]), True)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        embedding: str = "fourier",
        features: int = 0,
        sigma: float = 0.3,
        width: int = 64,
        depth: int = 3,
        alpha: float = 0.0,
        activation: str = "tanh",
        factorized: bool = False,
        fit: bool = True,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("PirateNet", in_features, out_features)
        layer_sizes("PirateNet", width, depth, ())
        size = _embedding_size("PirateNet", embedding, features, width)

        def layer(i: int, o: int) -> nn.Module:
            return dense_layer(i, o, factorized=factorized, generator=generator, dtype=dtype, device=device)

        self.activation, self.fit = named(activation), fit
        self.rescale = rescale(input_range, in_features, dtype=dtype, device=device)
        self.embedding: nn.Module
        if embedding == "fourier":
            self.embedding = FourierFeatures(
                in_features, size // 2, sigma=sigma, generator=generator, dtype=dtype, device=device
            )
        else:
            self.embedding = _Ridges(
                in_features, size, self.activation, generator=generator, dtype=dtype, device=device
            )
        self.gate_u, self.gate_v = layer(size, width), layer(size, width)
        self.blocks = nn.ModuleList(
            _Block(
                layer(size, width), layer(width, width), layer(width, size), self.activation,
                _Share(alpha, dtype=dtype, device=device),
            )
            for _ in range(depth)
        )  # fmt: skip
        self.last = glorot(size, out_features, generator=generator, dtype=dtype, device=device)

    def hidden(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n c"] | Jet:
        """Evaluate what the last layer combines, at points or at jets of them."""
        h = self.embedding(self.rescale(x))
        v = self.activation(self.gate_v(h))
        difference = self.activation(self.gate_u(h)) - v
        for block in self.blocks:
            h = block(h, v, difference)
        return h

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        return self.last(self.hidden(x))

    def start_layer(self) -> nn.Linear | None:
        """Return the layer that is to be fitted to the problem before training; None for none."""
        return self.last if self.fit else None


class _Block(nn.Module):
    """One residual block; see :class:`PirateNet`."""

    def __init__(
        self, first: nn.Module, second: nn.Module, third: nn.Module, activation: Activation, share: nn.Module
    ) -> None:
        super().__init__()
        self.first, self.second, self.third, self.activation, self.share = first, second, third, activation, share

    def forward(self, h: Tensor | Jet, v: Tensor | Jet, difference: Tensor | Jet) -> Tensor | Jet:
        # f U + (1 - f) V with one product, which is what a jet pays for.
        z = v + self.activation(self.first(h)) * difference
        w = v + self.activation(self.second(z)) * difference
        return h + self.share(self.activation(self.third(w)) - h)


class _Share(nn.Module):
    """Multiply by a trained number."""

    def __init__(
        self, start: float, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor(float(start), dtype=dtype or torch.get_default_dtype(), device=device))

    def forward(self, x: Tensor | Jet) -> Tensor | Jet:
        return self.alpha * x  # type: ignore[operator]

    def row_jacobians(
        self, inputs: Float[Tensor, "c n i"], slopes: Float[Tensor, "c n o"], primal: Float[Tensor, "n o"] | None
    ) -> Iterator[tuple[nn.Parameter, Float[Tensor, " n"]]]:
        """Differentiate each row's residual by the number: the sum of inputs times slopes."""
        yield self.alpha, (inputs * slopes).sum((0, 2))


class _Ridges(nn.Module):
    """Trained layer ``sigma(W x + b)`` with slopes and offsets that cover the box, to be combined linearly."""

    def __init__(
        self,
        in_features: int,
        size: int,
        activation: Activation,
        *,
        generator: torch.Generator | None,
        dtype: torch.dtype | None,
        device: torch.device | str | None,
    ) -> None:
        super().__init__()
        self.activation = activation
        weight = math.sqrt(2 / in_features) * normal(size, in_features, generator=generator, device=device)
        offsets = uniform(size, bound=math.sqrt(2.0), generator=generator, device=device)
        self.layer = dense(weight, offsets, dtype=dtype, device=device)

    def forward(self, x: Tensor | Jet) -> Tensor | Jet:
        return self.activation(self.layer(x))


@dataclass(frozen=True)
class PirateNetConfig:
    """Configuration of :class:`PirateNet`.

    Attributes:
        embedding: ``"fourier"``, random Fourier features, or ``"dense"``, a trained layer.
        features: Size of the embedding; 0 takes `width`.
        sigma: Standard deviation of the frequencies, in cycles for half of an input's range.
        width: Size of the gates and of the layers inside a block.
        depth: Number of blocks, of three layers each.
        alpha: Weight of the blocks at the start.
        activation: Name of the activation.
        factorized: Whether weights are trained as a scale times a direction, all but the last.
        fit: Whether the last layer is fitted before training: to the initial and boundary values, and to the equation
            where it is linear.

    Raises:
        ConfigError: If a value is out of range.

    >>> PirateNetConfig(width=24, depth=2).build(2, 1).last
    Linear(in_features=24, out_features=1, bias=True)
    """

    embedding: str = "fourier"
    features: int = 0
    sigma: float = 0.3
    width: int = 64
    depth: int = 3
    alpha: float = 0.0
    activation: str = "tanh"
    factorized: bool = False
    fit: bool = True

    def __post_init__(self) -> None:
        layer_sizes("PirateNetConfig", self.width, self.depth, ())
        _embedding_size("PirateNetConfig", self.embedding, self.features, self.width)
        valid = math.isfinite(self.sigma) and self.sigma >= 0
        expected = "a finite number of at least 0"
        require(valid, "PirateNetConfig", "sigma", self.sigma, expected, "Use 0.3; more fits finer detail.")
        require(math.isfinite(self.alpha), "PirateNetConfig", "alpha", self.alpha, "a finite number", "Use 0.")
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
    ) -> PirateNet:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return PirateNet(
            in_features,
            out_features,
            embedding=self.embedding,
            features=self.features,
            sigma=self.sigma,
            width=self.width,
            depth=self.depth,
            alpha=self.alpha,
            activation=self.activation,
            factorized=self.factorized,
            fit=self.fit,
            input_range=input_range,
            generator=generator,
            dtype=dtype,
            device=device,
        )


def _embedding_size(owner: str, embedding: str, features: int, width: int) -> int:
    """Return the size of the embedding; an odd `width` is taken as the even number above it for Fourier features."""
    if embedding not in _EMBEDDINGS:
        raise ConfigError(unknown("embedding", embedding, _EMBEDDINGS, owner))
    valid = isinstance(features, int) and not isinstance(features, bool) and features >= 0
    require(valid, owner, "features", features, "a whole number of at least 0", "Use 0 for the width.")
    if embedding == "fourier":
        even = features % 2 == 0
        require(even, owner, "features", features, "an even number, of sines and cosines", "Add one.")
        return features or width + width % 2
    return features or width
