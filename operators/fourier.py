"""Random Fourier features of the input, and a perceptron on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor
from .activations import activation as named
from .config import check_sizes, layer_sizes, require, require_count
from .dense import normal, rescale
from .mlp import MLP

__all__ = ["FourierConfig", "FourierFeatures", "FourierNetwork"]


class FourierFeatures(nn.Module):
    """Features ``(sin(2 pi B x), cos(2 pi B x))`` with fixed random frequencies ``B_ij ~ N(0, sigma_j^2)``.

    Args:
        in_features: Number of input coordinates d.
        features: Number of frequencies; there are twice as many features.
        sigma: Standard deviation of the frequencies, in cycles for one unit of input: one for all inputs or one each.
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, or sigma is negative or does not fit the inputs.

    Ref: Tancik et al., *Fourier features let networks learn high frequency functions in low dimensional domains*,
    2020, section 6.1.

    >>> features = FourierFeatures(2, 8, sigma=[1.0, 0.0], generator=torch.Generator().manual_seed(0))
    >>> features(torch.zeros(3, 2)).shape, features.out_features
    (torch.Size([3, 16]), 16)
    """

    frequencies: Tensor

    def __init__(
        self,
        in_features: int,
        features: int = 64,
        *,
        sigma: float | Sequence[float] = 1.0,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        require_count("FourierFeatures", "in_features", in_features, "Give the number of coordinates.")
        require_count("FourierFeatures", "features", features, "Use 64.")
        scales = [float(sigma)] * in_features if isinstance(sigma, int | float) else [float(value) for value in sigma]
        _check_sigma("FourierFeatures", scales)
        expected = f"one number, or one for each of {in_features} inputs"
        require(len(scales) == in_features, "FourierFeatures", "sigma", sigma, expected, "Repeat or drop entries.")
        draws = normal(features, in_features, generator=generator, device=device)
        frequencies = 2 * math.pi * draws * draws.new_tensor(scales)
        kind = torch.get_default_dtype() if dtype is None else dtype
        self.register_buffer("frequencies", frequencies.to(kind).to(device))

    @property
    def out_features(self) -> int:
        """Number of features."""
        return 2 * self.frequencies.shape[0]

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n c"] | Jet:
        """Evaluate at points, or at jets of them: first the sines, then the cosines."""
        phase = F.linear(x, self.frequencies)  # type: ignore[arg-type]
        return torch.cat([torch.sin(phase), torch.cos(phase)], -1)


class FourierNetwork(nn.Module):
    """Perceptron on random Fourier features of the inputs, which are first mapped to ``[-1, 1]^d``.

    Args:
        in_features: Number of input coordinates d.
        out_features: Number of fields m.
        features: Number of frequencies.
        sigma: Standard deviation of the frequencies, in cycles for one unit of the mapped input (half of its range):
            one for all inputs or one each.
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`.
        activation: Name of the activation, one of ``kjet.operators.ACTIVATIONS``.
        input_range: Lower and upper bound of each input.
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, sigma does not fit, the activation is unknown or the range empty.

    Ref: Wang, Wang, Perdikaris, *On the eigenvector bias of Fourier feature networks*, 2021, section 3.

    >>> net = FourierNetwork(2, 1, features=8, width=16, depth=2, generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(5, 2)).shape
    torch.Size([5, 1])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        features: int = 64,
        sigma: float | Sequence[float] = 1.0,
        width: int = 64,
        depth: int = 4,
        hidden: Sequence[int] = (),
        activation: str = "tanh",
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("FourierNetwork", in_features, out_features)
        self.rescale = rescale(input_range, in_features, dtype=dtype, device=device)
        self.features = FourierFeatures(
            in_features, features, sigma=sigma, generator=generator, dtype=dtype, device=device
        )
        self.network = MLP(
            self.features.out_features,
            out_features,
            width=width,
            depth=depth,
            hidden=hidden,
            activation=activation,
            generator=generator,
            dtype=dtype,
            device=device,
        )

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        return self.network(self.features(self.rescale(x)))


@dataclass(frozen=True)
class FourierConfig:
    """Configuration of :class:`FourierNetwork`.

    Attributes:
        features: Number of frequencies.
        sigma: Standard deviation of the frequencies, in cycles for half of an input's range.
        sigmas: One standard deviation for each input, in place of `sigma`; empty to use that.
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hidden: Sizes of the hidden layers, in place of `width` and `depth`; empty to use those.
        activation: Name of the activation.

    Raises:
        ConfigError: If a value is out of range.

    >>> FourierConfig(features=8, sigmas=[1.0, 0.2]).build(2, 1).features.out_features
    16
    """

    features: int = 64
    sigma: float = 1.0
    sigmas: list[float] = field(default_factory=list)
    width: int = 64
    depth: int = 4
    hidden: list[int] = field(default_factory=list)
    activation: str = "tanh"

    def __post_init__(self) -> None:
        require_count("FourierConfig", "features", self.features, "Use 64.")
        _check_sigma("FourierConfig", [self.sigma, *self.sigmas])
        layer_sizes("FourierConfig", self.width, self.depth, self.hidden)
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
    ) -> FourierNetwork:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return FourierNetwork(
            in_features,
            out_features,
            features=self.features,
            sigma=self.sigmas or self.sigma,
            width=self.width,
            depth=self.depth,
            hidden=self.hidden,
            activation=self.activation,
            input_range=input_range,
            generator=generator,
            dtype=dtype,
            device=device,
        )


def _check_sigma(owner: str, scales: Sequence[float]) -> None:
    for value in scales:
        valid = math.isfinite(value) and value >= 0
        require(valid, owner, "sigma", value, "a finite number of at least 0", "Use 1; more fits finer detail.")
