"""Functions of all coordinates at once, for equations in too many dimensions to pass coordinates by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from ..errors import ConfigError, JetRuleError, unknown
from ..jets import Jet
from ..typing import Float, Tensor
from .expression import Apply, Coordinate, Expression, Frame, Number

__all__ = ["PointFunction"]


class PointFunction:
    """A function of points (n, d) that takes the place of one of named coordinates, as coefficient or reference.

    A residual that is recorded with it holds one node that reads the points as they are: nothing is done coordinate by
    coordinate, neither on recording nor when the residual is evaluated. Called with named coordinates, as conditions
    and references are, it stacks them first, which costs O(d) operations in Python.

    Args:
        function: Points (n, d), or jets of them, to values (n,).
        coords: Names of the columns that it takes, in order.
        name: What it is called in the description of an equation.
        taylor: Whether it is built from operations that have a Taylor rule. If not, its derivatives are taken by nested
            reverse mode; needed only where a residual is differentiated, as in :class:`GradientEnhanced`.

    Raises:
        ConfigError: When recorded or called, if a coordinate is missing.

    Cost: that of the function.

    >>> from kjet.pde import Poisson
    >>> names = ("x1", "x2", "x3")
    >>> f = PointFunction(lambda x: x.square().sum(-1), names, name="f")
    >>> f.at(torch.ones(2, 3)), f(**{name: torch.ones(2) for name in names})
    (tensor([3., 3.]), tensor([3., 3.]))
    >>> Poisson(coords=names, source=f).record().describe().splitlines()[0]
    'residual: -coefficient (u_x1x1 + u_x2x2 + u_x3x3) - f(x) = 0'
    """

    def __init__(
        self, function: Callable[[Any], Any], coords: Sequence[str], *, name: str = "f", taylor: bool = True
    ) -> None:
        self.function, self.coords, self.taylor = function, tuple(coords), taylor
        self.__name__ = name

    def at(self, x: Float[Tensor, "n d"] | Jet) -> Float[Tensor, " n"] | Jet:
        """Evaluate at points, or at jets of them, whose columns are ``coords``."""
        if isinstance(x, Jet) and not self.taylor:
            return _along(self.function, x)
        return self.function(x)

    def __call__(self, **columns: Any) -> Any:
        """Evaluate at coordinates by name; other names are left out."""
        missing = [name for name in self.coords if name not in columns]
        if missing:
            raise ConfigError(unknown("coordinate", missing[0], columns, f"the function {self.__name__}"))
        given = [columns[name] for name in self.coords]
        if any(isinstance(column, Expression) for column in given):
            return self.record(_common_frame(self, columns))
        return self.at(_stacked(given))

    def record(self, frame: Frame) -> Expression:
        """Return the node that stands for the values at the points.

        Raises:
            ConfigError: If the frame lacks one of the coordinates.
        """
        columns = _columns(self.coords, frame)

        def values(x: Any) -> Any:
            return self.at(x if columns is None else x[..., columns])

        values.__name__ = self.__name__
        return Apply(values, (_Points(frame),), {}, frame)


class _Points(Coordinate):
    """All coordinates of the points at once (n, d); the derivative along axis i is the unit vector of that axis."""

    def __init__(self, frame: Frame) -> None:
        self._name, self._axis, self._frame = "x", slice(None), frame  # type: ignore[assignment]
        self._derivatives = _UnitVectors(frame)


class _UnitVectors(dict[int, Expression]):
    """Derivatives of the points by axis, made when asked for: all of them would take d^2 numbers."""

    def __init__(self, frame: Frame) -> None:
        super().__init__()
        self.frame = frame

    def __contains__(self, axis: object) -> bool:
        return True

    def __missing__(self, axis: int) -> Expression:
        vector = torch.zeros(self.frame.d, dtype=torch.float64)
        vector[axis] = 1.0
        return Number(vector, self.frame)


def _common_frame(function: PointFunction, columns: Mapping[str, Any]) -> Frame:
    for name in function.coords:
        value = columns[name]
        if not isinstance(value, Coordinate) or value._name != name:
            raise ConfigError(
                f'the function {function.__name__} of all coordinates takes the coordinate {name} itself; got "{value}"'
            )
    return columns[function.coords[0]]._frame


def _columns(coords: tuple[str, ...], frame: Frame) -> slice | Tensor | None:
    """Where the coordinates stand among those of the frame; None if they are all of them."""
    if coords == frame.coords:
        return None
    if coords == frame.coords[: len(coords)]:
        return slice(len(coords))
    places = {name: i for i, name in enumerate(frame.coords)}
    for name in coords:
        if name not in places:
            raise ConfigError(unknown("coordinate", name, frame.coords, "the equation"))
    return torch.tensor([places[name] for name in coords])


def _stacked(columns: Sequence[Any]) -> Any:
    """Put columns beside each other; numbers are repeated."""
    like: Any = next((c for c in columns if isinstance(c, Tensor | Jet) and c.ndim), None)
    if like is None:
        return torch.stack([torch.as_tensor(c, dtype=torch.float64) for c in columns], -1)
    full: Any = [c if isinstance(c, Tensor | Jet) and c.ndim else torch.full_like(like, float(c)) for c in columns]
    return torch.stack(full, -1)


def _along(function: Callable[[Tensor], Tensor], x: Jet) -> Jet:
    """Taylor coefficients of ``f(x(t))`` by reverse mode in t, again and again: for one or two orders."""
    layout = x.layout
    if any(weights is not None for weights in layout.weights) or len(set(layout.kept)) > 1:
        raise JetRuleError("a function without Taylor rules takes jets of one order, without sums; pass taylor=True")
    rows = [x.row(k) for k in range(1, layout.order + 1)]
    found = [_series(function, x.primal, [None if c is None else c[r] for c in rows]) for r in range(layout.kept[0])]
    orders = [torch.stack([series[k] for series in found]) for k in range(1, layout.order + 1)]
    return Jet([found[0][0], *orders], layout)


def _series(function: Callable[[Tensor], Tensor], x: Tensor, steps: Sequence[Tensor | None]) -> list[Tensor]:
    with torch.enable_grad():
        t = x.new_zeros(x.shape[:-1]).requires_grad_()
        moved = x
        for k, step in enumerate(steps, start=1):
            moved = moved if step is None else moved + t[..., None] ** k * step
        values = [function(moved)]
        for _ in steps:
            values.append(_slope(values[-1], t))
    return [value.detach() / math.factorial(k) for k, value in enumerate(values)]


def _slope(value: Tensor, t: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(value)
    return torch.autograd.grad(value.sum(), t, create_graph=True, materialize_grads=True)[0]
