"""Sizes of coordinates and fields; networks are made for those of size one."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...problem import Problem
from ...typing import Float, Tensor
from ..model import Model

__all__ = ["FieldSize", "Magnitudes", "magnitudes"]

_SHOWN = 16  # coordinates that are listed


@dataclass(frozen=True)
class FieldSize:
    """A field over the domain.

    Attributes:
        mean: Mean value.
        deviation: Standard deviation.
        largest: Largest absolute value.
    """

    mean: float
    deviation: float
    largest: float


@dataclass(frozen=True)
class Magnitudes:
    """Sizes of what goes in and what comes out.

    Attributes:
        coords: Lowest and highest value of each coordinate; the first ones where there are very many.
        fields: Size of each field.
    """

    coords: dict[str, tuple[float, float]]
    fields: dict[str, FieldSize]

    @property
    def odd_coords(self) -> dict[str, float]:
        """Coordinates whose extent is far from one, more than a hundredfold."""
        extents = {name: high - low for name, (low, high) in self.coords.items()}
        return {name: extent for name, extent in extents.items() if not 0.01 <= extent <= 100}


def magnitudes(model: Model, problem: Problem, x: Float[Tensor, "n d"]) -> Magnitudes:
    """Measure coordinates by the domain's bounds and fields at points."""
    bounds = problem.domain.bounds[:_SHOWN].tolist()
    coords = {name: (low, high) for name, (low, high) in zip(problem.domain.coords, bounds, strict=False)}
    with torch.no_grad():
        y = model(x).double()
    fields = {
        name: FieldSize(float(u.mean()), float(u.std()), float(u.abs().max()))
        for name, u in zip(model.fields, y.unbind(-1), strict=True)
    }
    return Magnitudes(coords, fields)
