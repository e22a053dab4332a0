"""Network whose layers depend on the parameters of the problem through a second network."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import nn

from ..errors import ConfigError, unknown
from ..jets import Jet
from ..typing import Float, Tensor
from .activations import activation as named
from .config import NetworkConfig, check_sizes, layer_sizes, require, require_count
from .dense import glorot, rescale
from .mlp import MLP

__all__ = ["Conditioned", "HyperNetwork", "HyperNetworkConfig"]


@runtime_checkable
class Conditioned(Protocol):
    """A configuration of a network that has to know which of its inputs are parameters of the problem."""

    def conditioned(self, columns: Sequence[int]) -> NetworkConfig:
        """Return the configuration for these columns of parameters."""
        ...


class HyperNetwork(nn.Module):
    """Perceptron of the coordinates, whose layers take codes that a small perceptron makes of the parameters.

    With ``c = H(mu)`` of the parameter columns `mu`, a layer of the other columns computes

    - ``"film"``: ``(1 + c_1) * (W h + b) + c_2``, every output scaled and shifted;
    - ``"low_rank"``: ``(W + A diag(c) B) h + A diag(c) a + b``, a change of the weights of rank r;
    - ``"last"``: ``C h + c`` in the last layer alone, all of whose weights are codes.

    So one network holds a family of solutions. All parameters are those of linear layers, and each point has its own
    codes: jets, and Jacobians by one backward pass, work as for a plain perceptron.

    Args:
        in_features: Number of inputs d, coordinates and parameters.
        out_features: Number of fields m.
        columns: Columns of the parameters.
        weights: How codes enter: ``"film"``, ``"low_rank"`` or ``"last"``.
        rank: Rank of the change, for ``"low_rank"``.
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hyper_width: Size of the hidden layers of the network of the parameters.
        hyper_depth: Number of its hidden layers.
        activation: Name of the activation, one of ``kjet.operators.ACTIVATIONS``.
        input_range: Lower and upper bound of each input, mapped to [-1, 1].
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, a name unknown, the range empty, or no column is left on either side.

    Ref: Ha, Dai, Le, *HyperNetworks*, 2017; Perez et al., *FiLM: visual reasoning with a general conditioning layer*,
    2018.

    >>> net = HyperNetwork(3, 1, columns=[2], width=8, depth=2, generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(5, 3)).shape
    torch.Size([5, 1])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        columns: Sequence[int],
        weights: str = "film",
        rank: int = 8,
        width: int = 64,
        depth: int = 4,
        hyper_width: int = 16,
        hyper_depth: int = 2,
        activation: str = "tanh",
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("HyperNetwork", in_features, out_features)
        _check("HyperNetwork", weights, rank, hyper_width, hyper_depth)
        self.parameter_columns = _normalised(columns, in_features)
        self.coordinate_columns = tuple(j for j in range(in_features) if j not in self.parameter_columns)
        sizes = (len(self.coordinate_columns), *layer_sizes("HyperNetwork", width, depth, ()), out_features)
        options: dict[str, Any] = {"generator": generator, "dtype": dtype, "device": device}
        inner, outer = _LAYERS[weights]
        kinds = [inner] * depth + [outer]
        self.activation = named(activation)
        self.rescale = rescale(input_range, in_features, dtype=dtype, device=device)
        self.layers = nn.ModuleList(
            kind(i, o, rank, options) for kind, (i, o) in zip(kinds, itertools.pairwise(sizes), strict=True)
        )
        counts = [kind.count(i, o, rank) for kind, (i, o) in zip(kinds, itertools.pairwise(sizes), strict=True)]
        self._slices = [slice(end - n, end) for n, end in zip(counts, itertools.accumulate(counts), strict=True)]
        self.hyper = MLP(
            len(self.parameter_columns), sum(counts), width=hyper_width, depth=hyper_depth, activation=activation,
            **options,
        )  # fmt: skip
        if outer is _Generated:
            # Weights of the usual size, about which the codes vary.
            start = glorot(sizes[-2], out_features, **options).weight.detach().reshape(-1)
            with torch.no_grad():
                cast("nn.Linear", self.hyper.layers[-1]).bias[: start.numel()].copy_(start)

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        z: Any = self.rescale(x)
        codes = self.hyper(_chosen(z, self.parameter_columns))
        h = _chosen(z, self.coordinate_columns)
        for layer, part in zip(self.layers[:-1], self._slices[:-1], strict=True):
            h = self.activation(layer(h, codes[..., part]))
        return self.layers[-1](h, codes[..., self._slices[-1]])


class _Plain(nn.Module):
    """Linear layer that takes no codes."""

    def __init__(self, in_features: int, out_features: int, rank: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.linear = glorot(in_features, out_features, **options)

    @staticmethod
    def count(in_features: int, out_features: int, rank: int) -> int:
        """Return the number of codes."""
        return 0

    def forward(self, h: Any, code: Any) -> Any:
        return self.linear(h)


class _Film(nn.Module):
    """Linear layer whose outputs are scaled and shifted."""

    def __init__(self, in_features: int, out_features: int, rank: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.linear = glorot(in_features, out_features, **options)
        self.out_features = out_features

    @staticmethod
    def count(in_features: int, out_features: int, rank: int) -> int:
        """Return the number of codes."""
        return 2 * out_features

    def forward(self, h: Any, code: Any) -> Any:
        y = self.linear(h)
        return y + code[..., : self.out_features] * y + code[..., self.out_features :]


class _LowRank(nn.Module):
    """Linear layer of its input and of a few combinations of it, which are scaled first."""

    def __init__(self, in_features: int, out_features: int, rank: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.down = glorot(in_features, rank, **options)
        self.linear = glorot(in_features + rank, out_features, **options)

    @staticmethod
    def count(in_features: int, out_features: int, rank: int) -> int:
        """Return the number of codes."""
        return rank

    def forward(self, h: Any, code: Any) -> Any:
        return self.linear(torch.cat([h, code * self.down(h)], -1))


class _Generated(nn.Module):
    """Linear layer all of whose weights are codes."""

    def __init__(self, in_features: int, out_features: int, rank: int, options: dict[str, Any]) -> None:
        super().__init__()
        self.shape = (out_features, in_features)

    @staticmethod
    def count(in_features: int, out_features: int, rank: int) -> int:
        """Return the number of codes."""
        return out_features * (in_features + 1)

    def forward(self, h: Any, code: Any) -> Any:
        rows, columns = self.shape
        weight = code[..., : rows * columns].reshape(*code.shape[:-1], rows, columns)
        return torch.einsum("...i,...oi->...o", h, weight) + code[..., rows * columns :]


_LAYERS: dict[str, tuple[Any, Any]] = {
    "film": (_Film, _Film), "last": (_Plain, _Generated), "low_rank": (_LowRank, _LowRank),
}  # fmt: skip
"""Kind of the hidden layers, and of the last one."""


@dataclass(frozen=True)
class HyperNetworkConfig:
    """Configuration of :class:`HyperNetwork`.

    Attributes:
        weights: How codes enter: ``"film"``, ``"low_rank"`` or ``"last"``.
        rank: Rank of the change of the weights, for ``"low_rank"``.
        width: Size of every hidden layer.
        depth: Number of hidden layers.
        hyper_width: Size of the hidden layers of the network of the parameters.
        hyper_depth: Number of its hidden layers.
        activation: Name of the activation.
        columns: Columns of the parameters; empty for those that the problem's domain has, ``Parameters(nu=...)``, and
            where there is no domain for the last column.

    Raises:
        ConfigError: If a value is out of range.

    >>> HyperNetworkConfig(width=24, depth=3).conditioned([2]).build(3, 1).coordinate_columns
    (0, 1)
    """

    weights: str = "film"
    rank: int = 8
    width: int = 64
    depth: int = 4
    hyper_width: int = 16
    hyper_depth: int = 2
    activation: str = "tanh"
    columns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        _check("HyperNetworkConfig", self.weights, self.rank, self.hyper_width, self.hyper_depth)
        layer_sizes("HyperNetworkConfig", self.width, self.depth, ())
        named(self.activation)

    def conditioned(self, columns: Sequence[int]) -> HyperNetworkConfig:
        """Return the configuration with these columns of parameters, unless it names its own.

        Raises:
            ConfigError: If there are none.
        """
        if self.columns:
            return self
        if not columns:
            raise ConfigError(
                "operator=hypernetwork needs parameters among the coordinates, and the domain has none; multiply it by "
                "Parameters(nu=(0.01, 0.1)), or use operator=mlp"
            )
        return replace(self, columns=list(columns))

    def build(
        self,
        in_features: int,
        out_features: int,
        *,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> HyperNetwork:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return HyperNetwork(
            in_features,
            out_features,
            columns=self.columns or [-1],
            weights=self.weights,
            rank=self.rank,
            width=self.width,
            depth=self.depth,
            hyper_width=self.hyper_width,
            hyper_depth=self.hyper_depth,
            activation=self.activation,
            input_range=input_range,
            generator=generator,
            dtype=dtype,
            device=device,
        )


def _check(owner: str, weights: str, rank: int, hyper_width: int, hyper_depth: int) -> None:
    if weights not in _LAYERS:
        raise ConfigError(unknown("way of conditioning", weights, _LAYERS, owner))
    require_count(owner, "rank", rank, "Use 8.")
    require_count(owner, "hyper_width", hyper_width, "Use 16.")
    require_count(owner, "hyper_depth", hyper_depth, "Use 2.")


def _normalised(columns: Sequence[int], in_features: int) -> tuple[int, ...]:
    """Return the columns in ascending order, counted from the front."""
    inside = all(-in_features <= j < in_features for j in columns)
    found = tuple(sorted({j % in_features for j in columns}))
    valid = inside and 0 < len(found) < in_features
    expected = f"columns of {in_features} inputs, one at least and not all"
    require(valid, "HyperNetwork", "columns", list(columns), expected, "Name the columns of the parameters.")
    return found


def _chosen(x: Any, columns: tuple[int, ...]) -> Any:
    """Take some columns of points, or of jets of them."""
    if columns[-1] - columns[0] + 1 == len(columns):
        return x[..., columns[0] : columns[-1] + 1]
    return torch.cat([x[..., j : j + 1] for j in columns], -1)
