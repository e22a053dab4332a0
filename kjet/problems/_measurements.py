"""Noisy measurements at random places, which inverse problems share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor


@dataclass(frozen=True)
class MeasurementOptions:
    """Options of an inverse problem.

    Attributes:
        noise: Standard deviation of the measurements, relative to that of the field.
        sensors: Number of measurements.
        data_seed: Seed of their places and of the noise.
    """

    noise: float = 0.01
    sensors: int = 200
    data_seed: int = 0

    def __post_init__(self) -> None:
        self.check_positive("sensors")
        if self.noise < 0:
            raise ConfigError(f"problem.noise must not be negative; got {self.noise}")

    def check_positive(self, *names: str) -> None:
        """Refuse options that are not positive.

        Raises:
            ConfigError: If one is not.
        """
        for name in names:
            if not getattr(self, name) > 0:
                raise ConfigError(f"problem.{name} must be positive; got {getattr(self, name)}")

    def places(self, **ranges: tuple[float, float]) -> dict[str, Float[Tensor, " n"]]:
        """Draw places in a box, evenly, by name of the coordinate."""
        share = torch.rand(len(ranges), self.sensors, generator=self._generator(0), dtype=torch.float64)
        return {name: low + (high - low) * s for (name, (low, high)), s in zip(ranges.items(), share, strict=True)}

    def measured(self, exact: Mapping[str, Float[Tensor, " n"]]) -> dict[str, Any]:
        """Add independent Gaussian noise to each field."""
        generator = self._generator(1)
        return {
            name: values
            + self.noise * values.std() * torch.randn(len(values), generator=generator, dtype=torch.float64)
            for name, values in exact.items()
        }

    def _generator(self, stream: int) -> torch.Generator:
        return torch.Generator().manual_seed(2 * self.data_seed + stream)
