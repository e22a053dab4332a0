"""What structured jets have in common: points, directions, and the columns of a slice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ...typing import Tensor
from ..layout import Layout
from .blocks import Aimed, Picked

__all__ = ["Frame"]


@dataclass(frozen=True, eq=False)
class Frame:
    """What structured jets must share to be combined: points, directions, and a slice of the coordinates.

    Attributes:
        layout: Meaning of the rows.
        shape: Points and coordinates.
        blocks: Directions by kind, in the order of the rows.
        tops: Vectors (rows, 1|n, d) that enter an order directly, by order.
        window: First column, last and step of the slice in the original coordinates.
        origin: The frame at the start; None there.
    """

    layout: Layout
    shape: tuple[int, int]
    blocks: tuple[Picked | Aimed, ...]
    tops: Mapping[int, Tensor]
    window: tuple[int, int, int]
    origin: Frame | None = None

    def same(self, other: Frame) -> bool:
        """Tell whether another jet belongs to the same points, directions and columns."""
        return self is other or ((self.origin or self) is (other.origin or other) and self.window == other.window)

    def vector_places(self) -> list[tuple[int, int]]:
        """Place and order of everything given by vectors; place -1 for those that enter an order directly."""
        aimed = [(place, block.span) for place, block in enumerate(self.blocks) if isinstance(block, Aimed)]
        orders = range(1, self.layout.order + 1)
        return [(place, k) for place, span in aimed for k in orders if span.active(k)] + [(-1, k) for k in self.tops]

    def vectors(self, place: int, k: int) -> Tensor:
        """Vectors (rows, 1|n, d) of a block at order ``k``; those that enter the order directly for place -1."""
        return self.tops[k] if place < 0 else self.blocks[place].powers(k)  # type: ignore[union-attr]

    def narrowed(self, start: int, stop: int, step: int, blocks: tuple[Picked | Aimed, ...]) -> Frame:
        """Frame of a slice of the columns."""
        first, _, stride = self.window
        window = (first + start * stride, first + stop * stride, stride * step)
        columns = range(start, stop, step)
        tops = {k: top[..., start:stop:step] for k, top in self.tops.items()}
        return Frame(self.layout, (self.shape[0], len(columns)), blocks, tops, window, self.origin or self)
