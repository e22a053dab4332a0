"""What a network must know of the coordinates before it can be built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..constraints import Periodic, PeriodicEmbedding
from ..operators import Conditioned, NetworkConfig, Regional
from ..pde import Piecewise
from ..problem import Problem
from ..typing import Float, Tensor
from .settings import ConstraintConfig

__all__ = ["Inputs", "repeated_conditions"]


@dataclass(frozen=True, eq=False)
class Inputs:
    """Coordinates as a network takes them.

    Attributes:
        coords: Names.
        bounds: Lowest and highest value of each, mapped to -1 and 1.
        periods: Periodic coordinate to its start and length.
        harmonics: Sines and cosines for each periodic coordinate.
        parameters: Coordinates that are parameters of the problem.
        boxes: Bounding boxes of the regions, each of which gets a network of its own; None for one network.
    """

    coords: tuple[str, ...]
    bounds: Float[Tensor, "d 2"]
    periods: Mapping[str, tuple[float, float]]
    harmonics: int = 1
    parameters: tuple[str, ...] = ()
    boxes: Float[Tensor, "k d 2"] | None = None

    @classmethod
    def of(cls, problem: Problem, constraint: ConstraintConfig) -> Inputs:
        """Return what follows from a problem and the way to impose its conditions."""
        coords, bounds = problem.domain.coords, problem.domain.bounds
        repeated = [] if constraint.name == "soft" else repeated_conditions(problem)
        sides = {c.coord: bounds[coords.index(c.coord)].tolist() for c in repeated}
        periods = {name: (low, high - low) for name, (low, high) in sides.items()}
        boxes = problem.equation.partition.boxes if isinstance(problem.equation, Piecewise) else None
        return cls(coords, bounds, periods, constraint.harmonics or problem.harmonics, problem.domain.parameters, boxes)

    @classmethod
    def from_plain(cls, coords: tuple[str, ...], values: Mapping[str, Any]) -> Inputs:
        """Make what :meth:`plain` described."""
        periods = {name: (float(low), float(length)) for name, (low, length) in values["periods"].items()}
        bounds = torch.tensor(values["bounds"], dtype=torch.float64)
        if "counts" in values:
            bounds = bounds.repeat_interleave(torch.tensor(values["counts"]), dim=0)
        parameters = tuple(str(name) for name in values.get("parameters", ()))
        regions = values.get("boxes")
        boxes = None if regions is None else torch.tensor(regions, dtype=torch.float64)
        return cls(coords, bounds, periods, int(values["harmonics"]), parameters, boxes)

    def plain(self) -> dict[str, Any]:
        """Return all but the names as numbers that JSON can hold; bounds that repeat are written once, with a count."""
        bounds, counts = torch.unique_consecutive(self.bounds, dim=0, return_counts=True)
        runs = {"bounds": bounds.tolist(), "counts": counts.tolist()}
        own = {"periods": dict(self.periods), "harmonics": self.harmonics, "parameters": list(self.parameters)}
        regions = {} if self.boxes is None else {"boxes": self.boxes.tolist()}
        return {**runs, **own, **regions}

    def build(
        self, network: NetworkConfig, outputs: int, *, generator: torch.Generator, dtype: Any, device: Any
    ) -> nn.Module:
        """Make the network, behind an embedding of the periodic coordinates if there are any; or one for each region.

        Raises:
            ConfigError: If the network needs parameters among the coordinates, and there are none.
        """
        if isinstance(network, Conditioned):
            # an embedding moves what it keeps to the front
            kept = [name for name in self.coords if name not in self.periods]
            network = network.conditioned([kept.index(name) for name in self.parameters])
        options: dict[str, Any] = {"dtype": dtype, "device": device}
        if self.boxes is not None:  # conditions are read region by region there, none is periodic as a whole
            d, each = len(self.coords), outputs // len(self.boxes)
            return Regional(network.build(d, each, input_range=b, generator=generator, **options) for b in self.boxes)
        if not self.periods:
            d = len(self.coords)
            return network.build(d, outputs, input_range=self.bounds, generator=generator, **options)
        embedding = PeriodicEmbedding(self.coords, self.periods, self.harmonics, input_range=self.bounds, **options)
        columns, bounds = embedding.out_features, embedding.output_range
        core = network.build(columns, outputs, input_range=bounds, generator=generator, **options)
        return nn.Sequential(embedding, core)


def repeated_conditions(problem: Problem) -> list[Periodic]:
    """Return the conditions in which every field repeats, which an embedding has exactly."""
    everything = set(problem.fields)
    return [c for c in problem.conditions if isinstance(c, Periodic) and set(c.fields or everything) == everything]
