"""Fields with their uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ...typing import Float, Tensor

__all__ = ["Interval", "Prediction", "Predictor"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Mean and standard deviation by field, at points.

    Attributes:
        mean: Mean of each field.
        std: Standard deviation of each field.
    """

    mean: dict[str, Float[Tensor, " n"]]
    std: dict[str, Float[Tensor, " n"]]


@dataclass(frozen=True, eq=False)
class Interval:
    """Interval of each field at points.

    Attributes:
        mean: Middle.
        lower: Lower end.
        upper: Upper end.
    """

    mean: dict[str, Float[Tensor, " n"]]
    lower: dict[str, Float[Tensor, " n"]]
    upper: dict[str, Float[Tensor, " n"]]


class Predictor(Protocol):
    """What evaluates fields at points: a solution, an ensemble, a Laplace approximation."""

    def predict(self, points: Any) -> Any:
        """Evaluate the fields at points."""
        ...
