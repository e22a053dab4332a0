"""Activation functions by name. Each has a Taylor rule, so that jets pass through it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ..errors import ConfigError, unknown

__all__ = ["ACTIVATIONS", "Activation", "activation"]

Activation = Callable[[Any], Any]

ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "cos": torch.cos,
        "elu": F.elu,
        "gelu": F.gelu,
        "leaky_relu": F.leaky_relu,
        "mish": F.mish,
        "relu": F.relu,
        "sigmoid": torch.sigmoid,
        "silu": F.silu,
        "sin": torch.sin,
        "softplus": F.softplus,
        "swish": F.silu,
        "tanh": torch.tanh,
    }
)
"""Name to function. ``relu`` and ``leaky_relu`` are piecewise linear and ``elu`` has a kink in its slope: they serve
operators learned from data, and cannot fit an equation of second order."""


def activation(name: str) -> Activation:
    """Look up an activation function.

    Raises:
        ConfigError: If there is none of that name.

    >>> activation("tanh") is torch.tanh
    True
    >>> activation("tahn")
    Traceback (most recent call last):
    kjet.errors.ConfigError: unknown activation "tahn"; it has cos, elu, gelu, leaky_relu, mish, relu, sigmoid, silu, \
sin, softplus, swish, tanh. Did you mean "tanh"?
    """
    if name not in ACTIVATIONS:
        raise ConfigError(unknown("activation", name, ACTIVATIONS))
    return ACTIVATIONS[name]
