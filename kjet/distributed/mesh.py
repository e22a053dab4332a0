"""Processes in a box: points are shared along one axis, directions of jets along another, columns along the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from ..errors import ConfigError
from ..typing import Float, Int, Tensor

__all__ = ["Axis", "Mesh", "Share"]


@dataclass(frozen=True)
class Axis:
    """Processes that share one kind of work.

    Attributes:
        rank: Place of this process.
        size: Number of processes.
        group: What they talk through; None for one alone.
    """

    rank: int = 0
    size: int = 1
    group: dist.ProcessGroup | None = None

    def run(self, count: int) -> tuple[int, int]:
        """First and last, exclusive, of the things in a row that this process takes.

        Shares differ by one at most, and the first processes have the larger ones.

        >>> [Axis(rank, 3).run(7) for rank in range(3)]
        [(0, 3), (3, 5), (5, 7)]
        """
        each, more = divmod(count, self.size)
        first = self.rank * each + min(self.rank, more)
        return first, first + each + (self.rank < more)

    def __deepcopy__(self, memo: dict[int, Any]) -> Axis:
        """Return the axis itself: a copy of a network talks through the group of the first."""
        return self


@dataclass(frozen=True, eq=False)
class Share:
    """The points of this process among those of all.

    Attributes:
        index: Their places in the whole.
        total: Number of points of all processes.
    """

    index: Int[Tensor, " n"]
    total: int

    def mean(self, values: Float[Tensor, "n *rest"]) -> Float[Tensor, "*rest"]:
        """Return this process's part of the mean over all points; the parts add up to it.

        No points give zero.

        >>> whole = torch.tensor([1.0, 2.0, 6.0])
        >>> shares = [Mesh(data=Axis(rank, 2)).points(3) for rank in range(2)]
        >>> [share.mean(whole[share.index]).item() for share in shares]
        [2.3333..., 0.6666...]
        """
        return values.sum(0) / self.total


@dataclass(frozen=True)
class Mesh:
    """Processes as a box of data ranks times direction ranks times column ranks.

    Along `data` every process has other points. Along `direction` all have the same points, each pushes some of the
    directions of a jet, and the sums are put together by :func:`kjet.distributed.sum_over` before the residual is
    formed; residual and loss are then the same on all of them. Along `column` points and directions are the same, and
    each has some of the coordinates, with their part of the first layer
    (:class:`kjet.distributed.ColumnParallelLinear`). All other parameters are the same on all processes of the mesh.

    The default is one process alone, for which everything in this package does nothing but compute.

    Attributes:
        data: Processes with other points.
        direction: Processes with other directions of the same points.
        world: All of them.
        column: Processes with other coordinates of the same points.
        peers: Processes with the same coordinates: data ranks times direction ranks.

    >>> Mesh().points(3).index
    tensor([0, 1, 2])
    """

    data: Axis = Axis()
    direction: Axis = Axis()
    world: Axis = Axis()
    column: Axis = Axis()
    peers: Axis = Axis()

    @classmethod
    def build(cls, data: int | None = None, direction: int = 1, column: int = 1, *, seconds: float = 600.0) -> Mesh:
        """Arrange the processes that are connected; every one of them must call this, with the same numbers.

        Column ranks are neighbours, then direction ranks, since they talk in every evaluation; data ranks talk once in
        a step.

        Args:
            data: Processes along the first axis; None for as many as there are.
            direction: Processes along the second.
            column: Processes along the third.
            seconds: How long to wait for a process that does not answer, where an axis is not the whole mesh; the whole
                waits as :func:`kjet.distributed.connected` was told.

        Raises:
            ConfigError: If the box does not have as many places as there are processes.
        """
        size = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        rows = size // max(direction * column, 1) if data is None else data
        if min(rows, direction, column) < 1 or rows * direction * column != size:
            raise ConfigError(
                f"a mesh of data={rows} times direction={direction} times column={column} does not hold "
                f"{size} connected processes; start data * direction * column of them, as by "
                "torchrun --nproc-per-node=4 for 2 times 2, and connect them before"
            )
        if size == 1:
            return cls()
        rank, grid = dist.get_rank(), torch.arange(size).reshape(rows, direction, column)
        world = Axis(rank, size, dist.group.WORLD)

        def axis(*dims: int) -> Axis:
            others = [dim for dim in range(3) if dim not in dims]
            lines = grid.permute(*others, *dims).reshape(-1, math.prod(grid.shape[dim] for dim in dims))
            return _axis(lines.tolist(), world, seconds)

        found = {"data": axis(0), "direction": axis(1), "column": axis(2)}
        peers = axis(0, 1) if min(rows, direction) > 1 else found["data" if rows > 1 else "direction"]
        return cls(**found, world=world, peers=peers)

    def points(self, n: int, device: torch.device | str | None = None) -> Share:
        """Share n points among the data ranks: every ``size``-th, from the rank on.

        Draw all points on all processes, from generators in the same state, and select: the whole is then the same
        whatever the number of processes. A process has none where there are fewer points than data ranks.
        """
        return Share(torch.arange(n, device=device)[self.data.rank :: self.data.size], n)

    def reduce(self, *values: Tensor, split: bool = False) -> list[Tensor]:
        """Sum over the data ranks, mean over the others; the same on all processes, without a graph.

        That is the loss of all points if each process has its part of the mean (:meth:`Share.mean`), and what
        derivatives need: see :func:`kjet.distributed.sum_over`.

        Args:
            *values: The same kinds and shapes on all processes.
            split: Whether every column rank has a part of its own, as the gradient of a split layer is: then nothing is
                added over the column ranks, and shapes may differ along them.

        Cost: one exchange for all values of one type and device.
        """
        axis, shared = self.peers if split else self.world, self.direction.size * self.column.size
        if axis.group is None:
            return [value.detach() / shared if shared > 1 else value.detach() for value in values]
        with torch.no_grad():
            kinds = dict.fromkeys((value.dtype, value.device) for value in values)
            found: dict[int, Tensor] = {}
            for kind in kinds:
                places = [i for i, value in enumerate(values) if (value.dtype, value.device) == kind]
                flat = torch.cat([values[i].reshape(-1) for i in places])
                if shared > 1:
                    flat = flat / shared
                dist.all_reduce(flat, group=axis.group)
                parts = flat.split([values[i].numel() for i in places])
                found |= {i: part.reshape(values[i].shape) for i, part in zip(places, parts, strict=True)}
        return [found[i] for i in range(len(values))]


def _axis(lines: Sequence[list[int]], world: Axis, seconds: float) -> Axis:
    """Axis of this process; all processes make the groups of all lines, in the same order."""
    size = len(lines[0])
    if size == 1:
        return Axis()
    rank = next(line.index(world.rank) for line in lines if world.rank in line)
    if size == world.size:
        return Axis(rank, size, world.group)
    group, _ = dist.new_subgroups_by_enumeration(list(lines), timeout=timedelta(seconds=seconds))
    return Axis(rank, size, group)
