"""Parameters of equations and conditions: fixed numbers, or unknowns with bounds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import ConfigError
from ..typing import Tensor

__all__ = ["Unknown"]


@dataclass(frozen=True)
class Unknown:
    """A parameter to be found together with the solution, bounded by construction.

    With two bounds it is ``low + (high - low) sigmoid(s)``, with one ``low + exp(s)`` or ``high - exp(s)``, without any
    ``scale * s``, where s is what the optimizer sees.

    Args:
        initial: First guess, strictly inside the bounds.
        low: Lower bound, or None.
        high: Upper bound, or None.

    Raises:
        ConfigError: If the guess is not finite or not strictly between the bounds.

    >>> nu = Unknown(0.5, low=0.0, high=1.0)
    >>> nu.value(nu.start())
    tensor(0.5000, dtype=torch.float64)
    """

    initial: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        low = -math.inf if self.low is None else self.low
        high = math.inf if self.high is None else self.high
        if not math.isfinite(self.initial) or not low < self.initial < high:
            raise ConfigError(
                f"initial guess {self.initial} must be finite and strictly between the bounds "
                f"{self.low} and {self.high}"
            )

    def start(self) -> Tensor:
        """Value of the free variable s at the initial guess."""
        if self.low is not None and self.high is not None:
            share = (self.initial - self.low) / (self.high - self.low)
            return torch.tensor(math.log(share / (1 - share)), dtype=torch.float64)
        if self.low is not None:
            return torch.tensor(math.log(self.initial - self.low), dtype=torch.float64)
        if self.high is not None:
            return torch.tensor(math.log(self.high - self.initial), dtype=torch.float64)
        return torch.tensor(self.initial / self._scale, dtype=torch.float64)

    def value(self, s: Any) -> Any:
        """Map the free variable to the parameter."""
        if self.low is not None and self.high is not None:
            return self.low + (self.high - self.low) * torch.sigmoid(s)
        if self.low is not None:
            return self.low + torch.exp(s)
        if self.high is not None:
            return self.high - torch.exp(s)
        return self._scale * s

    @property
    def _scale(self) -> float:
        return abs(self.initial) or 1.0
