"""A plate under body force and traction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, On
from ..data import Rectangle
from ..errors import ConfigError
from ..pde import Elasticity, manufactured
from ..problem import Problem
from ..registry import register

_Q = 4.0


@register("problem", "elasticity")
@dataclass(frozen=True)
class ElasticityProblem:
    """Plane strain of the unit square: clamped below, on rollers at the other sides, pulled at the top.

    At the sides v = 0 and the normal stress vanishes; at the top u = 0 and the normal stress is
    ``(lam + 2 mu) Q sin(pi x)``.

    Reference: ``u = cos(2 pi x) sin(pi y)``, ``v = Q sin(pi x) y^4 / 4``, Q = 4, of which the body force is made.

    Ref: Haghighat, Raissi, Moure, Gomez, Juanes, *A physics-informed deep learning framework for inversion and
    surrogate modeling in solid mechanics*, 2021.

    Attributes:
        lam: First Lamé parameter.
        mu: Shear modulus.
    """

    lam: float = 1.0
    mu: float = 0.5

    def __post_init__(self) -> None:
        if not (self.mu > 0 and self.lam + self.mu > 0):
            raise ConfigError(f"problem.mu and problem.lam + problem.mu must be positive; got {self.mu}, {self.lam}")

    def build(self) -> Problem:
        """Make the problem."""
        force = manufactured(Elasticity(lam=self.lam, mu=self.mu), {"u": _u, "v": _v})

        def side(u: Any, v: Any, p: Any) -> dict[str, Any]:
            return {"v": v, "stress": (p.lam + 2 * p.mu) * u.x + p.lam * v.y}

        def top(u: Any, v: Any, p: Any) -> dict[str, Any]:
            stress = p.lam * u.x + (p.lam + 2 * p.mu) * v.y
            return {"u": u, "stress": stress - (p.lam + 2 * p.mu) * _Q * torch.sin(math.pi * p.x)}

        return Problem(
            name="elasticity",
            equation=Elasticity(
                lam=self.lam, mu=self.mu, force=lambda x, y: tuple(force[f"equilibrium_{k}"](x=x, y=y) for k in "xy")
            ),
            domain=Rectangle(x=(0.0, 1.0), y=(0.0, 1.0)),
            conditions=[Dirichlet("bottom", u=0.0, v=0.0), On("left", side), On("right", side), On("top", top)],
            reference=lambda x, y: {"u": _u(x, y), "v": _v(x, y)},
            network={"width": 32, "depth": 3},
            points=900,
            boundary_points=100,
            condition_weight=10.0,
            seconds=60.0,
        )


def _u(x: Any, y: Any) -> Any:
    return torch.cos(2 * math.pi * x) * torch.sin(math.pi * y)


def _v(x: Any, y: Any) -> Any:
    return _Q / 4 * torch.sin(math.pi * x) * y**4
