"""Equations: residuals over named fields, recorded once."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, dataclass_transform

from ..errors import ConfigError, unknown
from .expression import Coordinate, Expression, Field, Frame, Parameter
from .parameter import Unknown
from .recording import Recorded, collect

__all__ = ["Equation", "Parameters", "record"]


class Parameters:
    """What a residual receives as ``p``: parameters and coordinates by name, ``p.nu``, ``p.x``."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def __getattr__(self, name: str) -> Expression:
        frame = self._frame
        if name in frame.coords:
            return Coordinate(name, frame)
        if name in frame.parameters:
            return Parameter(name, frame)
        if name.startswith("__"):
            raise AttributeError(name)
        raise ConfigError(unknown("parameter or coordinate", name, [*frame.parameters, *frame.coords], "this equation"))


@dataclass_transform(kw_only_default=True)
class Equation:
    """A partial differential equation: fields, coordinates, parameters and a residual that is zero on a solution.

    Subclasses name ``fields`` and ``coords`` and annotate their parameters, which become keyword arguments; a parameter
    may be given as a number or as :class:`Unknown`, to be found. A coordinate named ``t`` is time; the others, unless
    they are parameters, are space.

    >>> class Decay(Equation):
    ...     fields, coords = ("u",), ("t",)
    ...     rate: float = 2.0
    ...
    ...     def residual(self, u, p):
    ...         return u.t + p.rate * u
    >>> print(Decay().record().describe().splitlines()[0])
    residual: u_t + rate u = 0

    Raises:
        ConfigError: If a parameter is not finite, or the residual uses a name that does not exist.
    """

    fields: ClassVar[tuple[str, ...]] = ()
    coords: ClassVar[tuple[str, ...]] = ()
    time: ClassVar[str | None] = "t"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(kw_only=True, eq=False, repr=True)(cls)

    def __post_init__(self) -> None:
        if not self.fields or not self.coords:
            raise ConfigError(f"{type(self).__name__} must name its fields and coords, such as fields = ('u',)")
        for name, value in self.parameters().items():
            if not isinstance(value, Unknown) and not math.isfinite(value):
                raise ConfigError(f"parameter {name} of {type(self).__name__} is not finite; got {value}")

    def residual(self, *arguments: Any) -> Any:
        """Return one expression, a tuple or a dict of them; called with the fields in order, then parameters."""
        raise NotImplementedError(f"{type(self).__name__} must define residual(self, {', '.join(self.fields)}, p)")

    def parameters(self) -> dict[str, float | Unknown]:
        """Parameters by name: numbers, or unknowns."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in values.items() if isinstance(value, int | float | Unknown)}

    def frame(self, coords: tuple[str, ...] | None = None) -> Frame:
        """Names in use, over the coordinates of a domain, which may include some of the parameters.

        Raises:
            ConfigError: If the domain lacks a coordinate of the equation or has one too many.
        """
        given = tuple(coords or self.coords)
        parameters = self.parameters()
        for name in self.coords:
            if name not in given:
                raise ConfigError(unknown("coordinate", name, given, "the domain"))
        for name in given:
            if name not in self.coords and name not in parameters:
                options = [*self.coords, *parameters]
                raise ConfigError(
                    "the domain has a coordinate that the equation has not: "
                    + unknown("coordinate", name, options, type(self).__name__)
                )
        time = self.time if self.time in self.coords else None
        space = tuple(name for name in self.coords if name != time)
        return Frame(given, tuple(self.fields), space, time, tuple(name for name in parameters if name not in given))

    def record(self, coords: tuple[str, ...] | None = None) -> Recorded:
        """Run the residual on symbols and plan the derivatives that it asks for."""
        return record(self.residual, self.frame(coords))


def record(residual: Callable[..., Any], frame: Frame, extra: Mapping[str, Expression] | None = None) -> Recorded:
    """Record a function of the fields (and, if it takes one argument more, of the parameters).

    Args:
        residual: Called with a :class:`Field` for each field, then :class:`Parameters`.
        frame: Names in use.
        extra: Further expressions, passed by keyword.

    Raises:
        ConfigError: If the number of arguments does not fit.
    """
    arguments: list[Any] = [Field.of(name, frame) for name in frame.fields]
    named = dict(extra or {})
    signature = inspect.signature(residual)
    positional = [
        p for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in named
    ]  # fmt: skip
    variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    if variadic or len(positional) == len(arguments) + 1:
        arguments.append(Parameters(frame))
    elif len(positional) != len(arguments):
        raise ConfigError(
            f"the residual takes {len(positional)} arguments; expected the fields {', '.join(frame.fields)} "
            "and, optionally, the parameters p"
        )
    return Recorded(collect(residual(*arguments, **named), frame), frame)
