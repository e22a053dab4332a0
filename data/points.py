"""Points with everything that a condition on them may need: names, normals, weights and the measure they stand for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from ..errors import ConfigError, listed, unknown
from ..typing import Bool, Float, Int, Tensor

__all__ = ["Names", "Points"]


class Names(tuple[str, ...]):
    """Names that are known to differ, with the place of each; points are drawn often, and there may be a million names.

    Raises:
        ConfigError: If a name repeats.

    >>> Names(("x", "t")).index("t"), Names(("x", "t")) == ("x", "t")
    (1, True)
    """

    _places: dict[str, int]

    def __new__(cls, names: Iterable[str]) -> Names:
        """Make names of names; those that have been checked are returned as they are."""
        if isinstance(names, Names):
            return names
        made = super().__new__(cls, names)
        made._places = {name: place for place, name in enumerate(made)}
        if len(made._places) != len(made):
            raise ConfigError(f"coordinate names must differ, got {listed(made)}")
        return made

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def index(self, name: str, *bounds: int) -> int:  # type: ignore[override]
        """Place of a name.

        Raises:
            ValueError: If there is none.
        """
        if bounds or name not in self._places:
            return super().index(name, *bounds)
        return self._places[name]


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a region, with named coordinates.

    One object carries all that belongs to a batch of points, so that nothing has to be looked up, cached or matched by
    position later.

    Attributes:
        x: Coordinates, one row per point.
        coords: Name of each column of `x`.
        normals: Outward unit normals over all coordinates, zero for time and parameters on a spatial wall; ``None``
            inside a region.
        weights: Quadrature weights: the integral of `f` over the region is ``sum(weights * f(x))``. ``None`` stands for
            equal weights, ``measure / n``.
        measure: Measure (length, area, volume, ...) of the region that was sampled; 1.0 if there is none, which makes
            the integral a mean.

    Raises:
        ConfigError: If shapes and names do not match.

    >>> wall = Points(torch.tensor([[0.0, 0.5], [1.0, 0.5]]), ("x", "t"))
    >>> len(wall), wall.column("x")
    (2, tensor([0., 1.]))
    """

    x: Float[Tensor, "n d"]
    coords: tuple[str, ...]
    normals: Float[Tensor, "n d"] | None = None
    weights: Float[Tensor, " n"] | None = None
    measure: float = 1.0

    def __post_init__(self) -> None:
        if self.x.ndim != 2 or self.x.shape[1] != len(self.coords):
            raise ConfigError(
                f"points have shape {tuple(self.x.shape)}, expected (n, {len(self.coords)}): one column for each of "
                f"the coordinates {listed(self.coords)}"
            )
        object.__setattr__(self, "coords", Names(self.coords))
        if self.normals is not None and self.normals.shape != self.x.shape:
            raise ConfigError(
                f"normals have shape {tuple(self.normals.shape)}, expected that of the points, {tuple(self.x.shape)}"
            )
        if self.weights is not None and self.weights.shape != self.x.shape[:1]:
            raise ConfigError(f"weights have shape {tuple(self.weights.shape)}, expected ({len(self)},)")

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def __getitem__(self, index: Int[Tensor, " k"] | Bool[Tensor, " n"] | slice) -> Points:
        """Select rows by index tensor, mask or slice; the measure stays, weights are selected as they are."""
        return replace(
            self,
            x=self.x[index],
            normals=None if self.normals is None else self.normals[index],
            weights=None if self.weights is None else self.weights[index],
        )

    def column(self, name: str) -> Float[Tensor, " n"]:
        """Return one coordinate by name.

        Args:
            name: Name of the coordinate.

        Raises:
            ConfigError: If there is no such coordinate.
        """
        if name not in self.coords:
            raise ConfigError(unknown("coordinate", name, self.coords, "these points"))
        return self.x[:, self.coords.index(name)]

    def to(self, dtype: torch.dtype | None = None, device: torch.device | str | None = None) -> Points:
        """Convert coordinates, normals and weights to `dtype` and `device`; ``None`` keeps what they have."""

        def convert(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device=device, dtype=dtype or tensor.dtype)

        x = self.x.to(device=device, dtype=dtype or self.x.dtype)
        return replace(self, x=x, normals=convert(self.normals), weights=convert(self.weights))

    @staticmethod
    def concat(parts: Sequence[Points]) -> Points:
        """Join points of disjoint regions; measures add up.

        Normals survive if all parts have them. Weights stay ``None`` only while all points weigh the same; otherwise
        they are written out, so that the integral over the joint region remains right.

        Args:
            parts: At least one batch of points, all with the same coordinates.

        Raises:
            ConfigError: If `parts` is empty or the coordinates differ.

        >>> a = Points(torch.zeros(1, 1), ("x",), measure=1.0)
        >>> b = Points(torch.ones(2, 1), ("x",), measure=1.0)
        >>> Points.concat([a, b]).weights
        tensor([1.0000, 0.5000, 0.5000])
        """
        if not parts:
            raise ConfigError("no points to join: give at least one Points object")
        coords = parts[0].coords
        for other in parts[1:]:
            if other.coords != coords:
                raise ConfigError(f"points with coordinates {coords} cannot be joined to points with {other.coords}")
        normals = [part.normals for part in parts if part.normals is not None]
        return Points(
            torch.cat([part.x for part in parts]),
            coords,
            torch.cat(normals) if len(normals) == len(parts) else None,
            _joint_weights(parts),
            sum(part.measure for part in parts),
        )


def _joint_weights(parts: Sequence[Points]) -> Float[Tensor, " n"] | None:
    each = [part.measure / max(len(part), 1) for part in parts if len(part)]
    if all(part.weights is None for part in parts) and all(math.isclose(w, each[0], rel_tol=1e-9) for w in each):
        return None
    return torch.cat(
        [
            part.x.new_full((len(part),), part.measure / max(len(part), 1)) if part.weights is None else part.weights
            for part in parts
        ]
    )
