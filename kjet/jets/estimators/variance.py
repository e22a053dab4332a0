"""Variances of the estimators in closed form, for tests, documentation and choosing between them."""

from __future__ import annotations

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor

__all__ = [
    "fourth_gaussian",
    "fourth_rademacher",
    "fourth_sparse",
    "fourth_sphere",
    "variance_gaussian",
    "variance_rademacher",
    "variance_sparse",
    "variance_sphere",
]


def variance_sparse(diagonal: Float[Tensor, "*n d"], samples: int, replacement: bool = False) -> Float[Tensor, "*n"]:
    """Variance of ``d/R sum_r h_{i_r}`` for the diagonal h of the Hessian, or any d numbers that are summed.

    ``d^2 S^2 (1 - R/d) / R`` without replacement, S^2 with d - 1 below; ``d^2 s^2 / R`` with it, s^2 with d below.

    Raises:
        ConfigError: If samples exceed d without replacement.

    Ref: Cochran, *Sampling Techniques*, 1977, theorem 2.2.

    >>> variance_sparse(torch.tensor([1.0, 3.0]), samples=1).item()
    4.0
    """
    d = diagonal.shape[-1]
    if replacement:
        return d**2 * diagonal.var(-1, correction=0) / samples
    if samples > d:
        raise ConfigError(f"{samples} samples of {d} numbers cannot be drawn without replacement")
    if samples == d:
        return torch.zeros_like(diagonal[..., 0])
    return d**2 * diagonal.var(-1) * (1 - samples / d) / samples


def variance_rademacher(hessian: Float[Tensor, "*n d d"], samples: int) -> Float[Tensor, "*n"]:
    """Variance of the Laplacian from R sign vectors: ``2 sum_{i != j} H_ij^2 / R``.

    For ``sum_ij A_ij u_ij`` with ``A = L L^T`` put ``L^T H L``; likewise for the other laws.

    >>> variance_rademacher(torch.tensor([[5.0, 1.0], [1.0, 7.0]]), samples=2).item()
    2.0
    """
    squares = hessian.square()
    return 2 * (squares.sum((-2, -1)) - squares.diagonal(dim1=-2, dim2=-1).sum(-1)) / samples


def variance_gaussian(hessian: Float[Tensor, "*n d d"], samples: int) -> Float[Tensor, "*n"]:
    """Variance of the Laplacian from R Gaussian vectors: ``2 |H|_F^2 / R``.

    >>> variance_gaussian(torch.eye(3), samples=3).item()
    2.0
    """
    return 2 * hessian.square().sum((-2, -1)) / samples


def variance_sphere(hessian: Float[Tensor, "*n d d"], samples: int) -> Float[Tensor, "*n"]:
    """Variance of the Laplacian from R vectors on the sphere: ``2 d / (d + 2) (|H|_F^2 - tr(H)^2 / d) / R``.

    >>> variance_sphere(torch.eye(3), samples=1).item()
    0.0
    """
    d = hessian.shape[-1]
    trace = hessian.diagonal(dim1=-2, dim2=-1).sum(-1)
    return 2 * d / (d + 2) * (hessian.square().sum((-2, -1)) - trace**2 / d) / samples


def _partial_trace(fourth: Tensor) -> Tensor:
    return torch.einsum("...ijkk->...ij", fourth)


def _eighth_moment(fourth: Tensor) -> Tensor:
    """``E (T v v v v)^2`` for a Gaussian v, by pairing the eight factors in the 105 ways: 24 + 72 + 9."""
    traced = _partial_trace(fourth)
    whole = fourth.square().sum((-4, -3, -2, -1))
    twice = torch.einsum("...ii->...", traced)
    return 24 * whole + 72 * traced.square().sum((-2, -1)) + 9 * twice**2


def fourth_gaussian(fourth: Float[Tensor, "*n d d d d"], samples: int) -> Float[Tensor, "*n"]:
    """Variance of the biharmonic operator from R Gaussian vectors: ``(24 |T|^2 + 72 |tr T|^2) / (9 R)``.

    T is the symmetric tensor of fourth derivatives, ``(tr T)_ij = sum_k T_ijkk``.
    """
    square = torch.einsum("...iijj->...", fourth) ** 2
    return (_eighth_moment(fourth) - 9 * square) / (9 * samples)


def fourth_sphere(fourth: Float[Tensor, "*n d d d d"], samples: int) -> Float[Tensor, "*n"]:
    """Variance of the biharmonic operator from R vectors on the sphere of radius sqrt(d).

    Moments of order 2 m are the Gaussian ones times ``d^m / (d (d + 2) ... (d + 2 m - 2))``.
    """
    d = fourth.shape[-1]
    eighth = d**4 / (d * (d + 2) * (d + 4) * (d + 6)) * _eighth_moment(fourth)
    square = torch.einsum("...iijj->...", fourth) ** 2
    return (eighth * ((d + 2) / (3 * d)) ** 2 - square) / samples


def fourth_rademacher(fourth: Float[Tensor, "*n d d d d"], samples: int, corrections: int) -> Float[Tensor, "*n"]:
    """Variance of the biharmonic operator from R sign vectors, with ``2/3 sum_i d_i^4`` from some of the axes.

    The quartic form in signs is a sum of orthogonal monomials ``v_i v_j v_k v_l`` and ``v_i v_j``; the two parts are
    drawn independently, so their variances add.
    """
    d = fourth.shape[-1]
    traced = _partial_trace(fourth)
    cubed = torch.einsum("...iiij->...ij", fourth)
    # Over i < j: 4 T_iiij + 4 T_ijjj + 12 sum_{k != i, j} T_ijkk
    pairs = 12 * traced - 8 * cubed - 8 * cubed.mT
    quadratic = torch.triu(pairs, 1).square().sum((-2, -1))
    place = torch.arange(d, device=fourth.device)
    i, j, k, l = torch.meshgrid(place, place, place, place, indexing="ij")  # noqa: E741
    rising = (i < j) & (j < k) & (k < l)
    quartic = ((24 * fourth).square() * rising).sum((-4, -3, -2, -1))
    pure = torch.einsum("...iiii->...i", fourth)
    return (quadratic + quartic) / (9 * samples) + variance_sparse(pure, min(corrections, d)) * (4 / 9)


def fourth_sparse(mixed: Float[Tensor, "*n d d"], samples: int, replacement: bool = False) -> Float[Tensor, "*n"]:
    """Variance of the biharmonic operator from R pairs of coordinates.

    Args:
        mixed: ``u_iijj``, the fourth derivatives that make up the operator.
        samples: Pairs drawn.
        replacement: Whether they are drawn independently.
    """
    d = mixed.shape[-1]
    i, j = torch.triu_indices(d, d, 1, device=mixed.device)
    pure = mixed.diagonal(dim1=-2, dim2=-1)
    shares = 2 * mixed[..., i, j] + (pure[..., i] + pure[..., j]) / (d - 1)
    return variance_sparse(shares, samples, replacement)
