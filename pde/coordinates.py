"""Call a user's function with the coordinates that it names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError, unknown

__all__ = ["call_with_names"]


def call_with_names(function: Callable[..., Any] | float | int, values: Mapping[str, Any]) -> Any:
    """Call ``function`` with those of ``values`` that its arguments name; a number stands for itself.

    Args:
        function: A number, or a function such as ``lambda x, t: torch.sin(x) * t``.
        values: Coordinates and parameters by name: tensors, jets or expressions.

    Raises:
        ConfigError: If an argument without a default names none of them.

    >>> call_with_names(lambda y, x: x - y, {"x": 3.0, "y": 1.0})
    2.0
    """
    if not callable(function):
        return function
    arguments = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name in values:
            arguments[name] = values[name]
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            raise ConfigError(unknown("argument", name, values, "a function of the coordinates"))
    return function(**arguments)
