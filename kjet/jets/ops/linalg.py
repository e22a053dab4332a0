"""Taylor rules of linear algebra: solves, inverses, determinants, factorisations and norms."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812

from ...errors import JetRuleError
from ...typing import Tensor
from .._registry import rule
from .._series import Coefficient, aligned, plus
from ..jet import Jet
from ..layout import Layout
from .power import root_of_squares

_torch: Any = torch  # its annotations do not know that its functions take jets


def _matrices(x: Any, axes: int, order: int) -> list[Coefficient]:
    """Coefficients in the full shape of the matrices, with as many axes as asked for behind the row axis."""
    if not isinstance(x, Jet):
        return [x, *(None,) * order]
    rows = [x.row(k) for k in range(1, order + 1)]
    return [x.primal, *(None if row is None else aligned(row, axes) for row in rows)]


def _products(a: list[Coefficient], b: list[Coefficient], k: int, layout: Layout) -> Coefficient:
    """``sum_{0<j<k} A_j B_{k-j}``, summed into slots."""
    total: Coefficient = None
    active = layout.active(k)
    for j in range(1, k):
        one, two = a[j], b[k - j]
        if one is not None and two is not None:
            total = plus(total, one[:active] @ two[:active])
    return None if total is None else layout.reduce(k, total)


def _solved(a: Any, b: Any, inverse: Callable[[Tensor], Tensor]) -> Jet:
    """``A X = B``: ``X_k = A_0^-1 (B_k - A_k X_0 - sum_{0<j<k} A_j X_{k-j})``, with one factorisation."""
    layout = (a if isinstance(a, Jet) else b).layout
    axes = max(a.ndim, b.ndim)
    left, right = _matrices(a, axes, layout.order), _matrices(b, axes, layout.order)
    x: list[Any] = [inverse(right[0])]  # type: ignore[arg-type]
    for k in range(1, layout.order + 1):
        top = left[k]
        rest = plus(None if top is None else top @ x[0], _products(left, x, k, layout))
        total = plus(right[k], None if rest is None else -rest)
        x.append(None if total is None else inverse(total))
    return Jet(x, layout)


def _values(x: Any) -> Tensor:
    return x.primal if isinstance(x, Jet) else x


@rule(torch.linalg.solve)
def solve(a: Any, b: Any, *, left: bool = True) -> Jet:
    """``A X = B``, or ``X A = B``."""
    if not left:
        return solve(a.transpose(-1, -2), b.transpose(-1, -2)).transpose(-1, -2)
    # As in torch: a right-hand side of the shape of A without its last axis is a vector, or a batch of them.
    if b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1]):
        return solve(a, b.unsqueeze(-1)).squeeze(-1)
    factor, pivots = torch.linalg.lu_factor(_values(a))
    return _solved(a, b, lambda c: torch.linalg.lu_solve(factor, pivots, c))


@rule(torch.linalg.solve_triangular)
def solve_triangular(a: Any, b: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Jet:
    """``A X = B`` with a triangular matrix."""
    if not left:
        swapped = solve_triangular(
            a.transpose(-1, -2), b.transpose(-1, -2), upper=not upper, unitriangular=unitriangular
        )
        return swapped.transpose(-1, -2)
    strictly = int(unitriangular)
    used = torch.triu(a, strictly) if upper else torch.tril(a, -strictly)
    options = {"upper": upper, "unitriangular": unitriangular}
    return _solved(used, b, lambda c: torch.linalg.solve_triangular(_values(a), c, **options))


@rule(torch.linalg.inv, torch.inverse)
def inv(a: Jet) -> Jet:
    """``A X = 1``."""
    return _torch.linalg.solve(a, torch.eye(a.shape[-1], dtype=a.dtype, device=a.device).expand(a.shape))


@rule(torch.linalg.cholesky)
def cholesky(a: Jet, *, upper: bool = False) -> Jet:
    """``L L^T = A``: ``L_k = L_0 Phi(L_0^-1 (A_k - sum_{0<j<k} L_j L_{k-j}^T) L_0^-T)``.

    ``Phi`` keeps the lower triangle and halves the diagonal.
    """
    if upper:
        return cholesky(a).transpose(-1, -2)
    layout, first = a.layout, torch.linalg.cholesky(a.primal)
    given = _matrices(a, a.ndim, layout.order)
    found: list[Coefficient] = [first]
    for k in range(1, layout.order + 1):
        transposed = [None if c is None else c.mT for c in found]
        rest = _products(found, transposed, k, layout)
        total = plus(given[k], None if rest is None else -rest)
        found.append(None if total is None else first @ _lower_half(first, total))
    return Jet(found, layout)


def _lower_half(factor: Tensor, change: Tensor) -> Tensor:
    inner = torch.linalg.solve_triangular(factor, change, upper=False)
    inner = torch.linalg.solve_triangular(factor, inner.mT, upper=False).mT
    return torch.tril(inner, -1) + 0.5 * torch.diag_embed(torch.diagonal(inner, dim1=-2, dim2=-1))


@rule(torch.cholesky_solve)
def cholesky_solve(b: Any, factor: Any, upper: bool = False) -> Jet:
    """``A X = B`` for ``A = L L^T``."""
    lower = factor.transpose(-1, -2) if upper else factor
    half = _torch.linalg.solve_triangular(lower, b, upper=False)
    return _torch.linalg.solve_triangular(lower.transpose(-1, -2), half, upper=True)


@rule(torch.linalg.slogdet, torch.slogdet)
def slogdet(a: Jet) -> Any:
    """Sign and ``log |det A|``, whose derivative is ``tr(A^-1 A')``."""
    sign, value = torch.linalg.slogdet(a.primal)
    layout, inverse = a.layout, _torch.linalg.inv(a)
    given = _matrices(a, a.ndim, layout.order)
    y: list[Coefficient] = [value]
    for k in range(1, layout.order + 1):
        weighted = [None if c is None else (j / k) * c for j, c in enumerate(given)]
        top, rest = given[k], _products(inverse.coefficients, weighted, k, layout)
        y.append(plus(None if top is None else _trace(inverse.primal @ top), None if rest is None else _trace(rest)))
    return type(torch.linalg.slogdet(a.primal.detach()))((sign, Jet(y, layout)))


def _trace(matrices: Tensor) -> Tensor:
    return torch.diagonal(matrices, dim1=-2, dim2=-1).sum(-1)


@rule(torch.logdet)
def logdet(a: Jet) -> Any:
    """``log det A``: nan where it is negative."""
    sign, value = slogdet(a)
    return torch.where(sign > 0, value, value * math.nan)


@rule(torch.linalg.det, torch.det)
def det(a: Jet) -> Any:
    """Determinant of matrices that are not singular."""
    sign, value = slogdet(a)
    return sign * torch.exp(value)


# --- norms -----------------------------------------------------------------------------------------------------------


@rule(torch.linalg.vector_norm)
def vector_norm(x: Jet, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """``(sum |x|^p)^(1/p)``, with zero derivatives where the Euclidean norm vanishes, as in torch's autograd."""
    x = x if dtype is None else x.to(dtype)
    axes = tuple(range(x.ndim)) if dim is None else dim
    p = float(ord)
    if p == 2:
        size: Any = _torch.abs(x) if x.is_complex() else x
        return root_of_squares((size * size).sum(axes, keepdim=keepdim))
    size = _torch.abs(x)
    if p == 1:
        return size.sum(axes, keepdim=keepdim)
    if math.isinf(p):
        return (torch.amax if p > 0 else torch.amin)(size, axes, keepdim)
    if p == 0:
        return (x.primal != 0).to(size.dtype).sum(axes, keepdim=keepdim)
    return (size**p).sum(axes, keepdim=keepdim) ** (1 / p)


@rule(torch.linalg.matrix_norm)
def matrix_norm(x: Jet, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Frobenius norm, and the largest or smallest sum of absolute values along columns or rows."""
    x = x if dtype is None else x.to(dtype)
    if ord == "fro":
        return vector_norm(x, 2, dim, keepdim)
    if ord not in (1, -1, math.inf, -math.inf):
        raise JetRuleError(
            f'matrix norm of jets knows ord "fro", 1, -1, inf, -inf; got {ord!r}, which needs singular values'
        )
    summed, other = dim if abs(ord) == 1 else tuple(reversed(dim))
    sums = _torch.abs(x).sum(summed, keepdim=True)
    y = (torch.amax if ord > 0 else torch.amin)(sums, (other,), True)
    return y if keepdim else y.squeeze(tuple(dim))


@rule(torch.linalg.norm)
def norm(x: Jet, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """Norm of vectors, or of matrices where an order and two axes are given."""
    axes = (dim,) if isinstance(dim, int) else dim
    matrices = x.ndim == 2 if axes is None else len(axes) == 2
    if ord is None or not matrices:
        return vector_norm(x, 2 if ord is None else ord, dim, keepdim, dtype=dtype)
    return matrix_norm(x, ord, (-2, -1) if axes is None else tuple(axes), keepdim, dtype=dtype)


@rule(torch.norm)
def old_norm(
    x: Jet, p: Any = "fro", dim: Any = None, keepdim: bool = False, out: None = None, dtype: Any = None
) -> Any:
    """Norm of all elements, or along axes, which are taken as one vector."""
    return vector_norm(x, 2 if p in ("fro", None) else p, dim, keepdim, dtype=dtype)


@rule(torch.dist)
def dist(a: Any, b: Any, p: float = 2) -> Any:
    """Norm of the difference."""
    return vector_norm(a - b, p)


@rule(F.pairwise_distance)
def pairwise_distance(a: Any, b: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """Norm of ``a - b + eps`` along the last axis."""
    return vector_norm(a - b + eps, p, -1, keepdim)


@rule(torch.cdist)
def cdist(a: Any, b: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    """Distances of all pairs, from their differences: exact near zero, unlike the form by products."""
    return vector_norm(a.unsqueeze(-2) - b.unsqueeze(-3), p, -1)


@rule(F.normalize)
def normalize(x: Jet, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: None = None) -> Jet:
    """Divide by the norm along an axis."""
    return x / vector_norm(x, p, dim, True).clamp(min=eps)
