"""Differential operators that read like mathematics: grad, div, curl, lap, bilap, diffusion, dt and d."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from ..jets import Trace, quantity
from .expression import Expression, Field, Frame, Vector, differentiate

__all__ = ["bilap", "curl", "d", "diffusion", "div", "dt", "grad", "lap"]


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


def lap(u: Any) -> Any:
    """Laplacian over the spatial coordinates.

    Of a field it is one sum, kept by name whatever the number of coordinates: the Taylor pass collapses it, and an
    estimator may replace it.
    """
    if isinstance(u, Vector):
        return Vector(lap(component) for component in u)
    node = _expression(u, "lap")
    if isinstance(node, Field):
        _space_of(node._frame)
        return node._apply(quantity({Trace(node._frame.space_axes): 1.0}))
    return div(grad(node))


def bilap(u: Any) -> Any:
    """Laplacian of the Laplacian over the spatial coordinates."""
    return lap(lap(u))


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
