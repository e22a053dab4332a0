"""What a figure needs to know of a solution: names, ranges, and functions that evaluate it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor

__all__ = ["View"]

Fields = Callable[[Tensor], dict[str, Tensor]]


@dataclass(frozen=True, eq=False)
class View:
    """A solution as the figures see it: plain arrays and functions.

    The functions are given points (n, d) in the dtype and on the device of `bounds` and are called in batches; whether
    they record gradients is theirs to say. Points outside the domain are never passed to them.

    Args:
        coords: Names of the coordinates.
        bounds: Least and greatest value of each coordinate. A coordinate with equal values is held fixed.
        time: The coordinate that is time, if there is one.
        fields: Names of the fields to draw.
        inside: Tells for points (n, d) which of them (n,) lie in the domain; None where the domain is the whole box.
        predict: Evaluates the solution: points (n, d) to {field: (n,)}.
        reference: The same for a known solution. It may lack fields, and be NaN where it is not known.
        residual: Evaluates the residuals of the equations: points (n, d) to {equation: (n,)}.

    Raises:
        ConfigError: If names and bounds do not fit.

    >>> bounds = torch.tensor([[0.0, 1.0], [0.0, 2.0]])
    >>> view = View(("x", "t"), bounds, "t", ("u",), None, lambda p: {"u": p.sum(1)}, None, None)
    >>> view.free
    ('x', 't')
    """

    coords: tuple[str, ...]
    bounds: Float[Tensor, "d 2"]
    time: str | None
    fields: tuple[str, ...]
    inside: Callable[[Tensor], Tensor] | None
    predict: Fields
    reference: Fields | None
    residual: Fields | None

    def __post_init__(self) -> None:
        if not self.coords or len(set(self.coords)) < len(self.coords):
            raise ConfigError(f"coords = {self.coords}; expected at least one name, each given once.")
        if not self.fields:
            raise ConfigError("fields is empty; name at least one field to draw.")
        if self.bounds.shape != (len(self.coords), 2):
            raise ConfigError(
                f"bounds has shape {tuple(self.bounds.shape)}; expected ({len(self.coords)}, 2): the least and "
                f"the greatest value for each of the coordinates {', '.join(self.coords)}."
            )
        if not bool(torch.isfinite(self.bounds).all()) or bool((self.bounds[:, 0] > self.bounds[:, 1]).any()):
            raise ConfigError(f"bounds = {self.bounds.tolist()}; expected finite values, the lesser one first.")
        if self.time is not None and self.time not in self.coords:
            raise ConfigError(unknown("time coordinate", self.time, self.coords, "coords"))

    @property
    def free(self) -> tuple[str, ...]:
        """Coordinates that vary, in their order; the first one if none does."""
        varying = (self.bounds[:, 1] > self.bounds[:, 0]).tolist()
        return tuple(name for name, varies in zip(self.coords, varying, strict=True) if varies) or self.coords[:1]

    @property
    def space(self) -> tuple[str, ...]:
        """Coordinates that vary, time left out."""
        return tuple(name for name in self.free if name != self.time)

    @property
    def moving(self) -> str | None:
        """The time coordinate, if it varies."""
        return self.time if self.time in self.free else None

    def range(self, name: str) -> tuple[float, float]:
        """Return the least and the greatest value of a coordinate."""
        low, high = self.bounds[self.coords.index(name)].tolist()
        return low, high
