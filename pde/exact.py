"""Residuals of closed-form functions: manufactured solutions, and checks of exact ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor
from .coordinates import call_with_names
from .equation import Equation, Parameters, trace
from .expression import Coordinate, Expression, Frame, as_expression
from .parameter import Unknown
from .recording import Values, collect

__all__ = ["manufactured", "residual_of"]

Functions = Mapping[str, Callable[..., Any] | float]


def residual_of(
    equation: Equation,
    functions: Functions,
    x: Float[Tensor, "n d"],
    parameters: Mapping[str, Any] | None = None,
    coords: tuple[str, ...] | None = None,
) -> dict[str, Float[Tensor, " n"]]:
    """Evaluate the residuals of an equation on closed-form fields, through the plan that networks use.

    Args:
        equation: Equation.
        functions: For each field a number, or a function of coordinates and parameters by name, built from operations
            that have a Taylor rule.
        x: Points, their columns in the order of the coordinates.
        parameters: Values in place of the equation's own; those that are unknown take their first guess.
        coords: Coordinates of the points; by default the equation's.

    Returns:
        Values at the points by name of the residual.

    Raises:
        ConfigError: If a field has no function, or the points do not have one column for each coordinate.

    >>> from kjet.pde import Heat
    >>> mode = lambda x, t: torch.exp(-t) * torch.sin(x)
    >>> residual_of(Heat(), {"u": mode}, torch.tensor([[1.0, 0.5]]))["residual"].abs() < 1e-6
    tensor([True])
    """
    recorded = equation.record(coords)
    frame = recorded.frame
    _check_fields(functions, frame)
    if x.ndim != 2 or x.shape[1] != frame.d:
        raise ConfigError(
            f"points of shape {tuple(x.shape)} need one column for each of the coordinates {frame.coords}"
        )
    numbers = {**_numbers(equation), **(parameters or {})}

    def network(points: Any) -> Any:
        columns = {name: points[..., i] for i, name in enumerate(frame.coords)}
        names = {**numbers, **columns}
        values = [call_with_names(functions[name], names) for name in frame.fields]
        like = columns[frame.coords[0]]
        return torch.stack(
            [v if hasattr(v, "ndim") and v.ndim else torch.full_like(like, float(v)) for v in values], -1
        )

    fields = recorded.field_values(recorded.plan(network, x))
    return dict(zip(recorded.names, recorded(Values(x, fields, numbers)), strict=True))


def manufactured(equation: Equation, solution: Functions) -> dict[str, Callable[..., Any]]:
    """Residuals of chosen fields, as functions of the named coordinates.

    Subtracted from the equation's residuals they make the chosen fields the solution. In equations whose source stands
    on the right (:class:`Poisson`, :class:`Heat`, :class:`Wave`, ...) they are that source.

    Args:
        equation: Equation; parameters that are unknown take their first guess.
        solution: For each field a number, or a function of coordinates and parameters by name.

    Returns:
        Functions by name of the residual, that take tensors, or the coordinates of a residual while it is recorded.

    Raises:
        ConfigError: If a field has no function.

    >>> from kjet.pde import Poisson
    >>> wanted = {"u": lambda x, y: torch.sin(x) * y}
    >>> source = manufactured(Poisson(), wanted)["residual"]
    >>> source(x=torch.tensor([1.0]), y=torch.tensor([2.0])) / torch.sin(torch.tensor(1.0))
    tensor([2.])
    >>> residual_of(Poisson(source=source), wanted, torch.tensor([[1.0, 2.0]]))["residual"]
    tensor([0.])
    """
    recorded = equation.record()
    _check_fields(solution, recorded.frame)
    return {name: _forcing(equation, solution, name) for name in recorded.names}


def _forcing(equation: Equation, solution: Functions, name: str) -> Callable[..., Any]:
    signature = inspect.Signature(
        [inspect.Parameter(coord, inspect.Parameter.POSITIONAL_OR_KEYWORD) for coord in equation.coords]
    )

    def forcing(*args: Any, **kwargs: Any) -> Any:
        values = signature.bind(*args, **kwargs).arguments
        if any(isinstance(value, Expression) for value in values.values()):
            return _recorded_residual(equation, solution, values)[name]
        columns = torch.broadcast_tensors(*(torch.as_tensor(value) for value in values.values()))
        x = torch.stack([column.reshape(-1) for column in columns], -1)
        return residual_of(equation, solution, x)[name].reshape(columns[0].shape)

    forcing.__signature__ = signature  # type: ignore[attr-defined]
    forcing.__name__ = name
    return forcing


def _recorded_residual(equation: Equation, solution: Functions, values: Mapping[str, Any]) -> dict[str, Expression]:
    """Residuals as expressions of the coordinates of whatever is being recorded."""
    for name, value in values.items():
        if not isinstance(value, Coordinate) or value._name != name:
            raise ConfigError(f'a manufactured residual is a function of the coordinate {name} itself; got "{value}"')
    frame = next(iter(values.values()))._frame
    numbers = _numbers(equation)
    fields = [as_expression(call_with_names(solution[name], {**numbers, **values}), frame) for name in equation.fields]
    p = Parameters(frame, {**numbers, **equation.functions()})
    return collect(trace(equation.residual, fields, p), frame)


def _numbers(equation: Equation) -> dict[str, float]:
    return {
        name: value.initial if isinstance(value, Unknown) else value for name, value in equation.parameters().items()
    }


def _check_fields(functions: Functions, frame: Frame) -> None:
    for name in functions:
        if name not in frame.fields:
            raise ConfigError(unknown("field", name, frame.fields, "the equation"))
    for name in frame.fields:
        if name not in functions:
            raise ConfigError(f'field "{name}" needs a function, such as {{"{name}": lambda x, y: torch.sin(x) * y}}')
