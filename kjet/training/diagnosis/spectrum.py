"""The neural tangent kernel of a loss: how fast which part of the residual can be trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...typing import Float, Tensor
from ..objective import ResidualObjective

__all__ = ["Spectrum", "effective_rank", "tangent_spectrum"]


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of ``K = J J^T`` with the Jacobian J of the residuals, scaled as in the loss.

    Under gradient flow the residual obeys ``dr/ds = -K r`` up to a factor: eigenvalues are rates.

    Attributes:
        rows: Residuals.
        parameters: Columns of the Jacobian.
        largest: Largest eigenvalue.
        smallest: Smallest of the ``min(rows, parameters)`` that can differ from zero.
        condition: Ratio of the two.
        effective_rank: Exponential of the entropy of the eigenvalues.
        rates: Trace of the block of each term, its mean rate times its residuals.
        deciles: Eigenvalues at 0, 10, ... 100 % of the way down.
    """

    rows: int
    parameters: int
    largest: float
    smallest: float
    condition: float
    effective_rank: float
    rates: dict[str, float]
    deciles: tuple[float, ...]


def effective_rank(eigenvalues: Float[Tensor, " k"]) -> float:
    """Exponential of the entropy of eigenvalues as shares of their sum.

    Ref: Roy, Vetterli, *The effective rank: a measure of effective dimensionality*, 2007.

    >>> round(effective_rank(torch.tensor([1.0, 1.0, 0.0])), 6)
    2.0
    """
    shares = eigenvalues.double().clamp(min=0)
    total = float(shares.sum())
    return float(torch.special.entr(shares / total).sum().exp()) if total > 0 else 0.0


def tangent_spectrum(objective: ResidualObjective) -> Spectrum:
    """Compute the spectrum of the tangent kernel of few residuals.

    Args:
        objective: A sum of squares at few points.

    Cost: one Jacobian, ``r^2 p`` products and ``r^3``.

    Ref: Wang, Yu, Perdikaris, *When and why PINNs fail to train: a neural tangent kernel perspective*, 2022.
    """
    _, jacobian = objective.residual_and_jacobian(objective.model.flat())
    r, p = jacobian.shape
    J = jacobian.to(torch.float64) if jacobian.device.type != "mps" else jacobian
    values = torch.linalg.eigvalsh(J @ J.T if r <= p else J.T @ J).clamp(min=0).flip(0)
    largest, smallest = float(values[0]), float(values[-1])
    # below this an eigenvalue is rounding
    floor = largest * max(r, p) * torch.finfo(J.dtype).eps
    rates, start = {}, 0
    for term in objective.terms:
        stop = start + term.rows * len(term.recorded.names)
        rates[term.name] = float(J[start:stop].square().sum())
        start = stop
    places = torch.linspace(0, len(values) - 1, 11).round().long()
    return Spectrum(
        r, p, largest, smallest, largest / max(smallest, floor, 1e-300), effective_rank(values), rates,
        tuple(values[places.to(values.device)].tolist()),
    )  # fmt: skip
