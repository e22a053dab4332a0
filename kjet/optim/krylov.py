"""Conjugate gradients for damped systems that are known by their products only."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..typing import Float, Tensor
from .capabilities import Products

__all__ = ["DenseProducts", "Krylov", "accurate_dtype", "conjugate_gradients", "forcing_term", "least_squares"]

Product = Callable[[Tensor], Tensor]

_LEAST_FORCING = 1e-12


def accurate_dtype(device: torch.device) -> torch.dtype:
    """Return the type in which vectors of an iteration are kept: float64, but on Metal, which has none.

    >>> accurate_dtype(torch.device("cpu"))
    torch.float64
    """
    return torch.float32 if device.type == "mps" else torch.float64


@dataclass(frozen=True)
class Krylov:
    """Result of conjugate gradients.

    Attributes:
        x: Solution, as far as it was taken.
        gain: ``2 b.x - x.(A + lambda I) x``, twice the decrease of the quadratic; free of cancellation.
        iterations: Products with ``A``.
        relative: Norm of the residual over that of ``b``, in the norm of the preconditioner.
        indefinite: Whether a direction of negative curvature ended the iteration.
    """

    x: Float[Tensor, " p"]
    gain: float
    iterations: int
    relative: float
    indefinite: bool = False


@dataclass(frozen=True)
class DenseProducts:
    """Products with a Jacobian that is at hand.

    Attributes:
        residual: ``r``.
        jacobian: ``J``.
    """

    residual: Float[Tensor, " r"]
    jacobian: Float[Tensor, "r p"]

    def jvp(self, v: Float[Tensor, "*b p"]) -> Float[Tensor, "*b r"]:
        """Return ``J v``."""
        return v @ self.jacobian.T

    def vjp(self, z: Float[Tensor, "*b r"]) -> Float[Tensor, "*b p"]:
        """Return ``J^T z``."""
        return z @ self.jacobian


def conjugate_gradients(
    apply: Product,
    b: Float[Tensor, " p"],
    shift: float,
    precondition: Product | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 1000,
) -> Krylov:
    """Solve ``(A + shift I) x = b`` from ``x = 0``, for a symmetric ``A``.

    Every iterate descends: ``b . x > 0``. At a direction of negative curvature the iteration ends with what it has; if
    that is nothing, with the preconditioned ``b``.

    Args:
        apply: ``v -> A v``.
        b: Right-hand side.
        shift: Added to the diagonal.
        precondition: Approximate inverse, positive definite; None for the identity.
        tolerance: Relative size of the residual that ends the iteration.
        max_iterations: Most products with ``A``.

    Ref: Steihaug, *The conjugate gradient method and trust regions in large scale optimization*, 1983.

    >>> A = torch.diag(torch.tensor([1.0, 2.0], dtype=torch.float64))
    >>> conjugate_gradients(lambda v: A @ v, A.diagonal(), shift=0.0).x
    tensor([1., 1.], dtype=torch.float64)
    """
    precondition = precondition or _identity
    x, residual = torch.zeros_like(b), b.clone()
    z = precondition(residual)
    d, gamma, gain, k = z, float(residual @ z), 0.0, 0
    first = gamma
    while k < max_iterations and gamma > tolerance**2 * first > 0:
        product = apply(d) + shift * d
        k += 1
        curvature = float(d @ product)
        if not curvature > 0:
            return Krylov(x if k > 1 else z, gain or gamma, k, _root(gamma / first), indefinite=True)
        alpha = gamma / curvature
        x = x + alpha * d
        residual = residual - alpha * product
        gain += alpha * gamma
        z = precondition(residual)
        before, gamma = gamma, float(residual @ z)
        d = z + (gamma / before) * d
    return Krylov(x, gain, k, _root(gamma / first) if first > 0 else 0.0)


def least_squares(
    products: Products,
    gradient: Float[Tensor, " p"],
    shift: float,
    precondition: Product | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 1000,
    right: Float[Tensor, " r"] | None = None,
) -> Krylov:
    """Minimize ``|r - J x|^2 + shift |x|^2`` from ``x = 0`` by conjugate gradients on the normal equations.

    ``J^T J`` is never applied as such: the residual ``r - J x`` is carried along, so that rounding enters with the
    condition number of ``J`` and not with its square. An iteration takes a product with ``J`` and one with ``J^T``.

    Args:
        products: ``r``, ``J`` and ``J^T``.
        gradient: ``J^T r``; its type is that of the iteration.
        shift: Damping.
        precondition: Approximate inverse of ``J^T J + shift I``; None for the identity.
        tolerance: Relative size of the gradient that ends the iteration.
        max_iterations: Most iterations.
        right: Takes the place of ``r``; the gradient is then ``J^T`` times that.

    Ref: Hestenes and Stiefel, *Methods of conjugate gradients for solving linear systems*, 1952, section 10.

    >>> J = torch.tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    >>> products = DenseProducts(torch.ones(2, dtype=torch.float64), J)
    >>> least_squares(products, J.T @ products.residual, shift=0.0).x
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    precondition, given = precondition or _identity, products.residual.dtype
    x, left = torch.zeros_like(gradient), (products.residual if right is None else right).to(gradient)
    slope, z = gradient, precondition(gradient)
    d, gamma, gain, k = z, float(slope @ z), 0.0, 0
    first = gamma
    while k < max_iterations and gamma > tolerance**2 * first > 0:
        product = products.jvp(d.to(given)).to(gradient)
        k += 1
        curvature = float(product @ product) + shift * float(d @ d)
        if not 0 < curvature < math.inf:
            break
        alpha = gamma / curvature
        x = x + alpha * d
        left = left - alpha * product
        gain += alpha * gamma
        slope = products.vjp(left.to(given)).to(gradient) - shift * x
        z = precondition(slope)
        before, gamma = gamma, float(slope @ z)
        d = z + (gamma / before) * d
    return Krylov(x, gain, k, _root(gamma / first) if first > 0 else 0.0)


def forcing_term(norm: float, before: float | None, last: float | None, most: float) -> float:
    """Return how accurately a Newton system is worth solving, from how fast the gradient falls.

    ``eta = (|g_k| / |g_{k-1}|)^2``, no less than ``eta_{k-1}^2`` where that is above 1/10, and at most `most`.

    Args:
        norm: ``|g_k|``.
        before: ``|g_{k-1}|``; None at the first step.
        last: ``eta_{k-1}``.
        most: Largest value, taken at the first step.

    Ref: Eisenstat and Walker, *Choosing the forcing terms in an inexact Newton method*, 1996, choice 2.

    >>> forcing_term(1.0, None, None, 0.1), forcing_term(1e-3, 1e-1, 0.1, 0.5)
    (0.1, 0.0001)
    """
    if before is None or not before > 0:
        return most
    eta = round((norm / before) ** 2, 15)
    if last is not None and last**2 > 0.1:
        eta = max(eta, last**2)
    return min(max(eta, _LEAST_FORCING), most)


def _identity(v: Tensor) -> Tensor:
    return v


def _root(value: float) -> float:
    return math.sqrt(max(value, 0.0))
