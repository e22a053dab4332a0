"""Names that a residual may use."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError, unknown
from ..typing import MultiIndex

__all__ = ["Frame"]


@dataclass(frozen=True)
class Frame:
    """Names that a residual may use.

    Attributes:
        coords: All coordinates, in the order of the network's inputs.
        fields: Unknown functions, in the order of the network's outputs.
        space: Coordinates that grad, div, lap sum over.
        time: Name of the time coordinate, or None.
        parameters: Names of the equation's parameters.

    >>> frame = Frame(coords=("x", "t"), fields=("u",), space=("x",), time="t")
    >>> frame.d, frame.axis("t"), frame.unit(1)
    (2, 1, (0, 1))
    """

    coords: tuple[str, ...]
    fields: tuple[str, ...]
    space: tuple[str, ...] = ()
    time: str | None = None
    parameters: tuple[str, ...] = ()

    @property
    def d(self) -> int:
        """Number of coordinates."""
        return len(self.coords)

    def axis(self, name: str) -> int:
        """Column of a coordinate.

        Raises:
            ConfigError: If there is no such coordinate; names the nearest one.
        """
        if name not in self.coords:
            raise ConfigError(unknown("coordinate", name, self.coords, "this problem"))
        return self.coords.index(name)

    def unit(self, axis: int) -> MultiIndex:
        """Multi-index of one derivative along an axis."""
        return tuple(int(i == axis) for i in range(self.d))
