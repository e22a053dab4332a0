"""Ellipse, sampled uniformly in area and in arc length."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ...typing import Bool, Float, Tensor
from .base import Domain, Side
from .checks import Real, coordinate_names, point, positive
from .pieces import Patch, Piece
from .rfunctions import TensorLike, magnitude

__all__ = ["Ellipse"]

_PANELS = 4096
# Gauss-Legendre nodes and weights on [0, 1], three points
_NODES = (0.5 - math.sqrt(0.15), 0.5, 0.5 + math.sqrt(0.15))
_WEIGHTS = (5.0 / 18.0, 8.0 / 18.0, 5.0 / 18.0)


class Ellipse(Domain):
    """Ellipse in the plane; its boundary part is `ellipse`.

    Args:
        center: Two coordinates.
        semi_axes: Half lengths (a, b) of the axes.
        angle: Angle of the first axis, in radians, counter-clockwise from the first coordinate.
        coords: Names of the coordinates.
        part: Name of the boundary part.

    Raises:
        ConfigError: If an axis is not positive, or a number is not finite.

    >>> round(Ellipse((0, 0), (2.0, 1.0)).part_measure("ellipse"), 6)
    9.688448
    """

    def __init__(
        self,
        center: Sequence[Real],
        semi_axes: Sequence[Real],
        angle: Real = 0.0,
        coords: Sequence[str] = ("x", "y"),
        *,
        part: str = "ellipse",
    ) -> None:
        self.center = point(center, "center of Ellipse", 2)
        a, b = point(semi_axes, "semi_axes of Ellipse", 2)
        self.semi_axes = (positive(a, "semi-axis of Ellipse"), positive(b, "semi-axis of Ellipse"))
        (self.angle,) = point((angle,), "angle of Ellipse", 1)
        c, s = math.cos(self.angle), math.sin(self.angle)
        self._rotation = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
        half = torch.tensor([math.hypot(a * c, b * s), math.hypot(a * s, b * c)], dtype=torch.float64)
        middle = torch.tensor(self.center, dtype=torch.float64)
        names = coordinate_names(coords, 2, "Ellipse")
        bounds = torch.stack([middle - half, middle + half], dim=1)
        super().__init__(names, bounds, math.pi * a * b, (part,), convex=True)
        self._arc = self._arc_table()

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points lie in the interior, by the quadratic form."""
        return self._quadratic(x.to(torch.float64))[0] < 1.0

    def _interior(self) -> list[Piece]:
        def chart(u: Tensor) -> Patch:
            r, theta = u[:, 0].sqrt(), 2.0 * math.pi * u[:, 1]
            return Patch(self._place(r * theta.cos(), r * theta.sin()))

        return [Piece(self.measure, 2, chart)]

    def _place(self, p: Float[Tensor, " n"], q: Float[Tensor, " n"]) -> Float[Tensor, "n 2"]:
        a, b = self.semi_axes
        local = torch.stack([a * p, b * q], dim=1)
        return local @ self._rotation.T.to(p.device) + p.new_tensor(self.center)

    def _boundary(self) -> list[Piece]:
        a, b = self.semi_axes

        def chart(u: Tensor) -> Patch:
            theta = self._angle_at(u[:, 0] * float(self._arc[-1]))
            normal = torch.stack([b * theta.cos(), a * theta.sin()], dim=1)
            normal = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
            return Patch(self._place(theta.cos(), theta.sin()), normal @ self._rotation.T.to(u.device))

        return [Piece(float(self._arc[-1]), 1, chart)]

    def _part(self, part: str) -> list[Piece]:
        return self._boundary()

    def _speed(self, theta: Tensor) -> Tensor:
        a, b = self.semi_axes
        return torch.hypot(a * theta.sin(), b * theta.cos())

    def _length(self, start: Tensor, width: Tensor) -> Tensor:
        """Integrate the speed over [start, start + width] by Gauss-Legendre."""
        total = torch.zeros_like(start)
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            total = total + weight * self._speed(start + node * width)
        return total * width

    def _arc_table(self) -> Float[Tensor, " k"]:
        """Return the arc length from angle zero to each end of equal panels in the angle."""
        width = torch.full((_PANELS,), 2.0 * math.pi / _PANELS, dtype=torch.float64)
        start = torch.arange(_PANELS, dtype=torch.float64) * width
        return torch.cat([width.new_zeros(1), self._length(start, width).cumsum(0)])

    def _angle_at(self, arc: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Invert the arc length: find the panel, then Newton's method inside it."""
        table, step = self._arc.to(arc.device), 2.0 * math.pi / _PANELS
        panel = torch.searchsorted(table, arc, right=True).clamp(1, _PANELS) - 1
        start = panel.to(arc.dtype) * step
        width = (arc - table[panel]) / (table[panel + 1] - table[panel]) * step
        for _ in range(3):
            excess = self._length(start, width) - (arc - table[panel])
            width = (width - excess / self._speed(start + width)).clamp(0.0, step)
        return start + width

    def _quadratic(self, x: TensorLike) -> tuple[TensorLike, TensorLike]:
        """Return ``q = (p/a)^2 + (r/b)^2`` in the axes of the ellipse, and the squared gradient of ``1 - q``."""
        a, b = self.semi_axes
        c, s = math.cos(self.angle), math.sin(self.angle)
        dx, dy = x[..., 0] - self.center[0], x[..., 1] - self.center[1]
        p, r = (c * dx + s * dy) * (1.0 / a), (c * dy - s * dx) * (1.0 / b)
        return p * p + r * r, (p * p * (1.0 / a**2) + r * r * (1.0 / b**2)) * 4.0

    def _distance(self, x: TensorLike) -> TensorLike:
        # w / sqrt(w^2 / l^2 + |grad w|^2): Rvachev's normalisation of w = 1 - q, which is w / |grad w| on the boundary
        q, slope = self._quadratic(x)
        w = 1.0 - q
        return w / torch.sqrt(w * w * (1.0 / min(self.semi_axes) ** 2) + slope)

    def _part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        signed = self._distance(x)
        return magnitude(signed) if side is Side.ANYWHERE else signed * float(side.value)
