"""Periodicity by construction: coordinates enter through sines and cosines of their period."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..errors import ConfigError, unknown
from ..jets import Jet
from ..typing import Float, Tensor

__all__ = ["PeriodicEmbedding"]


class PeriodicEmbedding(nn.Module):
    """Replace periodic coordinates by ``sin`` and ``cos`` of ``2 pi k (x - low) / length`` for k = 1 to `harmonics`.

    Any network behind it is periodic with all its derivatives. Columns of the result: the other coordinates in their
    order, mapped to [-1, 1] if `input_range` is given; the sines, harmonic by harmonic; the cosines likewise.
    A network behind it should be built with ``input_range=embedding.output_range``.

    Args:
        coords: Names of the coordinates, one for each column of the input.
        periods: Periodic coordinate to ``(low, length)`` of one period.
        harmonics: Number of harmonics.
        input_range: Lower and upper bound of each coordinate; those of periodic ones are not used.
        dtype: Floating type of the buffers; torch's default if None.
        device: Device of the buffers.

    Raises:
        ConfigError: If a coordinate is unknown, a length not positive, or the range does not fit.

    Ref: Dong, Ni, *A method for representing periodic functions and enforcing exactly periodic boundary conditions
    with deep neural networks*, 2021.

    >>> embedding = PeriodicEmbedding(("x", "t"), {"x": (0.0, 2.0)})
    >>> embedding(torch.tensor([[0.5, 7.0]])).round(decimals=4) + 0.0
    tensor([[7., 1., 0.]])
    """

    kept: Tensor
    centre: Tensor
    inverse: Tensor
    periodic: Tensor
    low: Tensor
    frequency: Tensor

    def __init__(
        self,
        coords: Sequence[str],
        periods: Mapping[str, tuple[float, float]],
        harmonics: int = 1,
        *,
        input_range: Float[Tensor, "d 2"] | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.coords = tuple(coords)
        self.scaled = input_range is not None
        self.harmonics = harmonics
        _check(self.coords, periods, harmonics)
        kind = torch.get_default_dtype() if dtype is None else dtype

        def buffer(name: str, values: Sequence[float] | Tensor, of: torch.dtype) -> None:
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float64).to(of).to(device))

        others = [i for i, name in enumerate(self.coords) if name not in periods]
        low, high = _bounds(input_range, self.coords, others)
        buffer("kept", others, torch.long)
        buffer("centre", 0.5 * (low + high), kind)
        buffer("inverse", 2.0 / (high - low), kind)

        columns = [(i, *periods[name]) for i, name in enumerate(self.coords) if name in periods]
        orders = range(1, harmonics + 1)
        buffer("periodic", [i for _ in orders for i, _, _ in columns], torch.long)
        buffer("low", [start for _ in orders for _, start, _ in columns], kind)
        buffer("frequency", [2 * math.pi * k / length for k in orders for _, _, length in columns], kind)

    @property
    def out_features(self) -> int:
        """Number of columns of the result."""
        return self.kept.numel() + 2 * self.periodic.numel()

    @property
    def output_range(self) -> Float[Tensor, "c 2"] | None:
        """Bounds of the columns of the result: [-1, 1]; None if some coordinate passes through unscaled."""
        if self.kept.numel() and not self.scaled:
            return None
        return torch.tensor([[-1.0, 1.0]], dtype=torch.float64).repeat(self.out_features, 1)

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n c"] | Jet:
        """Embed points, or jets of them."""
        if x.shape[-1] != len(self.coords):
            raise ConfigError(f"points have {x.shape[-1]} columns; expected one for each of {self.coords}")
        # Subtracting before scaling makes the phase exactly zero at the lower end.
        phase = torch.sub(x.index_select(-1, self.periodic), self.low) * self.frequency
        waves = [torch.sin(phase), torch.cos(phase)]
        if not self.kept.numel():
            return torch.cat(waves, -1)
        rest = x.index_select(-1, self.kept)
        return torch.cat([torch.sub(rest, self.centre) * self.inverse if self.scaled else rest, *waves], -1)


def _check(coords: tuple[str, ...], periods: Mapping[str, tuple[float, float]], harmonics: int) -> None:
    if not periods:
        raise ConfigError(f"no periodic coordinate is given; name one of {coords}, as in {{'x': (0.0, 1.0)}}")
    if not isinstance(harmonics, int) or harmonics < 1:
        raise ConfigError(f"harmonics = {harmonics!r}; expected a positive integer. Use 1")
    for name, (low, length) in periods.items():
        if name not in coords:
            raise ConfigError(unknown("coordinate", name, coords))
        if not (math.isfinite(low) and math.isfinite(length) and length > 0):
            raise ConfigError(
                f'the period of "{name}" is ({low}, {length}); expected (low, length) with a positive length'
            )


def _bounds(input_range: Tensor | None, coords: tuple[str, ...], others: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Bounds of the coordinates that are not periodic."""
    box = torch.tensor([[-1.0, 1.0]], dtype=torch.float64).repeat(len(coords), 1)
    if input_range is not None:
        box = torch.as_tensor(input_range).detach().to("cpu", torch.float64)
        if box.shape != (len(coords), 2):
            raise ConfigError(
                f"input_range has shape {tuple(box.shape)}; expected ({len(coords)}, 2), one row (low, high) for each "
                f"of {coords}"
            )
    box = box[list(others)]
    if not bool((torch.isfinite(box).all(-1) & (box[:, 0] < box[:, 1])).all()):
        names = [coords[i] for i in others]
        raise ConfigError(f"input_range is {box.tolist()} for {names}; expected finite bounds with low < high")
    return box[:, 0], box[:, 1]
