"""Equations: residuals over named fields, recorded once."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, dataclass_transform

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor
from .coordinates import call_with_names
from .expression import Coordinate, Expression, Field, Frame, Parameter, Vector, as_expression
from .parameter import Unknown
from .point_function import PointFunction
from .recording import Recorded, collect

__all__ = ["Coefficient", "Equation", "Parameters", "record", "trace"]

Coefficient = float | Unknown | Callable[..., Any]
"""A number, an unknown to be found, or a function of coordinates and parameters by name: ``lambda x, t: x * t``."""


class Parameters:
    """What a residual receives as ``p``: parameters and coordinates by name, ``p.nu``, ``p.x``.

    A parameter that was given as a function is its value at the points, and may be differentiated; one that was given
    as a tuple is a vector.

    Args:
        frame: Names in use.
        given: Functions of the named coordinates and parameters, numbers, or tuples of numbers, which take the place of
            the parameters of the same name.
    """

    def __init__(self, frame: Frame, given: Mapping[str, Any] | None = None) -> None:
        self._frame, self._given = frame, dict(given or {})
        self._known: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._known:
            self._known[name] = self._look_up(name)
        return self._known[name]

    def _look_up(self, name: str) -> Any:
        frame = self._frame
        if name in frame.coords:
            return Coordinate(name, frame)
        if name in self._given:
            return self._evaluate(self._given[name])
        actual = frame.parameter(name)
        if actual in frame.coords:  # a region's own parameter that is a coordinate of the domain
            return Coordinate(actual, frame)
        if actual in frame.parameters:
            return Parameter(actual, frame)
        available = (*frame.known_parameters, *frame.coords, *self._given)
        if f"{name}_0" in available:
            count = next(i for i in range(1, len(available) + 1) if f"{name}_{i}" not in available)
            return Vector(getattr(self, f"{name}_{i}") for i in range(count))
        raise ConfigError(unknown("parameter or coordinate", name, available, "this equation"))

    def _evaluate(self, value: Any) -> Any:
        if isinstance(value, PointFunction):
            return value.record(self._frame)
        if callable(value):
            numbers = [name for name, other in self._given.items() if not callable(other)]
            names = dict.fromkeys((*self._frame.coords, *self._frame.known_parameters, *numbers))
            value = call_with_names(value, {name: getattr(self, name) for name in names})
        if isinstance(value, tuple | list):
            return Vector(as_expression(part, self._frame) for part in value)
        return as_expression(value, self._frame)


@dataclass_transform(kw_only_default=True)
class Equation:
    """A partial differential equation: fields, coordinates, parameters and a residual that is zero on a solution.

    Subclasses name ``fields`` and ``coords`` and annotate their parameters, which become keyword arguments. A parameter
    may be given as a number, as :class:`Unknown`, to be found, as a tuple of these (a vector), or as a function of
    coordinates and other parameters by name, ``lambda x, y: 1 + x * y``. An annotated ``coords`` becomes an argument,
    too, for equations in any dimension. A coordinate named ``t`` is time; the others, unless they are parameters, are
    space.

    >>> class Decay(Equation):
    ...     fields, coords = ("u",), ("t",)
    ...     rate: float = 2.0
    ...
    ...     def residual(self, u, p):
    ...         return u.t + p.rate * u
    >>> print(Decay().record().describe().splitlines()[0])
    residual: u_t + rate u = 0

    Raises:
        ConfigError: If a parameter is not finite, names repeat, or the residual uses a name that does not exist.
    """

    fields: tuple[str, ...] = ()
    coords: tuple[str, ...] = ()
    time: ClassVar[str | None] = "t"

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(kw_only=True, eq=False, repr=True)(cls)

    def __post_init__(self) -> None:
        for what, names in (("fields", self.fields), ("coords", self.coords)):
            _check_names(type(self).__name__, what, names)
        for name, value in self.parameters().items():
            if not isinstance(value, Unknown) and not math.isfinite(value):
                raise ConfigError(f"parameter {name} of {type(self).__name__} is not finite; got {value}")

    def residual(self, *arguments: Any, **named: Any) -> Any:
        """Return one expression, a tuple or a dict of them; called with the fields in order, then parameters."""
        raise NotImplementedError(f"{type(self).__name__} must define residual(self, {', '.join(self.fields)}, p)")

    def parameters(self) -> dict[str, float | Unknown]:
        """Parameters by name: numbers, or unknowns; a tuple ``a`` gives ``a_0``, ``a_1`` and so on."""
        found: dict[str, float | Unknown] = {}
        for name, value in self._arguments().items():
            if _is_number(value):
                found[name] = value
            elif isinstance(value, tuple | list) and value and all(_is_number(part) for part in value):
                found.update({f"{name}_{i}": part for i, part in enumerate(value)})
        return found

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Parameters that were given as functions of the coordinates, by name."""
        return {name: value for name, value in self._arguments().items() if callable(value)}

    def _arguments(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # type: ignore[arg-type]

    def frame(self, coords: tuple[str, ...] | None = None) -> Frame:
        """Names in use, over the coordinates of a domain, which may include some of the parameters.

        Raises:
            ConfigError: If the domain lacks a coordinate of the equation or has one too many.
        """
        given = tuple(coords or self.coords)
        parameters = self.parameters()
        available, own = frozenset(given), frozenset(self.coords)  # there may be a million of them
        for name in self.coords:
            if name not in available:
                raise ConfigError(unknown("coordinate", name, given, "the domain"))
        for name in given:
            if name not in own and name not in parameters:
                options = [*self.coords, *parameters]
                raise ConfigError(
                    "the domain has a coordinate that the equation has not: "
                    + unknown("coordinate", name, options, type(self).__name__)
                )
        time = self.time if self.time in self.coords else None
        space = tuple(name for name in self.coords if name != time)
        return Frame(given, tuple(self.fields), space, time, tuple(name for name in parameters if name not in given))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of what a solution reports: the fields."""
        return tuple(self.fields)

    def report(self, x: Float[Tensor, "n d"], values: Float[Tensor, "n m"]) -> Float[Tensor, "n k"]:
        """Turn values of the fields at points into what a solution reports: the same."""
        return values

    def record(self, coords: tuple[str, ...] | None = None) -> Recorded:
        """Run the residual on symbols and plan the derivatives that it asks for."""
        return record(self.residual, self.frame(coords))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Unknown) and not isinstance(value, bool)


def _check_names(equation: str, what: str, names: Any) -> None:
    if not names:
        raise ConfigError(f"{equation} must name its fields and coords, such as fields = ('u',)")
    if isinstance(names, str) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ConfigError(f"{what} of {equation} must be a tuple of names, such as ('x', 't'); got {names!r}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{what} of {equation} must be different; got {names!r}")


def record(residual: Callable[..., Any], frame: Frame, extra: Mapping[str, Expression] | None = None) -> Recorded:
    """Record a function of the fields (and, if it takes one argument more, of the parameters).

    Args:
        residual: Called with a :class:`Field` for each field, then :class:`Parameters`.
        frame: Names in use.
        extra: Further expressions, passed by keyword.

    Raises:
        ConfigError: If the number of arguments does not fit.
    """
    fields = [Field.of(name, frame) for name in frame.known_fields]
    # An equation's own residual sees those of its parameters that are functions.
    owner = getattr(residual, "__self__", None)
    given = owner.functions() if isinstance(owner, Equation) else {}
    return Recorded(collect(trace(residual, fields, Parameters(frame, given), extra), frame), frame)


def trace(
    residual: Callable[..., Any],
    fields: list[Any],
    parameters: Parameters,
    extra: Mapping[str, Expression] | None = None,
) -> Any:
    """Call a residual on expressions, with parameters if it takes one argument more than there are fields.

    Raises:
        ConfigError: If the number of arguments does not fit.
    """
    named = dict(extra or {})
    signature = inspect.signature(residual)
    positional = [
        p for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in named
    ]  # fmt: skip
    variadic = any(p.kind is p.VAR_POSITIONAL for p in signature.parameters.values())
    if variadic or len(positional) == len(fields) + 1:
        return residual(*fields, parameters, **named)
    if len(positional) != len(fields):
        raise ConfigError(
            f"the residual takes {len(positional)} arguments; expected the fields "
            f"{', '.join(parameters._frame.known_fields)} and, optionally, the parameters p"
        )
    return residual(*fields, **named)
