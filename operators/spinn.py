"""Separable network: a sum of products of functions of one coordinate each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError
from ..jets import Jet, jet
from ..typing import Float, Tensor
from .activations import activation as named
from .config import check_sizes, layer_sizes, require_count
from .dense import rescale
from .mlp import MLP

__all__ = ["SPINN", "SPINNConfig"]


class SPINN(nn.Module):
    """Sum of products ``u(x) = sum_r prod_j f_jr(x_j)``, with one small perceptron `f_j` for each coordinate.

    On a tensor grid each perceptron is evaluated on its axis alone: :meth:`on_grid` costs as much as the axes are long,
    and one product for each point of the grid. On scattered points, and jets of them, it is a network like any other.

    Args:
        in_features: Number of input coordinates d.
        out_features: Number of fields m; each has its own `rank` products.
        rank: Number of products r.
        width: Size of every hidden layer of each perceptron.
        depth: Number of hidden layers of each perceptron.
        activation: Name of the activation, one of ``kjet.operators.ACTIVATIONS``.
        factorized: Whether weights are trained as a scale times a direction.
        input_range: Lower and upper bound of each input, mapped to [-1, 1].
        generator: Source of all randomness; torch's own if None.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If a size is not positive, the activation unknown or the range empty.

    Ref: Cho, Nam, Yang, Yun, Hong, Park, *Separable physics-informed neural networks*, 2023.

    >>> net = SPINN(3, 1, width=8, depth=2, rank=4, generator=torch.Generator().manual_seed(0))
    >>> net(torch.zeros(5, 3)).shape, net.on_grid([torch.linspace(0, 1, 20)] * 3).shape
    (torch.Size([5, 1]), torch.Size([20, 20, 20, 1]))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        rank: int = 32,
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
        check_sizes("SPINN", in_features, out_features)
        require_count("SPINN", "rank", rank, "Use 32.")
        self.rank, self.out_features = rank, out_features
        self.rescale = rescale(input_range, in_features, dtype=dtype, device=device)
        self.bodies = nn.ModuleList(
            MLP(
                1, out_features * rank, width=width, depth=depth, activation=activation, factorized=factorized,
                generator=generator, dtype=dtype, device=device,
            )
            for _ in range(in_features)
        )  # fmt: skip

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        z: Any = self.rescale(x)
        product = self.bodies[0](z[..., :1])
        for j, body in enumerate(self.bodies[1:], start=1):
            product = product * body(z[..., j : j + 1])
        return product.reshape(*product.shape[:-1], self.out_features, self.rank).sum(-1)

    def on_grid(
        self, axes: Sequence[Float[Tensor, " _"]], orders: Sequence[int] | None = None
    ) -> Float[Tensor, "*grid m"]:
        """Evaluate the fields, or one of their derivatives, on the tensor grid of some axes.

        ``d^k u / dx^k = sum_r prod_j f_jr^(k_j)(x_j)``, the derivative of each factor by a jet in one coordinate.

        Args:
            axes: Values of each coordinate, in order.
            orders: Order of differentiation by each coordinate; none by default.

        Returns:
            Values at ``(axes[0][i], axes[1][j], ...)``, fields last; differentiable by the network's parameters.

        Raises:
            ConfigError: If axes or orders do not fit the coordinates.

        Cost: one pass through each perceptron with as many points as its axis has, and ``O(m r)`` for each point of
        the grid.

        >>> net = SPINN(2, 1, width=8, depth=1, rank=4, dtype=torch.float64)
        >>> x, y = torch.rand(3, dtype=torch.float64), torch.rand(4, dtype=torch.float64)
        >>> laplacian = net.on_grid([x, y], (2, 0)) + net.on_grid([x, y], (0, 2))
        >>> laplacian.shape
        torch.Size([3, 4, 1])
        """
        d = len(self.bodies)
        wanted = (0,) * d if orders is None else tuple(orders)
        _check_grid(axes, wanted, d)
        operands: list[Any] = []
        for j, (axis, order) in enumerate(zip(axes, wanted, strict=True)):
            operands += [self._factor(j, axis, order), [j, d, d + 1]]
        return torch.einsum(*operands, [*range(d), d])

    def _factor(self, j: int, axis: Float[Tensor, " k"], order: int) -> Float[Tensor, "k m r"]:
        """Derivative of the factors of one coordinate at the values of an axis."""
        columns = len(self.bodies)

        def function(x: Any) -> Any:
            # the map of the inputs takes all columns; it acts on each by itself
            return self.bodies[j](self.rescale(x.expand(-1, columns))[..., j : j + 1])

        x = axis[:, None]
        values = function(x) if order == 0 else jet(function, x, torch.ones_like(x[:1]), order)[order, 0]
        return values.reshape(len(axis), self.out_features, self.rank)


@dataclass(frozen=True)
class SPINNConfig:
    """Configuration of :class:`SPINN`.

    Attributes:
        rank: Number of products that are summed.
        width: Size of every hidden layer of each coordinate's perceptron.
        depth: Number of hidden layers of each coordinate's perceptron.
        activation: Name of the activation.
        factorized: Whether weights are trained as a scale times a direction.

    Raises:
        ConfigError: If a value is out of range.

    >>> len(SPINNConfig(rank=8, width=16, depth=2).build(3, 1).bodies)
    3
    """

    rank: int = 32
    width: int = 64
    depth: int = 4
    activation: str = "tanh"
    factorized: bool = False

    def __post_init__(self) -> None:
        require_count("SPINNConfig", "rank", self.rank, "Use 32.")
        layer_sizes("SPINNConfig", self.width, self.depth, ())
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
    ) -> SPINN:
        """Make the network; see :meth:`NetworkConfig.build`."""
        return SPINN(
            in_features,
            out_features,
            rank=self.rank,
            width=self.width,
            depth=self.depth,
            activation=self.activation,
            factorized=self.factorized,
            input_range=input_range,
            generator=generator,
            dtype=dtype,
            device=device,
        )


def _check_grid(axes: Sequence[Tensor], orders: Sequence[int], d: int) -> None:
    if len(axes) != d or any(axis.ndim != 1 for axis in axes):
        shapes = [tuple(axis.shape) for axis in axes]
        raise ConfigError(f"axes have the shapes {shapes}; expected one vector for each of {d} coordinates")
    if len(orders) != d or any(not isinstance(order, int) or order < 0 for order in orders):
        raise ConfigError(f"orders are {tuple(orders)}; expected {d} whole numbers of at least 0, one a coordinate")
