"""Functions of named coordinates: boundary values, initial values, sources."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..errors import ConfigError, unknown
from ..pde import PointFunction
from ..typing import Tensor

__all__ = ["CoordinateFunction", "Value", "call_with_coordinates"]

Value = Callable[..., Any] | float | int | Tensor
"""A function whose arguments are named after coordinates, or a constant."""

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True, eq=False)
class CoordinateFunction:
    """A value whose arguments have been matched with the coordinates once, so that a call inspects nothing.

    Attributes:
        value: A callable, or a constant.
        names: Coordinates that the callable takes.
    """

    value: Value
    names: tuple[str, ...]

    @classmethod
    def of(cls, value: Value, coords: Iterable[str]) -> CoordinateFunction:
        """Match a value with the coordinates.

        A callable gets the coordinates that its signature names; arguments with a default that are no coordinates
        keep it, and ``**kwargs`` gets all coordinates. A number, or a tensor with one element, is a constant.

        Raises:
            ConfigError: If the value is no such thing, or needs an argument that is no coordinate.

        >>> CoordinateFunction.of(lambda t, nu=0.1: nu * t, ("x", "t")).names
        ('t',)
        >>> CoordinateFunction.of(lambda y: y, ("y1", "t"))
        Traceback (most recent call last):
        kjet.errors.ConfigError: the function <lambda> takes an argument that is no coordinate: \
unknown coordinate "y"; it has t, y1. Did you mean "y1"?
        """
        if callable(value):
            return cls(value, _arguments(value, tuple(coords)))
        if isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1):
            return cls(value if isinstance(value, int | float) else value.reshape(()), ())
        raise ConfigError(
            f"value {value!r} is neither a number nor a function of coordinates; "
            "give a number, or a function such as lambda x: torch.sin(x)"
        )

    def __call__(self, columns: Any) -> Any:
        """Evaluate on columns, each the points' values of one coordinate."""
        value: Any = self.value
        if not callable(value):
            return value
        if isinstance(value, PointFunction) and not isinstance(columns, Mapping):
            points = columns.points(value.coords)
            if points is not None:
                return value.at(points)
        return value(**{name: columns[name] for name in self.names})


def call_with_coordinates(function: Value, columns: Mapping[str, Any]) -> Any:
    """Call a function with the columns that its signature names; a constant is returned as it is.

    Args:
        function: Callable with arguments named after coordinates, such as ``lambda x, t: torch.sin(x) * t``.
        columns: Coordinate name to its values at the points, tensors or jets.

    Raises:
        ConfigError: If the function needs an argument that is no coordinate.

    >>> call_with_coordinates(lambda t, x: x - t, {"x": 3.0, "t": 1.0, "y": 0.0}), call_with_coordinates(2.0, {})
    (2.0, 2.0)
    """
    return CoordinateFunction.of(function, columns)(columns)


def _arguments(function: Callable[..., Any], coords: tuple[str, ...]) -> tuple[str, ...]:
    label = getattr(function, "__qualname__", type(function).__name__).rpartition(">.")[2]
    target = function.forward if isinstance(function, nn.Module) else function
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        raise ConfigError(
            f"the arguments of {label} cannot be read; wrap it, as in lambda {coords[0] if coords else 'x'}: "
            f"{label}({coords[0] if coords else 'x'})"
        ) from None
    fixed = set(function.keywords) if isinstance(function, functools.partial) else set()
    names = []
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            return tuple(name for name in coords if name not in fixed)
        if parameter.kind in _NAMED and parameter.name in coords and parameter.name not in fixed:
            names.append(parameter.name)
        elif parameter.default is inspect.Parameter.empty:
            _refuse(label, parameter, coords)
    return tuple(names)


def _refuse(label: str, parameter: inspect.Parameter, coords: tuple[str, ...]) -> None:
    if parameter.kind in _NAMED:
        what = f"the function {label} takes an argument that is no coordinate: "
        raise ConfigError(what + unknown("coordinate", parameter.name, coords))
    raise ConfigError(
        f'the function {label} takes "{parameter}" by position; name its arguments after coordinates '
        f"({', '.join(coords)}), as in lambda {coords[0] if coords else 'x'}: ..."
    )
