"""SOAP: Adam in the slowly turning eigenbasis of Shampoo's preconditioner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from .library import LibraryMethod

__all__ = ["SOAP"]


@dataclass(frozen=True)
class SOAP(LibraryMethod):
    """Adam on gradients that are rotated into the eigenvectors of ``E[G G^T]`` and ``E[G^T G]`` for each matrix ``G``.

    Between Adam and Gauss-Newton in cost and in progress, and at home where curvature methods are not: with points or
    directions drawn anew at each step. The first step only begins the averages. Schedules as for
    :class:`kjet.optim.Adam`. The eigenvectors are computed in float32 whatever the parameters are.

    Attributes:
        learning_rate: Rate of the first step; see :class:`FirstOrder` for it and its schedule.
        betas: Decay of the first and second moment; that of the preconditioner is the latter.
        eps: Added to the root of the second moment.
        every: Steps from one improvement of the eigenvectors, by a power iteration, to the next.
        max_size: Sides of matrices that are longer are not rotated.

    Raises:
        ConfigError: If a value is out of range.

    Cost: one gradient and O((m + n) m n) for each m x n matrix; m^2 + n^2 numbers are kept twice, beside two vectors of
    all parameters.

    Ref: Vyas et al., *SOAP: improving and stabilizing Shampoo using Adam*, 2024; Wang et al., *Gradient alignment in
    physics-informed neural networks: a second-order optimization perspective*, 2025. Computed by pytorch_optimizer.

    >>> SOAP(schedule="linear", total_steps=100).rate(50)
    0.0015
    """

    learning_rate: float = 3e-3
    betas: tuple[float, float] = (0.95, 0.95)
    eps: float = 1e-8
    every: int = 10
    max_size: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = (
            isinstance(self.betas, tuple | list) and len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        )
        self._require(valid, "betas", "two numbers in [0, 1)", "Use (0.95, 0.95).")
        self._require(self.eps > 0, "eps", "a positive number", "Use 1e-8.")
        self._require(isinstance(self.every, int) and self.every >= 1, "every", "a positive integer", "Use 10.")
        self._require(self.max_size >= 1, "max_size", "a positive integer", "Use 512.")

    def _make(self, parameters: Sequence[nn.Parameter], rate: float) -> torch.optim.Optimizer:
        from pytorch_optimizer.optimizer import soap  # here, as it brings large packages along

        return soap.SOAP(
            parameters,
            lr=rate,
            betas=self.betas,
            weight_decay=0.0,
            precondition_frequency=self.every,
            max_precondition_dim=self.max_size,
            eps=self.eps,
        )
