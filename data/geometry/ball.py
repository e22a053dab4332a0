"""Disk and ball, sampled without rejection in any dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from ...errors import ConfigError, unknown
from ...typing import Bool, Float, Tensor
from .base import Domain, Side
from .checks import Real, coordinate_names, point, positive
from .pieces import Patch, Piece
from .rfunctions import TensorLike, magnitude

__all__ = ["Disk", "Sphere"]

_LAWS = ("volume", "radius")
_BLOCK = 256  # coordinates whose squares are added in the type of the points
_LOOP = 32  # up to so many coordinates are taken one by one, beyond that together


class _Round(Domain):
    """A ball of any dimension of at least two, bounded by one part."""

    def __init__(
        self, center: tuple[float, ...], radius: float, coords: tuple[str, ...], part: str, law: str = "volume"
    ) -> None:
        self.center, self.radius, self.even = center, radius, law == "volume"
        middle = torch.tensor(center, dtype=torch.float64)
        bounds = torch.stack([middle - radius, middle + radius], dim=1)
        if not bool((bounds[:, 0] < bounds[:, 1]).all()):
            raise ConfigError(f"radius {radius} is lost in rounding beside the center {center}")
        super().__init__(coords, bounds, _volume(len(coords), radius), (part,), convex=True)
        self._middle, self._same = middle, len(set(center)) == 1

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points are closer to the center than the radius."""
        return (x.to(torch.float64) - self._middle.to(x.device)).square().sum(dim=-1) < self.radius**2

    def _interior(self) -> list[Piece]:
        d = self.dim

        def chart(u: Tensor) -> Patch:
            r = self._distances(u[:, :1])
            return Patch(self._middle.to(u.device) + self.radius * r * _directions(u[:, 1:], d))

        return [Piece(self.measure, 1 + _direction_dim(d), chart)]

    def _distances(self, u: Float[Tensor, "n 1"]) -> Float[Tensor, "n 1"]:
        return u ** (1.0 / self.dim) if self.even else u  # the ball of radius r holds the share r^d

    def _draw(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "n d"] | None:
        if self.dim <= _LOOP or any(self.center):
            return None
        options: dict[str, Any] = {"generator": generator, "device": generator.device}
        x = torch.randn(n, self.dim, dtype=dtype, **options)
        r = self._distances(torch.rand(n, 1, dtype=torch.float64, **options))
        x *= (self.radius * r / _norm(x)).to(dtype)
        # 1 - |x|^2 is about 1 / d: in short types the rounding of this factor alone brings some points outside
        eps = torch.finfo(dtype).eps
        near = (r[:, 0] > 1.0 - 8.0 * eps).nonzero().flatten()
        while len(near := near[torch.linalg.vector_norm(x[near], dim=1, dtype=torch.float64) >= self.radius]):
            x[near] *= 1.0 - eps
        return x

    def _boundary(self) -> list[Piece]:
        def chart(u: Tensor) -> Patch:
            normals = _directions(u, self.dim)
            return Patch(self._middle.to(u.device) + self.radius * normals, normals)

        return [Piece(self.measure * self.dim / self.radius, _direction_dim(self.dim), chart)]

    def _part(self, part: str) -> list[Piece]:
        return self._boundary()

    def _distance(self, x: TensorLike) -> TensorLike:
        # (R^2 - |x - c|^2) / 2R: a polynomial with gradient of length one on the sphere
        return (self.radius**2 - self._squared_distance(x)) * (0.5 / self.radius)

    def _squared_distance(self, x: TensorLike) -> TensorLike:
        if self.dim <= _LOOP:
            total = (x[..., 0] - self.center[0]) * (x[..., 0] - self.center[0])
            for i in range(1, self.dim):
                delta = x[..., i] - self.center[i]
                total = total + delta * delta
            return total
        y = x if x.shape[-1] == self.dim else x[..., : self.dim]
        shift = y - (self.center[0] if self._same else self._middle.to(device=x.device, dtype=x.dtype))
        return torch.sum(shift * shift, dim=-1)

    def _part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        signed = self._distance(x)
        return magnitude(signed) if side is Side.ANYWHERE else signed * float(side.value)


def _volume(d: int, radius: float) -> float:
    log = 0.5 * d * math.log(math.pi) - math.lgamma(0.5 * d + 1.0) + d * math.log(radius)
    if d <= 3:
        return {2: math.pi, 3: 4.0 * math.pi / 3.0}[d] * radius**d  # the logarithm would cost the last digits
    return math.exp(log) if log < 709.0 else math.inf


def _direction_dim(d: int) -> int:
    return d - 1 if d <= 3 else d


def _norm(x: Float[Tensor, "n d"]) -> Float[Tensor, "n 1"]:
    """Norms in float64, of blocks that are short enough for the type of the points: much faster than all in float64."""
    whole = x.shape[1] - x.shape[1] % _BLOCK
    blocks = torch.linalg.vector_norm(x[:, :whole].unflatten(1, (-1, _BLOCK)), dim=2)
    parts = torch.cat([blocks, x[:, whole:]], dim=1)
    return torch.linalg.vector_norm(parts, dim=1, keepdim=True, dtype=torch.float64)


def _directions(u: Float[Tensor, "n k"], d: int) -> Float[Tensor, "n d"]:
    """Map unit points to uniform directions: by angle, by Archimedes' cylinder, or by normalised Gaussians."""
    if d == 2:
        angle = 2.0 * math.pi * u[:, 0]
        return torch.stack([angle.cos(), angle.sin()], dim=1)
    if d == 3:
        angle, z = 2.0 * math.pi * u[:, 0], 1.0 - 2.0 * u[:, 1]
        r = (1.0 - z * z).clamp(min=0.0).sqrt()
        return torch.stack([r * angle.cos(), r * angle.sin(), z], dim=1)
    gauss = torch.special.ndtri(u.clamp(min=2.0**-53))
    return gauss / torch.linalg.vector_norm(gauss, dim=1, keepdim=True)


class Disk(_Round):
    """Disk in the plane; its boundary part is `circle`.

    Args:
        center: Two coordinates.
        radius: Radius.
        coords: Names of the coordinates.
        part: Name of the boundary part.

    Raises:
        ConfigError: If the radius is not positive, or a number is not finite.

    >>> Disk((0, 0), 1.0).distance(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]))
    tensor([ 0.5000,  0.0000, -1.5000])
    """

    def __init__(
        self,
        center: Sequence[Real],
        radius: Real,
        coords: Sequence[str] = ("x", "y"),
        *,
        part: str = "circle",
    ) -> None:
        middle = point(center, "center of Disk", 2)
        super().__init__(middle, positive(radius, "radius of Disk"), coordinate_names(coords, 2, "Disk"), part)


class Sphere(_Round):
    """Ball in any dimension of at least two; its boundary part is `sphere`.

    In thousands of dimensions the volume leaves the range of float64, and `measure` becomes 0.0 or inf; sampling and
    distances are not affected. Sobol' points need one unit coordinate more than there are dimensions.

    Args:
        center: Center, one number per dimension.
        radius: Radius.
        coords: Names of the coordinates; default x1, x2, ...
        part: Name of the boundary part.
        law: ``"volume"`` spreads points of the interior evenly. In many dimensions almost all of them lie within 1/d of
            the sphere. ``"radius"`` spreads their distance from the center evenly instead, as high-dimensional
            benchmarks do; use such a ball alone or in products, not in unions, intersections and differences.

    Raises:
        ConfigError: If there is only one dimension, the radius is not positive, a number is not finite, or the law is
            unknown.

    >>> ball = Sphere([0.0] * 1000, 1.0)
    >>> points = ball.interior(8, sampler="uniform", generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> bool(ball.inside(points.x).all())
    True
    """

    def __init__(
        self,
        center: Sequence[Real],
        radius: Real,
        coords: Sequence[str] | None = None,
        *,
        part: str = "sphere",
        law: str = "volume",
    ) -> None:
        if law not in _LAWS:
            raise ConfigError(unknown("law", law, _LAWS, "Sphere"))
        middle = point(center, "center of Sphere")
        if len(middle) < 2:
            raise ConfigError(f"Sphere has at least 2 dimensions, got center {center!r}: use Interval for one")
        names = coordinate_names(coords, len(middle), "Sphere")
        super().__init__(middle, positive(radius, "radius of Sphere"), names, part, law)
