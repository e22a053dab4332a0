"""A first layer for millions of coordinates, split over processes by its columns."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from ..errors import ConfigError
from ..jets import Jet
from ..typing import Float, Int, Tensor
from .columns import Columns
from .reduction import sum_over

__all__ = ["ColumnParallelLinear"]


class ColumnParallelLinear(nn.Module):
    """Linear layer ``x W^T + b`` of which every process holds some columns of W.

    Each multiplies its own columns of the points and of the directions; one sum over the processes gives the layer's
    value and all coefficients of a jet, the same on all of them. The bias is added once, and is a parameter that all
    have, like those of the layers behind. Structured directions stay so: an axis costs one column on the process that
    has it. Alone, this is ``torch.nn.functional.linear``.

    Gradients are reduced by ``reduce_gradients(network, mesh)``, also on a single data rank: those of the weight come
    with the factor that :func:`sum_over` brings. What a step works out for each weight by itself (SGD, Adam) is right
    then; norms and products over all parameters have to be summed over the column ranks by ``mesh.column``.

    ``state_dict`` holds this process's columns as ``weight`` (out, width), the whole ``bias``, and the place of the
    columns, so that those of another process are refused. Each column rank saves a file of its own, and the number of
    column ranks stays.

    Args:
        columns: This process's columns, such as ``Columns(d, mesh.column)``.
        out_features: Number of outputs.
        bias: Whether a constant is added; it starts at zero.
        generator: Source of the weights, in the same state on all processes; torch's own if None. They are normal with
            variance ``2 / (in + out)``, and the same whatever the number of processes.
        dtype: Floating type; torch's default if None.
        device: Device.

    Raises:
        ConfigError: If there are no outputs.

    Cost: a product (n, d / P) x (d / P, h), and one all-reduce of (n, h) for each channel, of (h,) where all points
    share a direction.

    Ref: Glorot, Bengio, *Understanding the difficulty of training deep feedforward neural networks*, 2010, eq. (12).

    >>> layer = ColumnParallelLinear(Columns(1000), 8, generator=torch.Generator().manual_seed(0))
    >>> layer(torch.zeros(3, 1000)).shape, layer.weight.shape
    (torch.Size([3, 8]), torch.Size([8, 1000]))
    """

    def __init__(
        self,
        columns: Columns,
        out_features: int,
        *,
        bias: bool = True,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        if out_features < 1:
            raise ConfigError(f"ColumnParallelLinear needs at least one output; got out_features={out_features}")
        self.columns, self.out_features = columns, out_features
        dtype = torch.get_default_dtype() if dtype is None else dtype
        device = "cpu" if device is None else device
        weight = columns.normal(out_features, generator or torch.default_generator, dtype, device)
        self.weight = nn.Parameter(weight.mul_(math.sqrt(2.0 / (columns.d + out_features))))
        self.bias = nn.Parameter(torch.zeros(out_features, dtype=dtype, device=device)) if bias else None

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n h"] | Jet:
        """Evaluate at points, or at jets of them, with all columns or this process's alone."""
        own = self.columns.of(x)
        if self.columns.axis.group is None:
            return F.linear(own, self.weight, self.bias)  # type: ignore[arg-type]
        y = sum_over(F.linear(own, self.weight), self.columns.axis)  # type: ignore[arg-type]
        return y if self.bias is None else y + self.bias

    def get_extra_state(self) -> Int[Tensor, "3"]:
        """Return the number of coordinates, and the first and the last, exclusive, of this process."""
        return torch.tensor([self.columns.d, self.columns.first, self.columns.last])

    def set_extra_state(self, state: Int[Tensor, "3"]) -> None:
        """Compare with the columns of a state.

        Raises:
            ConfigError: If they are not those of this process.
        """
        d, first, last = (int(number) for number in state)
        if (d, first, last) != (self.columns.d, self.columns.first, self.columns.last):
            raise ConfigError(
                f"the state has columns {first} to {last - 1} of {d}, this process {self.columns.first} to "
                f"{self.columns.last - 1} of {self.columns.d}; load the file of the same rank of as many column ranks"
            )

    def extra_repr(self) -> str:
        """Sizes, and the columns that are here."""
        return (
            f"in_features={self.columns.d}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"columns={self.columns.first}:{self.columns.last}"
        )
