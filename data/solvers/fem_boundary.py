"""Integrals over curved boundaries of triangle meshes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .fem_field import mapped, sampled

__all__ = ["boundary_terms"]

_POINTS = 6


def boundary_terms(basis: Any, facets: np.ndarray, alpha: Any, g: Any) -> tuple[Any, np.ndarray]:
    """Assemble ``integral of alpha u v`` and ``integral of g v`` over some sides of the boundary.

    The points of Gauss's rule are laid down in the reference triangle, whose sides are straight. scikit-fem's
    ``FacetBasis`` looks for them from outside, by a Newton iteration that fails beside strongly curved sides.

    Args:
        basis: scikit-fem's basis of continuous elements on straight or quadratic triangles.
        facets: Numbers of sides.
        alpha: Number or function of tensors x and y.
        g: The same.

    Returns:
        Sparse matrix (n, n) and vector (n).
    """
    from scipy.sparse import csr_matrix

    mesh, n = basis.mesh, basis.N
    matrix, vector = csr_matrix((n, n)), np.zeros(n)
    nodes, weights = np.polynomial.legendre.leggauss(_POINTS)
    s, weights = (nodes + 1) / 2, weights / 2
    # sides of scikit-fem's reference triangle, with their directions
    sides = ((s, 0 * s, (1, 0)), (1 - s, s, (-1, 1)), (0 * s, s, (0, 1)))
    owner = mesh.f2t[0, facets]
    for side, (a, b, along) in enumerate(sides):
        cells = owner[mesh.t2f[side, owner] == facets]
        if not len(cells):
            continue
        local = np.stack([a, b])[:, None]
        x, slope = mapped(mesh.elem(), mesh.doflocs[:, mesh.dofs.element_dofs[:, cells], None], local)
        stretch = weights * np.hypot(*(slope[:, 0] * along[0] + slope[:, 1] * along[1]))
        shapes = np.stack([basis.elem.lbasis(local, k)[0][0] * np.ones_like(s) for k in range(basis.Nbfun)])
        dofs = basis.element_dofs[:, cells]
        entries = np.einsum("cq,iq,jq->ijc", stretch * sampled(alpha, *x), shapes, shapes)
        rows, columns = (np.broadcast_to(d, entries.shape).ravel() for d in (dofs[:, None], dofs[None]))
        matrix = matrix + csr_matrix((entries.ravel(), (rows, columns)), shape=(n, n))
        np.add.at(vector, dofs, np.einsum("cq,iq->ic", stretch * sampled(g, *x), shapes))
    return matrix, vector
