"""Linear layers with a stated initial law, and the fixed map of the inputs to the unit box.

Weights are drawn in float64 from a `torch.Generator` and then rounded, so that a seed gives the same network, up to
rounding, for every floating type and device.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ..errors import ConfigError
from ..jets import Jet
from ..typing import Float, Tensor
from .config import check_scale

__all__ = ["Rescale", "dense", "glorot", "normal", "rescale", "uniform"]


def normal(
    *shape: int, generator: torch.Generator | None = None, device: torch.device | str | None = None
) -> Float[Tensor, "..."]:
    """Draw standard normal numbers in float64 on the generator's device, or on `device` without a generator."""
    place = device if generator is None else generator.device
    return torch.randn(*shape, generator=generator, dtype=torch.float64, device=place)


def uniform(
    *shape: int, bound: float, generator: torch.Generator | None = None, device: torch.device | str | None = None
) -> Float[Tensor, "..."]:
    """Draw numbers uniform in ``[-bound, bound)`` in float64, placed as by :func:`normal`."""
    place = device if generator is None else generator.device
    return bound * (2 * torch.rand(*shape, generator=generator, dtype=torch.float64, device=place) - 1)


def dense(
    weight: Float[Tensor, "o i"],
    bias: Float[Tensor, " o"] | None = None,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> nn.Linear:
    """Make a linear layer ``x W^T + b`` with these values; no bias given means a trained bias that starts at zero.

    Touches no random number generator.

    >>> dense(torch.eye(2))(torch.tensor([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """
    rows, columns = weight.shape
    layer = nn.Linear(columns, rows, dtype=dtype, device="meta").to_empty(device=device or "cpu")
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is None:
            layer.bias.zero_()
        else:
            layer.bias.copy_(bias)
    return layer


def glorot(
    in_features: int,
    out_features: int,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> nn.Linear:
    """Make a linear layer with weights of variance ``2 / (in + out)``, normal, and zero biases.

    Ref: Glorot, Bengio, *Understanding the difficulty of training deep feedforward neural networks*, 2010, eq. (12).

    >>> glorot(2, 3, generator=torch.Generator().manual_seed(0))
    Linear(in_features=2, out_features=3, bias=True)
    """
    scale = math.sqrt(2.0 / (in_features + out_features))
    weight = scale * normal(out_features, in_features, generator=generator, device=device)
    return dense(weight, dtype=dtype, device=device)


class Rescale(nn.Module):
    """Map a box to ``[-1, 1]^d``: ``(x - centre) / half``, by fixed buffers.

    Args:
        input_range: Lower and upper bound of each coordinate.
        dtype: Floating type of the buffers.
        device: Device of the buffers.

    Raises:
        ConfigError: If the range is not of shape (d, 2), not finite or empty.

    >>> Rescale(torch.tensor([[0.0, 10.0]]))(torch.tensor([[0.0], [5.0], [10.0]])).flatten().tolist()
    [-1.0, 0.0, 1.0]
    """

    centre: Tensor
    inverse: Tensor

    def __init__(
        self,
        input_range: Float[Tensor, "d 2"],
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        low, high = _checked(input_range).unbind(-1)
        kind = torch.get_default_dtype() if dtype is None else dtype
        self.register_buffer("centre", (0.5 * (low + high)).to(kind).to(device))
        self.register_buffer("inverse", (2.0 / (high - low)).to(kind).to(device))

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n d"] | Jet:
        """Map points, or jets of them."""
        return torch.sub(x, self.centre) * self.inverse  # type: ignore[arg-type]


def rescale(
    input_range: Float[Tensor, "d 2"] | None,
    in_features: int,
    *,
    scale: float = 1.0,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> nn.Module:
    """Return the map from a box to ``scale [-1, 1]^d``, or the identity where none is needed.

    Raises:
        ConfigError: If the range does not have one row for each of `in_features` inputs, or is empty, or the scale is
            not a positive number.

    >>> rescale(torch.tensor([[-1.0, 1.0]]), 1), rescale(None, 3)
    (Identity(), Identity())
    >>> rescale(torch.tensor([[0.0, 4.0]]), 1, scale=10.0)(torch.tensor([[4.0]])).item()
    10.0
    """
    check_scale("rescale", "input_scale", scale)
    if input_range is None:
        if scale == 1:
            return nn.Identity()
        input_range = torch.tensor([-1.0, 1.0], dtype=torch.float64).expand(in_features, 2)
    box = _checked(input_range)
    if box.shape[0] != in_features:
        raise ConfigError(
            f"input_range bounds {box.shape[0]} inputs, but the network takes {in_features}; "
            "give one row (low, high) for each"
        )
    if scale != 1:
        middle, half = 0.5 * box.sum(-1, keepdim=True), 0.5 * (box[:, 1:] - box[:, :1])
        box = torch.cat([middle - half / scale, middle + half / scale], dim=-1)
    if bool((box == box.new_tensor([-1.0, 1.0])).all()):
        return nn.Identity()
    return Rescale(box, dtype=dtype, device=device)


def _checked(input_range: Tensor) -> Tensor:
    box = torch.as_tensor(input_range).detach().to(torch.float64)
    if box.ndim != 2 or box.shape[-1] != 2:
        raise ConfigError(
            f"input_range has shape {tuple(box.shape)}; expected (d, 2), one row (low, high) for each input"
        )
    valid = torch.isfinite(box).all(-1) & (box[:, 0] < box[:, 1])
    if not bool(valid.all()):
        row = int((~valid).nonzero()[0])
        raise ConfigError(
            f"input_range of input {row} is {box[row].tolist()}; expected finite bounds with low < high. "
            "Give the bounding box of the points"
        )
    return box
