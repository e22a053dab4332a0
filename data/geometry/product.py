"""Products of domains: space x time x parameters."""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch

from ...errors import ConfigError
from ...typing import Bool, Float, Tensor
from .base import Domain, Side
from .pieces import Piece, cross
from .rfunctions import TensorLike, join, trim

__all__ = ["Product"]


class Product(Domain):
    """Product ``a * b`` of domains with different coordinates, which are concatenated.

    Boundary parts keep their names: the part `left` of ``Interval(0, 1) * Time(0, 1)`` is the point times the time
    interval. Parts that two factors share are prefixed by the factor's first coordinate. The whole boundary is the
    spatial one; `initial` and `final` do not count.

    Args:
        factors: At least two domains; products among them are flattened.

    Raises:
        ConfigError: If coordinates repeat, or two factors have a time coordinate.

    >>> from kjet.data.geometry import Interval, Time
    >>> slab = Interval(-1, 1) * Time(0, 2)
    >>> slab.coords, slab.parts, slab.part_measure("left")
    (('x', 't'), ('left', 'right', 'initial', 'final'), 2.0)
    """

    def __init__(self, *factors: Domain) -> None:
        for factor in factors:
            if not isinstance(factor, Domain):
                raise ConfigError(f"only domains can be multiplied, got {type(factor).__name__}")
        self.factors = tuple(itertools.chain.from_iterable(map(_flat, factors)))
        coords = tuple(name for factor in self.factors for name in factor.coords)
        repeated = sorted({name for name in coords if coords.count(name) > 1}) if len(set(coords)) < len(coords) else []
        if repeated:
            raise ConfigError(f"factors of a product share the coordinates {', '.join(repeated)}: rename them in one")
        times = [factor.time for factor in self.factors if factor.time is not None]
        if len(times) > 1:
            raise ConfigError(f"a product has one time coordinate, got {', '.join(times)}")
        self.time = times[0] if times else None
        self.parameters = tuple(name for factor in self.factors for name in factor.parameters)
        self.even = all(factor.even for factor in self.factors)
        ends = list(itertools.accumulate(factor.dim for factor in self.factors))
        self._columns = [(end - factor.dim, end) for end, factor in zip(ends, self.factors, strict=True)]
        self._origin = _part_names(self.factors)
        new = {origin: name for name, origin in self._origin.items()}
        super().__init__(
            coords,
            torch.cat([factor.bounds for factor in self.factors]),
            math.prod(factor.measure for factor in self.factors),
            tuple(self._origin),
            walls=tuple(new[i, part] for i, factor in enumerate(self.factors) for part in factor.walls),
            convex=all(factor.convex for factor in self.factors),
            opposite={
                coord: (new[i, low], new[i, high])
                for i, factor in enumerate(self.factors)
                for coord, (low, high) in factor.opposite.items()
            },
        )

    def __repr__(self) -> str:
        return " * ".join(map(repr, self.factors))

    def inside(self, x: Float[Tensor, "n d"]) -> Bool[Tensor, " n"]:
        """Tell which points have each factor's coordinates inside that factor."""
        masks = [factor.inside(x[:, a:b]) for factor, (a, b) in zip(self.factors, self._columns, strict=True)]
        return torch.stack(masks).all(dim=0)

    def _interior(self) -> list[Piece]:
        return self._crossed({})

    def _draw(self, n: int, generator: torch.Generator, dtype: torch.dtype) -> Float[Tensor, "n d"] | None:
        parts = [factor._draw(n, generator, dtype) for factor in self.factors]
        if all(part is None for part in parts):
            return None
        options: dict[str, Any] = {"sampler": "uniform", "dtype": dtype, "device": generator.device}
        rest = [f.interior(n, generator=generator, **options).x if p is None else p
                for f, p in zip(self.factors, parts, strict=True)]  # fmt: skip
        return torch.cat(rest, dim=1)

    def _boundary(self) -> list[Piece]:
        walled = [i for i, factor in enumerate(self.factors) if factor.walls]
        return [piece for i in walled for piece in self._crossed({i: self.factors[i]._boundary()})]

    def _part(self, part: str) -> list[Piece]:
        i, name = self._origin[part]
        return self._crossed({i: self.factors[i]._pieces(name)})

    def _crossed(self, chosen: dict[int, list[Piece]]) -> list[Piece]:
        """Multiply the chosen pieces of some factors with the interiors of the others."""
        lists = [chosen[i] if i in chosen else factor._interior() for i, factor in enumerate(self.factors)]
        return [cross(combination) for combination in itertools.product(*lists)]

    def _restricted(self, x: TensorLike, i: int) -> TensorLike:
        # shapes read their own leading columns, so that those of the first factor need no slice
        start, stop = self._columns[i]
        return x if start == 0 else x[..., start:stop]

    def _distance(self, x: TensorLike) -> TensorLike:
        walled = [i for i, factor in enumerate(self.factors) if factor.walls]
        return join([self.factors[i].distance(self._restricted(x, i)) for i in walled])

    def _part_distance(self, x: TensorLike, part: str, side: Side) -> TensorLike:
        i, name = self._origin[part]
        if side is Side.INSIDE:
            return self.factors[i].part_distance(self._restricted(x, i), name, side)
        whole = self.factors[i].part_distance(self._restricted(x, i), name, Side.ANYWHERE)
        others = [j for j in range(len(self.factors)) if j != i]
        within = join([self.factors[j].distance(self._restricted(x, j)) for j in others])
        scale = float((self.bounds[:, 1] - self.bounds[:, 0]).max())
        return trim(whole, within, scale)


def _flat(domain: Domain) -> tuple[Domain, ...]:
    """Return the factors of a product, unless it has parts of its own that would get lost."""
    return domain.factors if isinstance(domain, Product) and not domain._extras else (domain,)


def _part_names(factors: tuple[Domain, ...]) -> dict[str, tuple[int, str]]:
    """Map each part of the product to its factor and the name it has there."""
    count: dict[str, int] = {}
    for factor in factors:
        for part in factor.parts:
            count[part] = count.get(part, 0) + 1
    return {
        part if count[part] == 1 else f"{factor.coords[0]}.{part}": (i, part)
        for i, factor in enumerate(factors)
        for part in factor.parts
    }
