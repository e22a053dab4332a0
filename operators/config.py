"""What every network configuration offers, and the checks that they share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import nn

from ..errors import ConfigError
from ..typing import Float, Tensor

__all__ = ["NetworkConfig", "check_sizes", "layer_sizes", "require", "require_count"]


class NetworkConfig(Protocol):
    """A frozen description of a network: plain values that can be stored, compared and read from a file."""

    def build(
        self,
        in_features: int,
        out_features: int,
        *,
        input_range: Float[Tensor, "d 2"] | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> nn.Module:
        """Make the network, drawing its weights from the generator.

        Args:
            in_features: Number of input coordinates d.
            out_features: Number of fields m.
            input_range: Lower and upper bound of each input, mapped to [-1, 1]; None leaves inputs as they are.
            generator: Source of all randomness; torch's own if None.
            dtype: Floating type of parameters and buffers; torch's default if None.
            device: Device of parameters and buffers.
        """
        ...


def require(valid: bool, owner: str, name: str, value: Any, expected: str, do: str) -> None:
    """Raise a ConfigError that says what was given, what was expected and what to do, unless `valid`.

    >>> require(False, "MLP", "width", 0, "a positive integer", "Use 64.")
    Traceback (most recent call last):
    kjet.errors.ConfigError: MLP: width = 0; expected a positive integer. Use 64.
    """
    if not valid:
        raise ConfigError(f"{owner}: {name} = {value!r}; expected {expected}. {do}")


def require_count(owner: str, name: str, value: Any, do: str) -> None:
    """Raise a ConfigError unless `value` is a positive integer."""
    require(_is_count(value), owner, name, value, "a positive integer", do)


def layer_sizes(owner: str, width: int, depth: int, hidden: Sequence[int]) -> tuple[int, ...]:
    """Return the sizes of the hidden layers: `hidden`, or `depth` layers of `width` where it is empty.

    Raises:
        ConfigError: If a size or the depth is not a positive integer.

    >>> layer_sizes("MLP", 32, 2, []), layer_sizes("MLP", 32, 2, [64, 48, 48])
    ((32, 32), (64, 48, 48))
    """
    require_count(owner, "width", width, "Use 64.")
    require_count(owner, "depth", depth, "It counts the hidden layers; use 4.")
    valid = all(_is_count(size) for size in hidden)
    require(valid, owner, "hidden", list(hidden), "positive integers", "Use [64, 64], or [] for width and depth.")
    return tuple(hidden) or (width,) * depth


def check_scale(owner: str, name: str, scale: float) -> None:
    """Raise a ConfigError unless a factor of inputs or values is a positive number."""
    require(0 < scale < math.inf, owner, name, scale, "a positive number", "Use 1.")


def check_sizes(owner: str, in_features: int, out_features: int) -> None:
    """Raise a ConfigError unless inputs and outputs are positive in number."""
    require_count(owner, "in_features", in_features, "Give the number of coordinates.")
    require_count(owner, "out_features", out_features, "Give the number of fields.")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
