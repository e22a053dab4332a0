"""Linear elasticity."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigError
from .calculus import div, grad
from .equation import Coefficient, Equation
from .expression import Vector
from .parameter import Unknown

__all__ = ["Elasticity"]


class Elasticity(Equation):
    """``-div(sigma) = f`` with ``sigma = lam tr(eps) I + 2 mu eps`` and ``eps = (grad w + grad w^T) / 2``.

    Static, isotropic, small displacements ``w``; in two coordinates, plane strain. In three, pass
    ``coords=("x", "y", "z"), fields=("u", "v", "w")``.

    Args:
        coords: Spatial coordinates.
        fields: Components of the displacement, one for each coordinate, in the same order.
        lam: First Lamé parameter, in units of stress.
        mu: Shear modulus, in units of stress.
        force: Body force f, stress / length: a tuple, a function that returns one, or a number for every component.

    Raises:
        ConfigError: If numbers of fields and coordinates differ.

    Ref: Landau, Lifshitz, *Theory of Elasticity*, 3rd ed., 1986, sections 4 and 7.

    >>> print(Elasticity().record().describe())
    equilibrium_x: -(mu (u_xx + u_xx) + lam (u_xx + v_xy) + mu (u_yy + v_xy)) - force = 0
    equilibrium_y: -(mu (v_xx + u_xy) + mu (v_yy + v_yy) + lam (u_xy + v_yy)) - force = 0
    3 derivatives from 7 channels, order 2
    order 1: 3 kept
    order 2: 3 kept
    directions: (0, 1), (1, 0), (1, 1)
    """

    fields: tuple[str, ...] = ("u", "v")
    coords: tuple[str, ...] = ("x", "y")
    lam: Coefficient = 1.0
    mu: Coefficient = 1.0
    force: Coefficient | tuple[float | Unknown, ...] = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.fields) != len(self.coords):
            raise ConfigError(
                f"Elasticity needs a displacement for each coordinate; got fields {self.fields} in {self.coords}"
            )

    def residual(self, *arguments: Any, **named: Any) -> dict[str, Vector]:
        """``-div(sigma) - f``, by components."""
        *displacement, p = arguments
        w = Vector(displacement)
        slopes, dilation, axes = grad(w), p.lam * div(w), range(len(w))
        stress = Vector(
            Vector(p.mu * (slopes[i][j] + slopes[j][i]) + (dilation if i == j else 0.0) for j in axes) for i in axes
        )
        return {"equilibrium": -div(stress) - p.force}
