"""Call a user's function with the coordinates that it names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import ConfigError, unknown
from ..typing import Tensor

__all__ = ["call_with_names"]


def call_with_names(function: Callable[..., Any] | Tensor | float | int, values: Mapping[str, Any]) -> Any:
    """Call ``function`` with those of ``values`` that its arguments name; a number stands for itself.

    Arguments with a default may be missing; ``**others`` receives all that is left. A function without a signature,
    such as ``torch.sin``, is called with the only value, if there is only one.

    Args:
        function: A number or tensor, or a function such as ``lambda x, t: torch.sin(x) * t``.
        values: Coordinates and parameters by name: tensors, jets or expressions.

    Raises:
        ConfigError: If an argument without a default names none of them.

    >>> call_with_names(lambda y, x: x - y, {"x": 3.0, "y": 1.0})
    2.0
    """
    if not callable(function):
        return function
    try:
        signature = inspect.signature(function)
    except ValueError:
        return _call_without_signature(function, values)
    unnamed, named = [], {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            named.update({key: value for key, value in values.items() if key not in signature.parameters})
        elif name not in values:
            if parameter.default is parameter.empty:
                raise ConfigError(unknown("argument", name, values, _name(function)))
        elif parameter.kind is parameter.POSITIONAL_ONLY:
            unnamed.append(values[name])
        else:
            named[name] = values[name]
    return function(*unnamed, **named)


def _call_without_signature(function: Callable[..., Any], values: Mapping[str, Any]) -> Any:
    if len(values) != 1:
        raise ConfigError(
            f"{_name(function)} does not name its arguments; write it as lambda {', '.join(values)}: ... "
            "with those that it needs"
        )
    return function(*values.values())


def _name(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    return "a function of the coordinates" if name == "<lambda>" else f"the function {name}()"
