"""Samplers of the unit cube: pseudo-random, Sobol', Latin hypercube and regular grid.

A sampler is a frozen description. Its :meth:`Sampler.stream` is the running sequence: geometry takes points from one
stream until enough of them are accepted, so that a rejection round continues the sequence and never repeats it.
All randomness comes from a `torch.Generator`; the same generator state gives the same points.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.quasirandom import SobolEngine

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor

__all__ = ["SAMPLERS", "Grid", "LatinHypercube", "Sampler", "Sobol", "Stream", "Uniform", "make_sampler"]

Build = Callable[[Tensor], Tensor]

_MAX_ENTRIES = 2**27  # numbers in one round of candidates: 1 GiB in float64
_MAX_CANDIDATES = 2**22  # candidates after which an almost empty region is given up


class Stream(ABC):
    """A running sequence of points in the unit cube."""

    @abstractmethod
    def take(self, n: int, build: Build | None = None, *, what: str = "the region") -> Float[Tensor, "n c"]:
        """Return the next `n` rows that `build` makes of the sequence.

        Args:
            n: Number of rows.
            build: Maps unit points (k, d) to at most k rows, leaving out those it rejects. Default: the points.
            what: Name of the region, for the error message.

        Raises:
            ConfigError: If `build` rejects nearly everything.
        """


class Sampler(ABC):
    """A way of filling the unit cube."""

    @abstractmethod
    def stream(self, d: int, *, generator: torch.Generator) -> Stream:
        """Start a sequence of points in [0, 1)^d, in float64 on the generator's device."""

    def unit(
        self,
        n: int,
        d: int,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Float[Tensor, "n d"]:
        """Draw `n` points in [0, 1)^d.

        Args:
            n: Number of points, at least 1.
            d: Number of coordinates, at least 1.
            generator: Source of all randomness.
            dtype: Floating type of the result.
            device: Device of the result; the points are made on the generator's.

        Raises:
            ConfigError: If `n` or `d` is below 1 or the sampler cannot serve `d` coordinates.

        >>> Grid().unit(4, 2, generator=torch.Generator()).tolist()
        [[0.25, 0.25], [0.25, 0.75], [0.75, 0.25], [0.75, 0.75]]
        """
        if d < 1:
            raise ConfigError(f"d must be at least 1, got {d}")
        below_one = 1.0 - torch.finfo(dtype).eps / 2  # rounding to a shorter type may reach 1
        points = self.stream(d, generator=generator).take(check_count(n))
        return points.to(device=device, dtype=dtype).clamp(max=below_one)


def check_count(n: int) -> int:
    """Return `n` if it is a count of points.

    Raises:
        ConfigError: If `n` is not a whole number of at least 1.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f"the number of points must be a whole number of at least 1, got {n!r}")
    return n


class _Sequence(Stream):
    """Points drawn in rounds from a source that never repeats itself."""

    def __init__(self, draw: Callable[[int], Tensor], d: int) -> None:
        self._draw = draw
        self._largest = max(_MAX_ENTRIES // max(d, 1), 1)

    def take(self, n: int, build: Build | None = None, *, what: str = "the region") -> Tensor:
        """Draw rounds until `n` rows are built; what a round yields beyond `n` is dropped."""
        if build is None:
            return self._draw(n)
        rounds: list[Tensor] = []
        kept = drawn = 0
        size = n
        while kept < n:
            if drawn > max(_MAX_CANDIDATES, 1000 * n):
                raise ConfigError(_too_few(kept, drawn, n, what))
            size = min(size, self._largest)
            rows = build(self._draw(size))
            rounds.append(rows)
            kept, drawn = kept + len(rows), drawn + size
            # a tenth more than the acceptance so far suggests: mostly one more round is enough
            size = min(math.ceil(1.1 * (n - kept) * drawn / max(kept, 0.5)) + 8, 2**18 + n)
        return torch.cat(rounds)[:n]


def _too_few(kept: int, drawn: int, n: int, what: str) -> str:
    return (
        f"only {kept} of {drawn} candidate points lie in {what}, {n} are needed: it is empty, or far smaller than the "
        "shape that it is cut from"
    )


@dataclass(frozen=True)
class Uniform(Sampler):
    """Independent uniform points.

    >>> Uniform().unit(3, 2, generator=torch.Generator().manual_seed(0)).shape
    torch.Size([3, 2])
    """

    def stream(self, d: int, *, generator: torch.Generator) -> Stream:
        """Start independent draws; O(n d)."""

        def draw(n: int) -> Tensor:
            return torch.rand(n, d, generator=generator, device=generator.device, dtype=torch.float64)

        return _Sequence(draw, d)


@dataclass(frozen=True)
class Sobol(Sampler):
    """Scrambled Sobol' points: one stream is one low-discrepancy sequence.

    The scrambling (a random linear matrix and a digital shift) is seeded from the generator, so that each call gives
    another set of points, each of them uniform by itself. Best balanced when n is a power of two. At most 21,201
    coordinates. Ref: Joe, Kuo, *Constructing Sobol' sequences with better two-dimensional projections*, 2008.

    >>> Sobol().unit(4, 1, generator=torch.Generator().manual_seed(0)).mul(4).floor().flatten().sort().values
    tensor([0., 1., 2., 3.])
    """

    def stream(self, d: int, *, generator: torch.Generator) -> Stream:
        """Start one scrambled sequence.

        Raises:
            ConfigError: If `d` exceeds the direction numbers that torch has.
        """
        if d > SobolEngine.MAXDIM:
            raise ConfigError(
                f"Sobol' points have at most {SobolEngine.MAXDIM} coordinates, {d} are needed here: "
                'use sampler="uniform"'
            )
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        engine = SobolEngine(d, scramble=True, seed=seed)
        half = 0.5 / 2**SobolEngine.MAXBIT  # from the corner of a cell of the sequence to its middle: never exactly 0

        def draw(n: int) -> Tensor:
            return engine.draw(n, dtype=torch.float64).add_(half).to(generator.device)

        return _Sequence(draw, d)


@dataclass(frozen=True)
class LatinHypercube(Sampler):
    """Latin hypercube: in each coordinate, each of the n equal slices holds one point. O(n d).

    Where points are rejected, each further round is another, independent design.
    Ref: McKay, Beckman, Conover, *A comparison of three methods for selecting values of input variables*, 1979.

    >>> LatinHypercube().unit(4, 2, generator=torch.Generator().manual_seed(0)).mul(4).floor().sort(dim=0).values[:, 1]
    tensor([0., 1., 2., 3.])
    """

    def stream(self, d: int, *, generator: torch.Generator) -> Stream:
        """Start a sequence of independent designs, one per round."""
        device = generator.device

        def draw(n: int) -> Tensor:
            points = torch.rand(n, d, generator=generator, device=device, dtype=torch.float64)
            for i in range(d):
                points[:, i] += torch.randperm(n, generator=generator, device=device)
            return points.div_(n)

        return _Sequence(draw, d)


class _Lattice(Stream):
    """A regular grid, refined until enough of it is accepted."""

    def __init__(self, d: int, device: torch.device) -> None:
        self._d, self._device = d, device

    def take(self, n: int, build: Build | None = None, *, what: str = "the region") -> Tensor:
        """Build the coarsest grid found that yields `n` rows, and keep `n` of them, evenly spaced in its order."""
        cells = n
        while True:
            grid = self._grid(cells, what)
            rows = grid if build is None else build(grid)
            if len(rows) >= n:
                even = torch.arange(n, dtype=torch.float64, device=rows.device).add(0.5).mul(len(rows) / n)
                return rows[even.long().clamp(max=len(rows) - 1)]
            if len(grid) > max(_MAX_CANDIDATES, 1000 * n):
                raise ConfigError(_too_few(len(rows), len(grid), n, what))
            growth = 4.0 if len(rows) == 0 else min(1.02 * n / len(rows), 4.0)
            cells = max(math.ceil(growth * cells), len(grid) + 1)

    def _grid(self, cells: int, what: str) -> Tensor:
        counts = _grid_counts(cells, self._d)
        if math.prod(counts) * self._d > _MAX_ENTRIES:
            raise ConfigError(
                f"a grid of {cells} points or more in {self._d} coordinates for {what} is too large, as it takes at "
                'least two points along each: use sampler="sobol" or "uniform", or another region'
            )
        axes = [(torch.arange(m, dtype=torch.float64, device=self._device) + 0.5) / m for m in counts]
        return torch.cartesian_prod(*axes).reshape(-1, self._d)


def _grid_counts(n: int, d: int) -> list[int]:
    """Count points along each axis: nearly equal, product at least `n`, at least two each unless n is 1."""
    side = max(round(n ** (1.0 / d)), 1)
    while side**d < n:
        side += 1
    counts = [side] * d
    for i in range(d):
        fewer = [*counts[:i], side - 1, *counts[i + 1 :]]
        if side > 2 and math.prod(fewer) >= n:
            counts = fewer
    return counts


@dataclass(frozen=True)
class Grid(Sampler):
    """Cell-centred regular grid; deterministic.

    Exactly the tensor grid when `n` is the d-th power of a whole number, or otherwise a product of nearly equal counts;
    else the nearest larger grid, of which `n` points are kept, evenly spaced in row-major order. Where points are
    rejected, the grid is refined until `n` of its points are accepted. Points are distinct wherever a shape is mapped
    one to one, which is everywhere but on balls of four and more dimensions.

    >>> Grid().unit(3, 1, generator=torch.Generator(), dtype=torch.float64).flatten()
    tensor([0.1667, 0.5000, 0.8333], dtype=torch.float64)
    """

    def stream(self, d: int, *, generator: torch.Generator) -> Stream:
        """Return the grid; nothing is drawn from the generator, only its device matters."""
        return _Lattice(d, generator.device)


SAMPLERS: dict[str, type[Sampler]] = {
    "uniform": Uniform,
    "sobol": Sobol,
    "latin_hypercube": LatinHypercube,
    "grid": Grid,
}


def make_sampler(sampler: str | Sampler) -> Sampler:
    """Return the sampler of that name, or the sampler itself.

    Raises:
        ConfigError: If the name is not registered.

    >>> make_sampler("sobol")
    Sobol()
    """
    if isinstance(sampler, Sampler):
        return sampler
    if sampler not in SAMPLERS:
        raise ConfigError(unknown("sampler", sampler, SAMPLERS))
    return SAMPLERS[sampler]()
