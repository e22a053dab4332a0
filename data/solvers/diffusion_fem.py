"""Diffusion in two dimensions by finite elements: steady, or in time; values or exchange on the boundary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ConfigError, unknown
from ...typing import Tensor
from .cell_mesh import CellMesh, import_skfem
from .fem_boundary import boundary_terms
from .fem_field import FemField, sampled

__all__ = ["diffusion_fem", "heat_fem"]

Field = Callable[[Tensor, Tensor], Any] | float

# L-stable, fourth order, stiffly accurate: Hairer, Wanner, Solving Ordinary Differential Equations II, 1996, table 6.5
_GAMMA = 0.25
_STAGES = (
    (0.25,),
    (0.5, 0.25),
    (17 / 50, -1 / 25, 0.25),
    (371 / 1360, -137 / 2720, 15 / 544, 0.25),
    (25 / 24, -49 / 48, 125 / 16, -85 / 12, 0.25),
)


@dataclass(frozen=True)
class _Discrete:
    """``M y' + K y = load``, with `fixed` degrees of freedom."""

    basis: Any
    mass: Any
    stiffness: Any
    source: np.ndarray
    flux: np.ndarray
    fixed: np.ndarray
    values: np.ndarray


def diffusion_fem(
    mesh: CellMesh,
    *,
    coefficient: Field = 1.0,
    reaction: Field = 0.0,
    source: Field = 0.0,
    dirichlet: Mapping[str, Field] | None = None,
    robin: Mapping[str, tuple[Field, Field]] | None = None,
    degree: int = 3,
) -> FemField:
    """Solve ``-div(a grad u) + c u = f`` by Lagrange elements on triangles.

    Where a part of the boundary is not named, ``a n . grad u = 0``. On smooth solutions the L2 error falls as
    ``h^(degree + 1)`` up to ``h^4`` on curved boundaries.

    Args:
        mesh: Mesh, whose parts are ``"outside"`` and ``"circle0"``, ``"circle1"``, ...
        coefficient: a, a number or a function of tensors x and y; so are the other fields.
        reaction: c.
        source: f.
        dirichlet: u by part.
        robin: ``(alpha, g)`` by part, for ``a n . grad u + alpha u = g``.
        degree: Polynomial degree, 1 to 4.

    Raises:
        ConfigError: If a part or the degree does not exist.
        ImportError: If scikit-fem is not installed.

    Cost: one sparse LU factorisation.

    >>> import torch
    >>> ring = CellMesh((-1.0, 1.0), (-1.0, 1.0), holes=((0.0, 0.0, 0.5),), n=4)
    >>> u = diffusion_fem(ring, dirichlet={"outside": lambda x, y: x * y, "circle0": lambda x, y: x * y})
    >>> round(float(u(torch.tensor(0.6), torch.tensor(0.5))), 3)
    0.3
    """
    system = _discretised(mesh, coefficient, reaction, source, dirichlet, robin, degree)
    load = system.source + system.flux
    skfem = import_skfem()
    condensed = skfem.condense(system.stiffness, load, x=system.values, D=system.fixed)
    return FemField(system.basis, skfem.solve(*condensed))


def heat_fem(
    mesh: CellMesh,
    times: Sequence[float] | np.ndarray,
    *,
    coefficient: Field = 1.0,
    source: Field = 0.0,
    pulse: Callable[[float], float] | None = None,
    start: Field = 0.0,
    dirichlet: Mapping[str, Field] | None = None,
    robin: Mapping[str, tuple[Field, Field]] | None = None,
    degree: int = 3,
) -> FemField:
    """Solve ``u_t = div(a grad u) + pulse(t) f`` with ``u = start`` at the first time.

    In space as :func:`diffusion_fem`; in time by a diagonally implicit Runge-Kutta method of fourth order, L-stable.

    Args:
        mesh: Mesh.
        times: Ends of the steps, ascending, from the first time.
        coefficient: a.
        source: f.
        pulse: Factor of the source in time; 1 by default.
        start: First state.
        dirichlet: u by part.
        robin: ``(alpha, g)`` by part, as in :func:`diffusion_fem`.
        degree: Polynomial degree, 1 to 4.

    Raises:
        ConfigError: If a part or the degree does not exist, or times do not ascend.
        ImportError: If scikit-fem is not installed.

    Cost: one sparse LU factorisation for each length of step, five solutions a step.

    Ref: Hairer, Wanner, *Solving Ordinary Differential Equations II*, 2nd ed., 1996, section IV.6.

    >>> import torch
    >>> u = heat_fem(CellMesh((0.0, 1.0), (0.0, 1.0), n=2), [0.0, 0.5, 1.0], source=1.0, pulse=lambda t: 3 * t**2)
    >>> round(float(u(torch.tensor(0.3), torch.tensor(0.7), torch.tensor(1.0))), 6)
    1.0
    """
    nodes = np.asarray(times, dtype=np.float64)
    if nodes.ndim != 1 or len(nodes) < 2 or not (np.diff(nodes) > 0).all():
        raise ConfigError("times must be at least two, ascending")
    system = _discretised(mesh, coefficient, 0.0, source, dirichlet, robin, degree)
    first = sampled(start, *system.basis.doflocs)
    values, rates = _marched(system, nodes, np.where(_mask(system), system.values, first), pulse or (lambda t: 1.0))
    return FemField(system.basis, values, nodes, rates)


def _mask(system: _Discrete) -> np.ndarray:
    mask = np.zeros(system.basis.N, dtype=bool)
    mask[system.fixed] = True
    return mask


def _marched(
    system: _Discrete, times: np.ndarray, y: np.ndarray, pulse: Callable[[float], float]
) -> tuple[np.ndarray, np.ndarray]:
    from scipy.sparse.linalg import splu

    free = np.flatnonzero(~_mask(system))
    mass, stiffness = (matrix[free][:, free].tocsc() for matrix in (system.mass, system.stiffness))

    def change(t: float, y: np.ndarray) -> np.ndarray:
        return (pulse(t) * system.source + system.flux - system.stiffness @ y)[free]

    rate, factor, known = np.zeros_like(y), None, 0.0
    rate[free] = splu(mass).solve(change(times[0], y))
    values, rates = [y], [rate]
    for t, h in zip(times[:-1], np.diff(times), strict=True):
        if factor is None or abs(h - known) > 1e-9 * h:
            factor, known = splu(mass + _GAMMA * h * stiffness), h
        stages: list[np.ndarray] = []
        for row in _STAGES:
            state = y.copy()
            state[free] += h * sum(a * k for a, k in zip(row, stages, strict=False))
            stages.append(factor.solve(change(t + sum(row) * h, state)))
        y, rate = y.copy(), np.zeros_like(y)
        y[free] += h * sum(a * k for a, k in zip(_STAGES[-1], stages, strict=True))
        rate[free] = stages[-1]
        values.append(y)
        rates.append(rate)
    return np.stack(values), np.stack(rates)


def _discretised(
    mesh: CellMesh,
    coefficient: Field,
    reaction: Field,
    source: Field,
    dirichlet: Mapping[str, Field] | None,
    robin: Mapping[str, tuple[Field, Field]] | None,
    degree: int,
) -> _Discrete:
    skfem = import_skfem()
    if degree not in (1, 2, 3, 4):
        raise ConfigError(f"degree is {degree}; it is 1 to 4")
    element = (skfem.ElementTriP1, skfem.ElementTriP2, skfem.ElementTriP3, skfem.ElementTriP4)[degree - 1]()
    built = mesh.build()
    for part in (*(dirichlet or {}), *(robin or {})):
        if part not in built.boundaries:
            raise ConfigError(unknown("boundary part", part, built.boundaries, "the mesh"))
    basis = skfem.Basis(built, element, intorder=2 * degree + 2)

    @skfem.BilinearForm
    def stiffness(u: Any, v: Any, w: Any) -> Any:
        return sampled(coefficient, *w.x) * (u.grad * v.grad).sum(0) + sampled(reaction, *w.x) * u * v

    matrix, flux = stiffness.assemble(basis), np.zeros(basis.N)
    for part, (alpha, g) in (robin or {}).items():
        exchange, given = boundary_terms(basis, built.boundaries[part], alpha, g)
        matrix, flux = matrix + exchange, flux + given
    values, fixed = np.zeros(basis.N), [np.zeros(0, dtype=np.int64)]
    for part, value in (dirichlet or {}).items():
        fixed.append(basis.get_dofs(part).all())
        values[fixed[-1]] = sampled(value, *basis.doflocs[:, fixed[-1]])
    mass = skfem.BilinearForm(lambda u, v, w: u * v).assemble(basis)
    load = skfem.LinearForm(lambda v, w: sampled(source, *w.x) * v).assemble(basis)
    return _Discrete(basis, mass, matrix, load, flux, np.unique(np.concatenate(fixed)), values)
