"""Squares of estimated residuals: the biased one, the unbiased one, and how much they differ."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import ConfigError
from ...typing import Float, Tensor

__all__ = ["Bias", "bias_report", "squared_loss", "two_sample_loss"]


def squared_loss(residual: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """``r^2`` at each point.

    Biased where r holds an estimate: ``E (Lhat u - f)^2 = (L u - f)^2 + Var Lhat u``. Minimising it also flattens what
    the estimator's variance depends on, such as the diagonal of the Hessian for sparse directions. The bias falls as
    1/R; :func:`two_sample_loss` has none and :func:`bias_report` tells how large it is.

    >>> import torch
    >>> squared_loss(torch.tensor([3.0, -1.0])).tolist()
    [9.0, 1.0]
    """
    return residual.square()


def two_sample_loss(residual_a: Float[Tensor, "*n"], residual_b: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """``r_a r_b`` at each point: unbiased for ``(L u - f)^2`` if the two come from independent draws.

    Single values can be negative, and so can a mean over few points. The cost is that of two draws; with half of the
    samples each it is that of one. Independent: two draws from one generator, one after the other.

    Raises:
        ConfigError: If the shapes differ.

    Ref: Shi, Hu, Lin, Kawaguchi, *Stochastic Taylor Derivative Estimator*, 2024, section 4.

    >>> import torch
    >>> two_sample_loss(torch.tensor([3.0, 1.0]), torch.tensor([2.0, -1.0])).tolist()
    [6.0, -1.0]
    """
    _check(residual_a, residual_b)
    return residual_a * residual_b


@dataclass(frozen=True)
class Bias:
    """Mean squared residual, with and without bias.

    Attributes:
        squared: Mean of the biased loss of one draw.
        unbiased: Mean of the two-sample loss; may be negative where it is small.
        variance: Their difference, an unbiased estimate of the mean variance of one draw.
    """

    squared: float
    unbiased: float
    variance: float

    def __str__(self) -> str:
        share = self.variance / self.squared if self.squared else 0.0
        return (
            f"squared residual {self.squared:.3e}: {self.unbiased:.3e} and variance {self.variance:.3e} ({share:.0%})"
        )


def bias_report(residual_a: Float[Tensor, "*n"], residual_b: Float[Tensor, "*n"]) -> Bias:
    """Tell how much of the squared loss is variance of the estimator.

    ``(a^2 + b^2) / 2 - a b = (a - b)^2 / 2``, whose mean is the variance of one draw.

    Raises:
        ConfigError: If the shapes differ.

    >>> import torch
    >>> print(bias_report(torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0])))
    squared residual 3.750e+00: 3.500e+00 and variance 2.500e-01 (7%)
    """
    _check(residual_a, residual_b)
    a, b = residual_a.detach(), residual_b.detach()
    squared, variance = float((a.square() + b.square()).mean() / 2), float((a - b).square().mean() / 2)
    return Bias(squared, squared - variance, variance)


def _check(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ConfigError(f"residuals of two draws must have one shape; got {tuple(a.shape)} and {tuple(b.shape)}")
