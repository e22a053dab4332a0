"""Five-point finite-volume solvers on the unit square: Darcy flow and the Helmholtz equation.

Grids include the boundary: n by n nodes at ``linspace(0, 1, n)`` along both axes, axis order (x, y).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ...errors import ConfigError
from ...typing import Float, Tensor

if TYPE_CHECKING:
    from scipy.sparse import csc_array

__all__ = ["darcy", "helmholtz"]


def _square(name: str, value: Tensor) -> tuple[Tensor, int]:
    """Read a field (n, n) or (b, n, n) as float64 with a batch axis."""
    if value.ndim not in (2, 3) or value.shape[-1] != value.shape[-2] or value.shape[-1] < 4:
        raise ConfigError(f"{name} has shape {tuple(value.shape)}; expected (n, n) or (b, n, n), n at least 4.")
    if not torch.isfinite(value).all():
        raise ConfigError(f"{name} has values that are not finite.")
    n = value.shape[-1]
    return value.detach().to(device="cpu", dtype=torch.float64).reshape(-1, n, n), n


def _five_point(across: np.ndarray, along: np.ndarray, shift: np.ndarray | float) -> csc_array:
    """Assemble ``-div(a grad u) + shift u`` on the inner nodes.

    Args:
        across: a / h^2 on faces between neighbours in x, (n - 1, n - 2).
        along: a / h^2 on faces between neighbours in y, (n - 2, n - 1).
        shift: Coefficient of u on the inner nodes.
    """
    from scipy.sparse import diags_array

    m = across.shape[1]
    centre = across[:-1] + across[1:] + along[:, :-1] + along[:, 1:] + shift
    beside = np.concatenate([along[:, 1:-1], np.zeros((m, 1))], axis=1).ravel()[
        :-1
    ]  # no face from row end to row start
    below = across[1:-1].ravel()
    bands = [-below, -beside, centre.ravel(), -beside, -below]
    return diags_array(bands, offsets=[-m, -1, 0, 1, m], shape=(m * m, m * m), format="csc")


def _factorised(matrix: csc_array, advice: str) -> Any:
    from scipy.sparse.linalg import splu

    try:
        return splu(matrix)
    except RuntimeError as error:  # SuperLU's word for an exactly singular matrix
        raise ConfigError(f"the discrete operator is singular. {advice}") from error


def darcy(a: Float[Tensor, "*b n n"], f: float | Float[Tensor, "..."] = 1.0) -> Float[Tensor, "*b n n"]:
    """Solve ``-div(a grad u) = f`` on the unit square with u = 0 on the boundary.

    Second order for smooth a; the conductivity of a face is the harmonic mean of its two nodes, which keeps the flux
    right where a jumps.

    Args:
        a: Conductivity at the nodes, positive.
        f: Source at the nodes, or one number.

    Returns:
        u at the nodes, boundary included, float64, on the CPU.

    Raises:
        ConfigError: If shapes do not fit or `a` is not positive.

    Cost: one sparse LU factorisation for each sample, O(n^3).

    >>> u = darcy(torch.ones(65, 65))
    >>> round(float(u.max()), 4)
    0.0737
    """
    conductivity, n = _square("a", a)
    if float(conductivity.min()) <= 0:
        raise ConfigError(f"the least value of a is {float(conductivity.min()):.3g}; a conductivity must be positive.")
    sources, _ = _square("f", f if isinstance(f, Tensor) else torch.full((n, n), float(f)))
    if sources.shape[0] not in (1, conductivity.shape[0]) or sources.shape[1] != n:
        raise ConfigError(f"f has shape {tuple(sources.shape)}; expected (n, n) or (b, n, n) as a, {tuple(a.shape)}.")
    u = np.zeros(tuple(conductivity.shape))
    for i, field in enumerate(conductivity.numpy()):
        right = sources[i if len(sources) > 1 else 0, 1:-1, 1:-1].numpy()
        u[i, 1:-1, 1:-1] = _darcy(field, right)
    return torch.from_numpy(u).reshape(a.shape)


def _darcy(a: np.ndarray, f: np.ndarray) -> np.ndarray:
    inverse_square = (len(a) - 1) ** 2
    across = 2 * inverse_square / (1 / a[1:, 1:-1] + 1 / a[:-1, 1:-1])
    along = 2 * inverse_square / (1 / a[1:-1, 1:] + 1 / a[1:-1, :-1])
    lu = _factorised(_five_point(across, along, 0.0), "Scale a: its values are too far apart.")
    return lu.solve(f.ravel()).reshape(f.shape)


def helmholtz(
    c: Float[Tensor, "n n"], boundary: Float[Tensor, "*l n n"], *, omega: float = 2 * math.pi
) -> Float[Tensor, "*l n n"]:
    """Solve ``lap(u) + omega^2 c^2 u = 0`` on the unit square with u given on the boundary.

    Second order; some ten nodes a wavelength ``2 pi / (omega c)`` leave a phase error of a few percent a wavelength.

    Args:
        c: Slowness at the nodes (the local wave number is ``omega c``).
        boundary: One or several fields whose values on the boundary nodes are taken; the others are ignored.
        omega: Frequency.

    Returns:
        u for each boundary field, float64, on the CPU.

    Raises:
        ConfigError: If shapes do not fit or omega^2 is an eigenvalue.

    Cost: one sparse LU factorisation, whatever the number of boundary fields.

    >>> x = torch.linspace(0, 1, 33, dtype=torch.float64)[:, None]
    >>> wave = torch.cos(2 * math.pi * x).expand(33, 33)
    >>> bool((helmholtz(torch.ones(33, 33), wave) - wave).abs().max() < 0.01)
    True
    """
    slowness, n = _square("c", c)
    fields, m = _square("boundary", boundary)
    if len(slowness) != 1 or m != n:
        raise ConfigError(
            f"c has shape {tuple(c.shape)} and boundary {tuple(boundary.shape)}; expected (n, n), (l, n, n)."
        )
    u = fields.numpy().copy()
    u[:, 1:-1, 1:-1] = 0
    scale = (n - 1) ** 2
    right = scale * (u[:, :-2, 1:-1] + u[:, 2:, 1:-1] + u[:, 1:-1, :-2] + u[:, 1:-1, 2:])
    faces = np.full((n - 1, n - 2), float(scale))
    shift = -((omega * slowness[0, 1:-1, 1:-1].numpy()) ** 2)
    lu = _factorised(_five_point(faces, faces.T, shift), "omega is a resonance of the box: change it slightly.")
    u[:, 1:-1, 1:-1] = lu.solve(right.reshape(len(u), -1).T).T.reshape(right.shape)
    return torch.from_numpy(u).reshape(boundary.shape)
