"""Noise and prior precision of a Bayesian linear model, by its marginal likelihood."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ...typing import Float, Tensor

__all__ = ["Evidence", "log_evidence", "maximise_evidence"]


@dataclass(frozen=True)
class Evidence:
    """Precisions that maximise the marginal likelihood.

    Attributes:
        noise: Precision beta of each scaled residual.
        prior: Precision alpha of each parameter.
        value: Logarithm of the marginal likelihood.
        freedom: Parameters that the residuals determine.
    """

    noise: float
    prior: float
    value: float
    freedom: float


def log_evidence(
    eigenvalues: Float[Tensor, " p"], rows: int, misfit: float, size: float, noise: float, prior: float
) -> float:
    """Logarithm of the marginal likelihood in Laplace's approximation.

    ``-beta |r|^2 / 2 - alpha |theta|^2 / 2 + (N log(beta / 2 pi) + p log alpha - sum_i log(beta l_i + alpha)) / 2``.

    Args:
        eigenvalues: ``l_i`` of ``J^T J``.
        rows: Number N of residuals.
        misfit: ``|r|^2``.
        size: ``|theta|^2``, from the mean of the prior.
        noise: Precision beta.
        prior: Precision alpha.

    Ref: Bishop, *Pattern recognition and machine learning*, 2006, eq. (3.86).
    """
    determinant = float((noise * eigenvalues + prior).log().sum())
    p = len(eigenvalues)
    fit = -noise * misfit - prior * size + rows * math.log(noise / (2 * math.pi))
    return 0.5 * (fit + p * math.log(prior) - determinant)


def maximise_evidence(
    eigenvalues: Float[Tensor, " p"], rows: int, misfit: float, size: float, noise: float | None = None,
    prior: float | None = None, *, steps: int = 200,
) -> Evidence:  # fmt: skip
    """Find the precisions by MacKay's fixed point, those that are not given.

    ``gamma = sum_i beta l_i / (beta l_i + alpha)``, ``alpha = gamma / |theta|^2``, ``beta = (N - gamma) / |r|^2``.

    Args:
        eigenvalues: Of ``J^T J``.
        rows: Number of residuals.
        misfit: ``|r|^2``.
        size: ``|theta|^2``.
        noise: Precision of the residuals, if known.
        prior: Precision of the parameters, if known.
        steps: Most iterations.

    Ref: MacKay, *Bayesian interpolation*, 1992.

    >>> import torch
    >>> found = maximise_evidence(torch.tensor([100.0, 1.0]), rows=10, misfit=0.1, size=4.0)
    >>> 1 < found.freedom < 2
    True
    """
    l = eigenvalues.double().clamp(min=0)  # noqa: E741  (lambda is taken)
    tiny = 1e-300
    beta, alpha = noise or rows / max(misfit, tiny), prior or len(l) / max(size, tiny)
    gamma = 0.0
    for _ in range(steps):
        gamma = float((beta * l / (beta * l + alpha)).sum())
        new_alpha = prior or max(gamma, tiny) / max(size, tiny)
        new_beta = noise or max(rows - gamma, 1.0) / max(misfit, tiny)
        moved = abs(math.log(new_alpha / alpha)) + abs(math.log(new_beta / beta))
        alpha, beta = new_alpha, new_beta
        if moved < 1e-10:
            break
    return Evidence(beta, alpha, log_evidence(l, rows, misfit, size, beta, alpha), gamma)
