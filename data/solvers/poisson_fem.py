"""Poisson's equation on triangles by finite elements (scikit-fem)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...errors import ConfigError, unknown
from ...typing import Float, Tensor

__all__ = ["FemSolution", "poisson_fem"]

Field = Callable[[Tensor, Tensor], Tensor] | float

# Corners and triangles of the coarse meshes; both use diagonals that meet in the corner of the L.
_MESHES: dict[str, tuple[list[list[float]], list[list[int]]]] = {
    "square": ([[0, 0], [1, 0], [0, 1], [1, 1]], [[0, 1, 3], [0, 3, 2]]),
    "lshape": (
        [[-1, -1], [0, -1], [-1, 0], [0, 0], [1, 0], [-1, 1], [0, 1], [1, 1]],
        [[0, 1, 3], [0, 3, 2], [2, 3, 5], [3, 6, 5], [3, 4, 7], [3, 7, 6]],
    ),
}


@dataclass(frozen=True)
class FemSolution:
    """A finite-element field that can be evaluated at points of its mesh.

    Attributes:
        points: Locations of the degrees of freedom (n, 2); with Lagrange elements these are nodes.
        values: The field there (n).
        triangles: Mesh triangles (c, 3), rows of vertex numbers, as in `vertices`.
        vertices: Mesh vertices (v, 2).
    """

    points: Float[Tensor, "n 2"]
    values: Float[Tensor, " n"]
    triangles: Tensor
    vertices: Float[Tensor, "v 2"]
    _basis: Any

    def __call__(self, x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Evaluate at points (x, y).

        Raises:
            ConfigError: If a point lies outside the mesh.
        """
        x, y = torch.broadcast_tensors(x.detach(), y.detach())
        where = np.stack([item.reshape(-1).to(device="cpu", dtype=torch.float64).numpy() for item in (x, y)])
        if where.shape[1] == 0:
            return torch.zeros(x.shape, dtype=torch.float64)
        try:
            found = self._basis.probes(where) @ self.values.numpy()
        except ValueError as error:  # scikit-fem's word for a point in no triangle
            raise ConfigError(
                "a point lies outside the mesh. Evaluate inside the domain; beside a curved or refined boundary, move "
                "points inward by rounding."
            ) from error
        return torch.from_numpy(found).reshape(x.shape)


def poisson_fem(
    mesh: str | tuple[Float[Tensor, "v 2"], Tensor] = "lshape",
    f: Field = 1.0,
    g: Field = 0.0,
    refinements: int = 4,
    degree: int = 2,
) -> FemSolution:
    """Solve ``-lap(u) = f`` with ``u = g`` on the whole boundary, by Lagrange elements on triangles.

    On smooth solutions the L2 error falls as ``h^(degree + 1)``; at the corner of the L-shape, as ``h^(4/3)`` at best.

    Args:
        mesh: "square", (0, 1)^2; "lshape", (-1, 1)^2 without the quadrant x > 0, y < 0, its corner at the origin; or
            vertices (v, 2) and triangles (c, 3).
        f: Source, a number or a function of tensors x and y.
        g: Boundary value, likewise.
        refinements: Number of times that every triangle is cut into four.
        degree: Polynomial degree, 1 to 4.

    Raises:
        ConfigError: If an argument does not fit.
        ImportError: If scikit-fem is not installed.

    Cost: one sparse LU factorisation.

    >>> u = poisson_fem("square", f=1.0, refinements=4, degree=2)
    >>> round(float(u(torch.tensor(0.5), torch.tensor(0.5))), 4)
    0.0737
    """
    skfem = _skfem()
    elements = (skfem.ElementTriP1, skfem.ElementTriP2, skfem.ElementTriP3, skfem.ElementTriP4)
    if degree not in (1, 2, 3, 4) or refinements < 0:
        raise ConfigError(
            f"degree is {degree} and refinements is {refinements}; degree is 1 to 4, refinements 0 or more."
        )
    basis = skfem.Basis(_mesh(skfem, mesh).refined(refinements), elements[degree - 1](), intorder=2 * degree + 2)
    stiffness = skfem.BilinearForm(lambda u, v, w: (u.grad * v.grad).sum(0)).assemble(basis)
    load = skfem.LinearForm(lambda v, w: _sampled(f, *w.x) * v).assemble(basis)
    boundary = basis.get_dofs().all()
    values = np.zeros(basis.N)
    values[boundary] = _sampled(g, *basis.doflocs[:, boundary])
    values = skfem.solve(*skfem.condense(stiffness, load, x=values, D=boundary))
    return FemSolution(
        torch.from_numpy(basis.doflocs.T.copy()),
        torch.from_numpy(values),
        torch.from_numpy(basis.mesh.t.T.astype(np.int64)),
        torch.from_numpy(basis.mesh.p.T.copy()),
        basis,
    )


def _skfem() -> Any:
    try:
        import skfem
    except ImportError as error:
        raise ImportError(
            "poisson_fem needs scikit-fem, which is not installed. Install it with: pip install kjet[fem]"
        ) from error
    return skfem


def _mesh(skfem: Any, mesh: str | tuple[Tensor, Tensor]) -> Any:
    if isinstance(mesh, str):
        if mesh not in _MESHES:
            raise ConfigError(unknown("mesh", mesh, _MESHES, "poisson_fem"))
        points, triangles = (np.array(item) for item in _MESHES[mesh])
    else:
        points, triangles = (np.asarray(item.detach().cpu()) for item in mesh)
        if points.ndim != 2 or points.shape[1] != 2 or triangles.ndim != 2 or triangles.shape[1] != 3:
            raise ConfigError(
                f"the mesh has vertices {points.shape} and triangles {triangles.shape}; expected (v, 2) and (c, 3)."
            )
    return skfem.MeshTri(np.ascontiguousarray(points.T, dtype=np.float64), np.ascontiguousarray(triangles.T))


def _sampled(value: Field, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Evaluate a number or a torch function at NumPy points."""
    if not callable(value):
        return np.full(x.shape, float(value))
    found = value(torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y)))
    return np.broadcast_to(found.detach().numpy(), x.shape)
