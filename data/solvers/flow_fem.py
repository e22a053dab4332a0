"""Steady incompressible flow in two dimensions by finite elements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError, DivergenceError, unknown
from ...typing import Float, Tensor
from .cell_mesh import CellMesh, import_skfem
from .fem_field import FemField, sampled

__all__ = ["FemFlow", "flow_fem"]

Field = Callable[[Tensor, Tensor], Any] | float

_STEPS = 30
_DIRECT = 200.0  # up to this number Newton's method starts from Stokes's flow


@dataclass(frozen=True)
class FemFlow:
    """Velocity and pressure.

    Attributes:
        u: Velocity along x.
        v: Velocity along y.
        p: Pressure.
    """

    u: FemField
    v: FemField
    p: FemField

    def __call__(self, x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> dict[str, Float[Tensor, "..."]]:
        """Evaluate all three by name."""
        return {"u": self.u(x, y), "v": self.v(x, y), "p": self.p(x, y)}


def flow_fem(
    mesh: CellMesh,
    velocity: Mapping[str, tuple[Field, Field]],
    *,
    reynolds: float,
    outlet: Callable[[np.ndarray], np.ndarray] | None = None,
    tol: float = 1e-10,
) -> FemFlow:
    """Solve ``(w . grad) w + grad p = lap(w) / Re, div w = 0`` by Taylor and Hood's elements, and Newton's method.

    Velocities are quadratic, pressures linear, on triangles; on smooth solutions errors fall as ``h^3`` and ``h^2``.
    Newton's method starts from Stokes's flow; to high Reynolds numbers it goes in steps.

    Args:
        mesh: Mesh, whose parts are ``"outside"`` and ``"circle0"``, ``"circle1"``, ...
        velocity: (u, v) by part, numbers or functions of tensors x and y.
        reynolds: Reynolds number; with 0 the flow is Stokes's, ``lap(w) = grad p``.
        outlet: Says which points (2, n) of ``"outside"`` are free: there ``dw/dn / Re = p n``. Without an outlet the
            pressure is zero at one point.
        tol: Largest change of a velocity in the last step.

    Raises:
        ConfigError: If a part does not exist.
        DivergenceError: If Newton's method does not converge.
        ImportError: If scikit-fem is not installed.

    Cost: one sparse LU factorisation a step, some six steps.

    Ref: Elman, Silvester, Wathen, *Finite Elements and Fast Iterative Solvers*, 2nd ed., 2014, chapters 3 and 8.

    >>> import torch
    >>> channel = CellMesh((0.0, 1.0), (0.0, 1.0), n=2)
    >>> still = flow_fem(channel, {"outside": (lambda x, y: y * (1 - y), 0.0)}, reynolds=10.0)
    >>> round(float(still.u(torch.tensor(0.5), torch.tensor(0.5))), 6)
    0.25
    """
    skfem = import_skfem()
    built = mesh.build()
    element = skfem.ElementVector(skfem.ElementTriP2())
    bases = {"w": skfem.Basis(built, element, intorder=6), "p": skfem.Basis(built, skfem.ElementTriP1(), intorder=6)}
    start, fixed = _held(built, bases["w"], velocity, outlet)
    n = bases["w"].N
    if outlet is None:
        fixed = np.append(fixed, n)
    y = np.concatenate([start, np.zeros(bases["p"].N)])
    for share in (0.0, 0.1, 0.3, 1.0) if reynolds > _DIRECT else (0.0, 1.0):
        y = _newton(bases, y, fixed, share * reynolds, tol)
    scalar = bases["w"].with_element(skfem.ElementTriP2())
    u, v = (y[:n][_component(bases["w"], scalar, i)] for i in (0, 1))
    # with Reynolds number zero the unit of the pressure is the viscosity, else the momentum
    return FemFlow(FemField(scalar, u), FemField(scalar, v), FemField(bases["p"], y[n:] / (reynolds or 1.0)))


def _held(
    built: Any, basis: Any, velocity: Mapping[str, tuple[Field, Field]], outlet: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Velocities on the boundary, and the numbers of those degrees of freedom."""
    values, fixed = np.zeros(basis.N), [np.zeros(0, dtype=np.int64)]
    for part, components in velocity.items():
        if part not in built.boundaries:
            raise ConfigError(unknown("boundary part", part, built.boundaries, "the mesh"))
        facets = built.boundaries[part]
        if outlet is not None and part == "outside":
            facets = facets[~outlet(built.p[:, built.facets[:, facets]].mean(1))]
        dofs = basis.get_dofs(facets)
        for name, component in zip(("u^1", "u^2"), components, strict=True):
            numbers = dofs.all([name])
            values[numbers] = sampled(component, *basis.doflocs[:, numbers])
            fixed.append(numbers)
    return values, np.unique(np.concatenate(fixed))


def _component(basis: Any, scalar: Any, i: int) -> np.ndarray:
    """Numbers of the degrees of freedom of one component, in the order of the scalar element."""
    numbers = np.zeros(scalar.N, dtype=np.int64)
    numbers[scalar.element_dofs] = basis.element_dofs[i::2]
    return numbers


def _newton(bases: dict[str, Any], y: np.ndarray, fixed: np.ndarray, reynolds: float, tol: float) -> np.ndarray:
    """Solve ``Re (w . grad) w + grad p = lap(w)``, whose pressure is Re times that of the caller."""
    skfem, n = import_skfem(), bases["w"].N
    from scipy.sparse import bmat

    viscous = skfem.BilinearForm(lambda w, z, _: (w.grad * z.grad).sum((0, 1))).assemble(bases["w"])
    pressure = skfem.BilinearForm(lambda w, q, _: -(w.grad[0, 0] + w.grad[1, 1]) * q).assemble(bases["w"], bases["p"])

    @skfem.BilinearForm
    def linearised(w: Any, z: Any, at: Any) -> Any:
        known = at["known"]
        return reynolds * sum(
            (known[j] * w.grad[i, j] + w[j] * known.grad[i, j]) * z[i] for i in (0, 1) for j in (0, 1)
        )

    @skfem.LinearForm
    def convected(z: Any, at: Any) -> Any:
        known = at["known"]
        return reynolds * sum(known[j] * known.grad[i, j] * z[i] for i in (0, 1) for j in (0, 1))

    for _ in range(_STEPS):
        known = bases["w"].interpolate(y[:n])
        load = viscous @ y[:n] + convected.assemble(bases["w"], known=known)
        residual = np.concatenate([load + pressure.T @ y[n:], pressure @ y[:n]])
        flow = viscous + linearised.assemble(bases["w"], known=known)
        matrix = bmat([[flow, pressure.T], [pressure, None]], "csc")
        change = skfem.solve(*skfem.condense(matrix, -residual, D=fixed))
        y = y + change
        if not np.isfinite(change).all():
            break
        if reynolds == 0 or np.abs(change[:n]).max() < tol:  # Stokes's equations are linear
            return y
    raise DivergenceError(
        f"Newton's method for a Reynolds number of {reynolds:g} has not converged in {_STEPS} steps; refine the mesh "
        "or lower the Reynolds number"
    )
