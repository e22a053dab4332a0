"""Names that a residual may use."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ..errors import ConfigError, unknown
from ..jets import SparseIndex

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
        local_fields: Pairs of the name under which a residual knows a field, and the field; empty where they are the
            same. Within a region ``u`` stands for that region's own field.
        local_parameters: The same for parameters.

    >>> frame = Frame(coords=("x", "t"), fields=("u",), space=("x",), time="t")
    >>> frame.d, frame.axis("t"), frame.unit(1)
    (2, 1, ((1, 1),))
    """

    coords: tuple[str, ...]
    fields: tuple[str, ...]
    space: tuple[str, ...] = ()
    time: str | None = None
    parameters: tuple[str, ...] = ()
    local_fields: tuple[tuple[str, str], ...] = ()
    local_parameters: tuple[tuple[str, str], ...] = ()

    @property
    def known_fields(self) -> tuple[str, ...]:
        """Fields by the names under which residuals know them, in order."""
        return tuple(name for name, _ in self.local_fields) or self.fields

    @property
    def known_parameters(self) -> tuple[str, ...]:
        """Parameters by all names under which residuals know them."""
        return tuple(dict.fromkeys((*self.parameters, *(name for name, _ in self.local_parameters))))

    def field(self, name: str) -> str:
        """Field that a residual knows by a name."""
        return dict(self.local_fields).get(name, name)

    def parameter(self, name: str) -> str:
        """Parameter that a residual knows by a name."""
        return dict(self.local_parameters).get(name, name)

    @property
    def d(self) -> int:
        """Number of coordinates."""
        return len(self.coords)

    def axis(self, name: str) -> int:
        """Column of a coordinate.

        Raises:
            ConfigError: If there is no such coordinate; names the nearest one.
        """
        if name not in self._axes:
            raise ConfigError(unknown("coordinate", name, self.coords, "this problem"))
        return self._axes[name]

    def unit(self, axis: int) -> SparseIndex:
        """Sparse multi-index of one derivative along an axis."""
        return ((axis, 1),)

    @cached_property
    def space_axes(self) -> range | tuple[int, ...]:
        """Columns of the spatial coordinates."""
        first = self.axis(self.space[0]) if self.space else 0
        if self.coords[first : first + len(self.space)] == self.space:
            return range(first, first + len(self.space))
        return tuple(self.axis(name) for name in self.space)

    def split(self, name: str) -> list[int] | None:
        """Read ``"xxt"`` as columns of coordinates, longest names first; None if it is none."""
        if not name:
            return []
        for length in self._lengths:
            axis = self._axes.get(name[:length]) if length <= len(name) else None
            if axis is not None:
                rest = self.split(name[length:])
                if rest is not None:
                    return [axis, *rest]
        return None

    @cached_property
    def _axes(self) -> dict[str, int]:
        return dict(zip(self.coords, range(self.d), strict=True))

    @cached_property
    def _lengths(self) -> tuple[int, ...]:
        """Lengths of the names of coordinates, falling."""
        return tuple(sorted(set(map(len, self.coords)), reverse=True))
