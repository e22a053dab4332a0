"""A problem: an equation on a domain, with conditions, unknown parameters and a reference solution."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .constraints import Condition
from .data import Domain
from .errors import ConfigError, unknown
from .pde import Equation, Frame, Recorded, Unknown
from .typing import Tensor

__all__ = ["Predictor", "Problem"]

Reference = Callable[..., Any]

Predictor = Callable[[Tensor], Any]
"""Points (n, d) to values (n,) of the first field, or to a mapping from field to values."""

_DTYPES = ("float32", "float64")


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything that defines a solution, and nothing about how it is found.

    Args:
        equation: Residual over named fields.
        domain: Region of the coordinates.
        conditions: Initial, boundary, integral conditions and observations.
        parameters: Further parameters, used by conditions: numbers or :class:`Unknown`.
        reference: Known solution for error reports: called with named coordinates, ``reference(x, t)``, it returns
            the field, or a mapping from field to values.
        name: Name in logs and summaries.
        network: Suggested network, as keyword arguments of the chosen operator. Small ones first: a dense curvature
            method does more in a given time for 32 x 3 than for 64 x 4.
        points: Suggested number of collocation points in the interior.
        boundary_points: Suggested number of points for each condition.
        constraint: Suggested way to impose the conditions: ``"soft"`` or ``"hard"``.
        condition_weight: Suggested weight of each soft condition against the equation.
        seconds: Suggested time of training on two CPU cores.
        steps: Suggested number of steps where directions are drawn at random; takes the place of `seconds` then.
        windows: Suggested windows of time, one after the other: more than one where early errors grow so fast that all
            times at once are never solved.
        harmonics: Suggested sines and cosines for each periodic coordinate.
        dtype: Suggested precision where directions are drawn at random, whose noise is far above that of ``"float32"``.
            Elsewhere curvature methods are at work, which want float64.
        trivial: Makes predictors without a network, which errors in many dimensions have to be compared with: called
            with points (k, d) that they may be fitted to, it returns them by name.

    Raises:
        ConfigError: If names in conditions, domain and equation do not fit, or a condition has no points.
    """

    equation: Equation
    domain: Domain
    conditions: Sequence[Condition] = ()
    parameters: Mapping[str, float | Unknown] = field(default_factory=dict)
    reference: Reference | None = None
    name: str = "problem"
    network: Mapping[str, Any] = field(default_factory=lambda: {"width": 32, "depth": 3})
    points: int = 2000
    boundary_points: int = 200
    constraint: str = "soft"
    condition_weight: float = 1.0
    seconds: float = 120.0
    steps: int | None = None
    windows: int = 1
    harmonics: int = 1
    dtype: str = "float64"
    trivial: Callable[[Tensor], Mapping[str, Predictor]] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.equation, Equation):
            raise ConfigError(f"equation must be an instance of Equation, such as Burgers(); got {self.equation!r}")
        if not isinstance(self.domain, Domain):
            raise ConfigError(f"domain must be a Domain, such as Interval(0, 1) * Time(0, 1); got {self.domain!r}")
        if isinstance(self.conditions, Condition):
            raise ConfigError(f'conditions must be a list; got the condition "{self.conditions.name}" alone')
        if self.dtype not in _DTYPES:
            raise ConfigError(unknown("dtype", self.dtype, _DTYPES, "the problem"))
        for name in ("windows", "harmonics"):
            value = getattr(self, name)
            if not (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
                raise ConfigError(f"{name} of a problem must be a positive whole number; got {value!r}")
        seen: set[str] = set()
        for condition in self.conditions:
            if not isinstance(condition, Condition):
                raise ConfigError(f"conditions must be conditions, such as Dirichlet(u=0.0); got {condition!r}")
            condition.check(self.domain)
            if condition.name in seen or condition.name == "equation":
                raise ConfigError(f'two conditions are named "{condition.name}"; give one of them name="..."')
            seen.add(condition.name)
        used = {name for recorded in self.record().values() for name in recorded.parameters}
        for name in self.parameters:
            if name not in used and name not in self.domain.coords:
                raise ConfigError(
                    f'the parameter "{name}" stands neither in the equation nor in a condition: '
                    + unknown("parameter", name, used, "the problem")
                )

    @cached_property
    def frame(self) -> Frame:
        """Names in use, the extra parameters among them."""
        frame = self.equation.frame(self.domain.coords)
        extra = tuple(name for name in self.parameters if name not in frame.parameters)
        return Frame(frame.coords, frame.fields, frame.space, frame.time, (*frame.parameters, *extra))

    @property
    def fields(self) -> tuple[str, ...]:
        """Unknown functions."""
        return tuple(self.equation.fields)

    @property
    def outputs(self) -> tuple[str, ...]:
        """What a solution reports: the unknown functions, each chosen by region where regions have their own."""
        return self.equation.outputs

    @property
    def all_parameters(self) -> dict[str, float | Unknown]:
        """Parameters of the equation and of the conditions; those that are coordinates of the domain left out."""
        merged = {**self.equation.parameters(), **self.parameters}
        return {name: value for name, value in merged.items() if name not in self.domain.coords}

    def record(self) -> dict[str, Recorded]:
        """Record the equation and every condition."""
        return dict(self._recorded)

    @cached_property
    def _recorded(self) -> dict[str, Recorded]:
        from .pde import record

        frame = self.frame
        recorded = {"equation": record(self.equation.residual, frame)}
        for condition in self.conditions:
            recorded[condition.name] = condition.expressions(frame)
        return recorded

    def describe(self) -> str:
        """Write the residuals and the derivatives that they need."""
        return "\n".join(f"[{name}]\n{recorded.describe()}" for name, recorded in self.record().items())
