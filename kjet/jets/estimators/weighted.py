"""Second-order operators with weights: constant, or different at each point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from ...errors import ConfigError
from ...typing import Float, MultiIndex, Tensor
from .columns import Block, Blocks, Columns, DiagonalColumns, MatrixColumns, PointColumns

__all__ = ["Weighted", "squares"]


@dataclass(frozen=True, eq=False)
class Weighted:
    """``sum_ij A_ij(x) u_ij``, the generator of a diffusion without its drift.

    Give exactly one of weight, diagonal and factor. Their values at the points go in, so they belong to these points
    and, where they require gradients, receive them.

    Args:
        weight: A itself, (d, d) or (n, d, d); symmetrised, may be indefinite.
        diagonal: Its diagonal (d,) or (n, d), where the rest is zero.
        factor: sigma with ``A = sigma diag(signs) sigma^T``, (d, r) or (n, d, r): the cheapest, since nothing needs
            to be decomposed.
        signs: For the columns of the factor, 1 or -1 each; all 1 by default.

    Raises:
        ConfigError: If not exactly one is given, a shape does not fit or an entry is not finite.

    >>> operator = Weighted(diagonal=torch.tensor([1.0, -2.0]))
    >>> operator.terms(2)
    {(2, 0): 1.0, (0, 2): -2.0}
    """

    weight: Float[Tensor, "*n d d"] | None = None
    diagonal: Float[Tensor, "*n d"] | None = None
    factor: Float[Tensor, "*n d r"] | None = None
    signs: Sequence[int] | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("weight", "diagonal", "factor") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ConfigError(f"Weighted takes one of weight, diagonal and factor; got {', '.join(given) or 'none'}")
        value = getattr(self, given[0])
        axes = (1, 2) if given[0] == "diagonal" else (2, 3)
        if value.ndim not in axes or (given[0] == "weight" and value.shape[-1] != value.shape[-2]):
            shapes = {"weight": "(d, d) or (n, d, d)", "diagonal": "(d,) or (n, d)", "factor": "(d, r) or (n, d, r)"}
            raise ConfigError(f"{given[0]} must have shape {shapes[given[0]]}; got {tuple(value.shape)}")
        if not bool(torch.isfinite(value).all()):
            raise ConfigError(f"{given[0]} has entries that are not finite")
        self._check_signs()

    def _check_signs(self) -> None:
        if self.signs is None:
            return
        if self.factor is None or len(self.signs) != self.factor.shape[-1] or any(abs(s) != 1 for s in self.signs):
            raise ConfigError("signs must be 1 or -1, one for each column of the factor")

    @property
    def d(self) -> int:
        """Number of coordinates."""
        if self.diagonal is not None:
            return self.diagonal.shape[-1]
        matrix = self.weight if self.factor is None else self.factor
        return matrix.shape[-2]  # type: ignore[union-attr]

    def check(self, d: int) -> None:
        """Compare the weight with the number of coordinates.

        Raises:
            ConfigError: If they do not fit.
        """
        if self.d != d:
            raise ConfigError(f"the weight is for {self.d} coordinates, but x has {d}")

    def matrix(self) -> Float[Tensor, "*n d d"]:
        """A itself."""
        if self.weight is not None:
            return self.weight
        if self.diagonal is not None:
            return torch.diag_embed(self.diagonal)
        assert self.factor is not None  # one of the three is given
        signed = self.factor if self.signs is None else self.factor * self.factor.new_tensor(self.signs)
        return signed @ self.factor.mT

    def terms(self, d: int) -> dict[MultiIndex, float | Tensor]:
        """Coefficients by multi-index; d (d + 1) / 2 of them."""
        self.check(d)
        matrix = self.matrix()
        constant = matrix.ndim == 2 and not matrix.requires_grad
        result: dict[MultiIndex, float | Tensor] = {}
        for i in range(d):
            for j in range(i, d):
                value = matrix[..., i, j] if i == j else matrix[..., i, j] + matrix[..., j, i]
                if bool((value != 0).any()):
                    index = tuple((k == i) + (k == j) for k in range(d))
                    result[index] = value.item() if constant else value
        return result or {(2, *(0,) * (d - 1)): 0.0}

    def blocks(self) -> Blocks:
        """Write A as sums of squares."""
        if self.diagonal is not None:
            return _of_diagonal(self.diagonal)
        if self.factor is not None:
            return _of_factor(self.factor, self.signs)
        assert self.weight is not None  # one of the three is given
        return squares(self.weight)


def squares(weight: Float[Tensor, "*n d d"]) -> Blocks:
    """Write ``sum_ij A_ij u_ij`` as ``sum_k s_k (sigma_k . grad)^2 u``.

    A constant weight by its eigenvectors, those of eigenvalue zero left out, or by its diagonal where that is all;
    one for each point by Cholesky factors where all are positive definite, else by the positive and the negative parts
    of the spectra, two blocks of d columns.

    Cost: O(d^3) for each matrix.
    """
    symmetric = 0.5 * (weight + weight.mT)
    if weight.ndim == 3:
        return _of_matrices(symmetric)
    diagonal = symmetric.diagonal()
    if bool((symmetric == torch.diag(diagonal)).all()):
        return _of_diagonal(diagonal)
    values, vectors = torch.linalg.eigh(symmetric.to(torch.float64))
    scale = 1e-14 * float(values.abs().max())
    rows = vectors.T * values.abs().sqrt().unsqueeze(1)
    return _blocks((s, MatrixColumns(rows[s * values > scale])) for s in (1, -1))


def _blocks(parts: Iterable[tuple[int, Columns]]) -> Blocks:
    return tuple(Block(float(sign), columns) for sign, columns in parts if columns.count)


def _of_matrices(symmetric: Float[Tensor, "n d d"]) -> Blocks:
    lower, failed = torch.linalg.cholesky_ex(symmetric)
    if not bool(failed.any()):
        return (Block(1.0, PointColumns(lower)),)
    values, vectors = torch.linalg.eigh(symmetric)
    scale = 1e3 * torch.finfo(values.dtype).eps * values.abs().amax(-1, keepdim=True)
    found: list[tuple[int, Columns]] = []
    for s in (1, -1):
        used = s * values > scale
        if bool(used.any()):
            roots = torch.where(used, s * values, 1.0).sqrt() * used
            found.append((s, PointColumns(vectors * roots.unsqueeze(-2))))
    return _blocks(found)


def _of_diagonal(diagonal: Float[Tensor, "*n d"]) -> Blocks:
    d = diagonal.shape[-1]
    found: list[tuple[int, Columns]] = []
    for s in (1, -1):
        used = s * diagonal > 0
        # The square root has no derivative at zero: leave zeros out before it, not after.
        roots = torch.where(used, s * diagonal, 1.0).sqrt() * used
        axes = (used if used.ndim == 1 else used.any(0)).nonzero()[:, 0]
        found.append((s, DiagonalColumns(axes, roots[..., axes], d)))
    return _blocks(found)


def _of_factor(factor: Float[Tensor, "*n d r"], signs: Sequence[int] | None) -> Blocks:
    given = torch.ones(factor.shape[-1]) if signs is None else torch.tensor(signs)
    found: list[tuple[int, Columns]] = []
    for s in (1, -1):
        part = factor[..., (given == s).nonzero()[:, 0].to(factor.device)]
        found.append((s, MatrixColumns(part.T) if part.ndim == 2 else PointColumns(part)))
    return _blocks(found)
