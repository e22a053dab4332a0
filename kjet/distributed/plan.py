"""Plans whose directions and points are shared by the processes of a mesh."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..jets import Plan
from ..jets.plan import Delivered
from ..jets.seeds import Seeds
from ..typing import Float, Tensor
from ._parts import Part, part_of
from .mesh import Mesh
from .reduction import sum_over

__all__ = ["ShardedPlan"]


@dataclass(frozen=True, eq=False)
class ShardedPlan:
    """A plan of which every process of a mesh does its part.

    Directions that end in a sum (a Laplacian, an estimated trace) are shared by the direction ranks, and the sums are
    added over them in one all-reduce. Derivatives without a sum are worked out by every rank; what else stands in one
    quantity with a sum, by the first.

    Used as a :class:`kjet.jets.Plan` is, with the points of this process and the draws of :meth:`draw`. On all
    processes the results belong to the same draws and the same points as in one process.

    Args:
        plan: The whole.
        mesh: The processes.

    >>> from kjet.jets import quantity
    >>> sharded = ShardedPlan(Plan.build([lap := quantity({(2, 0): 1.0, (0, 2): 1.0})], d=2), Mesh())
    >>> sharded(lambda x: (x**2).sum(-1, keepdim=True), torch.zeros(1, 2))[lap].item()
    4.0
    """

    plan: Plan
    mesh: Mesh
    part: Part = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "part", part_of(self.plan, self.mesh.direction))

    def draw(
        self,
        n: int,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> tuple[Seeds, ...]:
        """Draw the directions of every estimated trace, and select those of this process.

        All processes draw everything, from generators in the same state.

        Args:
            n: Number of points of all processes.
            generator: Source of all randomness, in the same state on every process.
            dtype: Type of the points.
            device: Device of the points.

        Raises:
            ConfigError: If the generator is missing.
        """
        drawn = []
        index = self.mesh.points(n, device).index
        for seeds, (first, last) in zip(self.plan.draw(n, generator, dtype, device), self.part.draws, strict=True):
            # With more ranks than directions some have none, and their plan asks for none.
            own = seeds if last - first in (0, seeds.count) else seeds.rows(first, last)
            drawn.append(own if self.mesh.data.size == 1 else own.points(index))
        return tuple(drawn)

    def __call__(
        self, function: Callable[[Any], Any], x: Float[Tensor, "n d"], draws: Sequence[Seeds] = ()
    ) -> dict[Delivered, Tensor]:
        """Evaluate every derivative of ``function`` at this process's points.

        Args:
            function: Maps points, and jets of points, to values (n, m).
            x: This process's points, the same on all direction ranks.
            draws: What :meth:`draw` gave.

        Raises:
            ConfigError: If draws are missing.
        """
        values = self.part.plan(function, x, draws)
        summed = self.part.summed
        if summed:
            parts = [values[name] for name in summed]
            total = sum_over(torch.cat([part.flatten() for part in parts]), self.mesh.direction)
            found = total.split([part.numel() for part in parts])
            values |= {name: sums.reshape(part.shape) for name, sums, part in zip(summed, found, parts, strict=True)}
        return values
