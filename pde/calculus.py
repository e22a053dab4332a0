"""Differential operators that read like mathematics: grad, div, curl, lap, bilap, advect, diffusion, dt and d."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConfigError
from ..jets import Derivative, Trace, Varying, quantity
from ._sums import balanced
from .expression import (
    Coordinate,
    Expression,
    Field,
    Frame,
    Number,
    Parameter,
    Product,
    Sum,
    Vector,
    differentiate,
)
from .totals import GradientProduct, VaryingSum, written_out

__all__ = ["advect", "bilap", "curl", "d", "diffusion", "div", "dt", "grad", "grad_dot", "grad_squared", "lap"]


def d(u: Any, *coords: str) -> Any:
    """Differentiate along named coordinates, in order: ``d(u, "x", "t")`` is ``u_xt``.

    Works on composites and, component by component, on vectors.

    Raises:
        ConfigError: If a coordinate does not exist.
    """
    if isinstance(u, Vector):
        return Vector(d(component, *coords) for component in u)
    result = _expression(u, "d")
    for name in coords:
        result = differentiate(result, result._frame.axis(name))
    return result


def dt(u: Any) -> Any:
    """Differentiate in time.

    Raises:
        ConfigError: If the equation has no time coordinate.
    """
    if isinstance(u, Vector):
        return Vector(dt(component) for component in u)
    time = _expression(u, "dt")._frame.time
    if time is None:
        raise ConfigError("dt() needs a time coordinate; name one coordinate of the equation t or set `time`")
    return d(u, time)


def grad(u: Any) -> Vector:
    """Spatial gradient of a scalar; the gradient of a vector is the matrix ``G_ij = d u_i / d x_j`` by rows."""
    if isinstance(u, Vector):
        return Vector(grad(component) for component in u)
    return Vector(d(u, name) for name in _space(_expression(u, "grad")))


def div(v: Any) -> Any:
    """Divergence of a vector, or of each row of a matrix.

    Raises:
        ConfigError: If the number of components differs from that of the spatial coordinates.
    """
    if not isinstance(v, Vector):
        v = Vector(v)
    if isinstance(v[0], Vector):
        return Vector(div(row) for row in v)
    frame = _frame(v)
    if len(v) != len(frame.space):
        raise ConfigError(f"div() takes {len(frame.space)} components (coordinates {frame.space}); got {len(v)}")
    terms = [
        d(component, name) for component, name in zip(v, frame.space, strict=True) if isinstance(component, Expression)
    ]
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


def curl(v: Any) -> Any:
    """Curl: a vector in 3D; in 2D the scalar ``v_x - u_y`` of a vector, or the vector ``(s_y, -s_x)`` of a scalar."""
    if isinstance(v, Expression):
        x, y = _planar(v._frame)
        return Vector((d(v, y), -d(v, x)))
    v = v if isinstance(v, Vector) else Vector(v)
    frame = _frame(v)
    if len(v) == 2:
        x, y = _planar(frame)
        return d(v[1], x) - d(v[0], y)
    if len(v) != 3 or len(frame.space) != 3:
        raise ConfigError(f"curl() takes 2 or 3 components in as many coordinates; got {len(v)} in {frame.space}")
    x, y, z = frame.space
    return Vector((d(v[2], y) - d(v[1], z), d(v[0], z) - d(v[2], x), d(v[1], x) - d(v[0], y)))


def lap(u: Any, weight: Callable[[Any], Any] | None = None, *, positive: bool = False) -> Any:
    """Laplacian over the spatial coordinates; with a weight ``sum_i a_i(x) u_ii``.

    Of a field it is one sum, kept by name whatever the number of coordinates: the Taylor pass collapses it, and an
    estimator may replace it.

    Args:
        u: A scalar, or a vector for that of its components.
        weight: Function of the spatial coordinates (n, p) with values a (n, p), or what broadcasts to them, such as
            ``torch.square``. A factor that all coordinates share, or that is trained, belongs before the sum.
        positive: Whether the weight is never negative, which takes half of the directions.

    >>> import torch
    >>> from kjet.pde import Frame, record
    >>> frame = Frame(("x", "y", "t"), ("u",), ("x", "y"), "t")
    >>> print(record(lambda u: dt(u) - lap(u, torch.square, positive=True), frame).describe().splitlines()[0])
    residual: u_t - sum_i square_i u_ii = 0
    """
    if isinstance(u, Vector):
        return Vector(lap(component, weight, positive=positive) for component in u)
    node = _expression(u, "lap")
    if weight is not None:
        return _varying(node, 2, weight, positive)
    if isinstance(node, Field):
        _space_of(node._frame)
        return node._apply(quantity({Trace(node._frame.space_axes): 1.0}))
    return div(grad(node))


def advect(velocity: Any, u: Any) -> Any:
    """``velocity . grad(u)`` over the spatial coordinates, the sum of ``a_i u_i``.

    Args:
        velocity: A vector of expressions; or a function of the spatial coordinates (n, p) with values (n, p), or what
            broadcasts to them. Of a field the latter is one derivative, along the velocity, whatever the number of
            coordinates, and never estimated.
        u: A scalar, or a vector for that of its components.

    >>> import torch
    >>> from kjet.pde import Frame, record
    >>> def spin(x):
    ...     return torch.stack([-x[..., 1], x[..., 0]], -1)
    >>> recorded = record(lambda u: dt(u) + advect(spin, u), Frame(("x", "y", "t"), ("u",), ("x", "y"), "t"))
    >>> print(recorded.describe().splitlines()[0])
    residual: u_t + sum_i spin_i u_i = 0
    """
    if isinstance(u, Vector):
        return Vector(advect(velocity, component) for component in u)
    node = _expression(u, "advect")
    return velocity @ grad(node) if isinstance(velocity, Vector) else _varying(node, 1, velocity, False)


def _varying(u: Expression, order: int, weight: Callable[[Any], Any], positive: bool) -> Expression:
    _space(u)
    wanted, scale = Varying(u._frame.space_axes, order, weight, positive), _multiple(u)
    if isinstance(u, Field) and scale:
        return scale * VaryingSum(u._name, wanted, u._frame)  # type: ignore[no-any-return]
    match u:
        case Sum():
            return _varying(u._left, order, weight, positive) + _varying(u._right, order, weight, positive)  # type: ignore
        case Product() if isinstance(u._left, Number | Parameter):
            return u._left * _varying(u._right, order, weight, positive)  # type: ignore[no-any-return]
        case Product() if isinstance(u._right, Number | Parameter):
            return u._right * _varying(u._left, order, weight, positive)  # type: ignore[no-any-return]
    return written_out(u, wanted)


def bilap(u: Any) -> Any:
    """Laplacian of the Laplacian over the spatial coordinates."""
    return lap(lap(u))


def grad_dot(u: Any, v: Any) -> Any:
    """``grad(u) . grad(v)`` over the spatial coordinates, the sum of ``u_i v_i``.

    Of two fields it is one sum, kept by name whatever the number of coordinates: it takes the first derivatives that a
    Laplacian in the same residual carries in any case, and an estimator may replace it. ``grad(u) @ grad(v)`` has the
    same value, from one expression for each coordinate, and is never estimated. Sums and products of fields and
    coordinates go by the product rule; anything else is written out.

    Args:
        u: A scalar.
        v: A scalar.
    """
    return _dot(_expression(u, "grad_dot"), _expression(v, "grad_dot"))


def grad_squared(u: Any) -> Any:
    """``|grad(u)|^2`` over the spatial coordinates, see :func:`grad_dot`."""
    return grad_dot(u, u)


def _dot(left: Expression, right: Expression) -> Expression:
    space = _space(left)
    scales = [_multiple(node) for node in (left, right)]
    if isinstance(left, Field) and isinstance(right, Field) and all(scales):
        return scales[0] * scales[1] * GradientProduct(left._name, right._name, left._frame)  # type: ignore[operator]
    for one, other in ((left, right), (right, left)):
        match one:
            case Number() | Parameter():
                return Number(0.0, one._frame)
            case Coordinate():
                return d(other, one._name) if one._name in space else Number(0.0, one._frame)  # type: ignore[no-any-return]
            case Sum():
                return _dot(one._left, other) + _dot(one._right, other)  # type: ignore[no-any-return]
            case Product():
                return one._left * _dot(one._right, other) + one._right * _dot(one._left, other)  # type: ignore[no-any-return]
    return balanced([a * b for a, b in zip(grad(left), grad(right), strict=True)])


def _multiple(node: Expression) -> float | None:
    """Coefficient of a field that is not differentiated."""
    terms = dict(node._terms) if isinstance(node, Field) else {}
    return terms.get(Derivative()) if len(terms) == 1 else None


def diffusion(a: Any, u: Any) -> Any:
    """``div(a grad u)`` as ``a lap(u) + grad(a) . grad(u)``, which keeps the Laplacian of a field one sum.

    Args:
        a: A number, a parameter or an expression, such as a coefficient that varies in space.
        u: A scalar.
    """
    if not isinstance(a, Expression):
        return a * lap(u)
    return a * lap(u) + grad(a) @ grad(u)


def _expression(u: Any, name: str) -> Expression:
    if not isinstance(u, Expression):
        raise ConfigError(f"{name}() takes a field or an expression of fields; got {u!r}")
    return u


def _frame(v: Vector) -> Frame:
    for component in v:
        if isinstance(component, Expression):
            return component._frame
    raise ConfigError("the components of a vector must contain fields or coordinates; got numbers only")


def _space_of(frame: Frame) -> tuple[str, ...]:
    if not frame.space:
        raise ConfigError(f"no spatial coordinates among {frame.coords}; grad, div and lap have nothing to sum over")
    return frame.space


def _space(u: Expression) -> tuple[str, ...]:
    return _space_of(u._frame)


def _planar(frame: Frame) -> tuple[str, str]:
    if len(frame.space) != 2:
        raise ConfigError(f"this curl needs two spatial coordinates; the equation has {frame.space}")
    return frame.space[0], frame.space[1]
