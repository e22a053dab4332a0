"""What each of several processes runs: ``python -m tests.distributed.columns_worker all folder rank port``.

One program for every mesh; what it finds goes to ``folder/<mesh>-<rank>.pt``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from kjet.distributed import (
    ColumnParallelLinear,
    Columns,
    Mesh,
    ReplicaError,
    ShardedPlan,
    check_replicas,
    connected,
    reduce_gradients,
    replicated,
    sum_over,
)
from kjet.jets import STDE, Hutchinson, Plan, Shared, Trace, quantity
from kjet.pde import ball_solution
from tests.distributed.launching import environment

MESHES = {"one": (1, 1, 1), "columns": (1, 1, 2), "columns 3": (1, 1, 3), "points": (2, 1, 2), "directions": (1, 2, 2)}
PROCESSES = 4
N, D, WIDTH = 5, 7, 6  # D is no multiple of 2 or 3
U, LAPLACIAN = quantity({(): 1.0}), quantity({Trace(range(D)): 1.0})
MIXED = quantity({((D - 1, 1),): 1.0, Trace(range(D - 1)): -0.5})
SQUARED = quantity({Trace(range(D), 2): 0.1})


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Network(nn.Module):
    """``(1 - |x|^2) g(x)``, of points with all columns or with those of this process."""

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self.columns = columns
        self.first = ColumnParallelLinear(columns, WIDTH, generator=generator(0), dtype=torch.float64)
        torch.manual_seed(1)
        self.rest = nn.Sequential(nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1)).double()

    def forward(self, x: Any) -> Any:
        squares = sum_over((self.columns.of(x) ** 2).sum(-1, keepdim=True), self.columns.axis)
        return (1 - squares) * self.rest(self.first(x))


def cases() -> Iterator[tuple[str, Any, list[Any], bool]]:
    """Name, estimator, derivatives, and whether processes hold their own columns of the points alone."""
    for name, estimator in {
        "sparse": STDE(3),
        "sparse with replacement, per point": STDE(3, replacement=True, per_point=True),
        "rademacher": Hutchinson(3),
        "gaussian, per point": Hutchinson(2, law="gaussian", per_point=True),
        "all axes": STDE(D),
    }.items():
        for local in (False, True):
            yield f"{name}, local {local}", estimator, [LAPLACIAN, U], local
    yield "exact", None, [LAPLACIAN, U], False
    yield "exact, mixed orders", None, [MIXED, U], False
    yield "fourth order", Hutchinson(2, law="gaussian"), [SQUARED, U], True


def points(columns: Columns, mesh: Mesh, local: bool) -> tuple[Tensor, Tensor]:
    """Points of this process, and all their columns for the source."""
    whole = Columns(D).ball(Mesh().points(N), generator(2), torch.float64)[mesh.points(N).index]
    if not local:
        return whole, whole
    return columns.ball(mesh.points(N), generator(2), torch.float64), whole


def evaluate(mesh: Mesh) -> dict[str, Any]:
    """Value, operator, loss, gradients and a step of the two-body Sine-Gordon residual."""
    columns = Columns(D, mesh.column)
    source = ball_solution(D, "two_body", seed=0).to(torch.float64)
    found = {}
    for name, estimator, wanted, local in cases():
        net = Network(columns)
        x, whole = points(columns, mesh, local)
        plan = ShardedPlan(Plan.build(wanted, D, estimator), mesh)
        draws = plan.draw(N, generator(3), torch.float64)
        values = plan(net, x, tuple(columns.seeds(seeds) for seeds in draws) if local else draws)
        u, laplacian = source.laplacians(whole)
        operator, y = values[wanted[0]], values[U]
        residual = operator + torch.sin(y) - (laplacian + torch.sin(u))[:, None]
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
        loss = mesh.points(N).mean(residual.square()).sum()
        loss.backward()
        (total,) = reduce_gradients(net, mesh, loss)
        gradients = {key: p.grad.clone() for key, p in net.named_parameters()}
        optimizer.step()
        check_replicas(replicated(net), mesh.world)
        check_replicas(net.named_parameters(), mesh.peers)
        found[name] = {
            "loss": total,
            "operator": operator.detach(),
            "value": y.detach(),
            "gradients": gradients,
            "trained": {key: p.detach().clone() for key, p in net.named_parameters()},
            "input": torch.autograd.grad(net(x.requires_grad_()).sum(), x)[0] if local else torch.zeros(0),
        }
    return found


def exchanges(mesh: Mesh) -> int:
    """Number of exchanges in one evaluation of the layer at jets of order 4, without those of the plan."""
    columns, count, plain = Columns(D, mesh.column), 0, dist.all_reduce

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        return plain(*args, **kwargs)

    layer = ColumnParallelLinear(columns, WIDTH, dtype=torch.float64)
    plan = Plan.build([SQUARED, LAPLACIAN, U], D, Hutchinson(2, law="gaussian"))
    dist.all_reduce = counted
    try:
        x = columns.of(torch.ones(N, D, dtype=torch.float64))
        plan(lambda x: torch.tanh(layer(x)), x, [columns.seeds(s) for s in plan.draw(N, generator(4), torch.float64)])
    finally:
        dist.all_reduce = plain
    return count


def drawn(mesh: Mesh) -> dict[str, Any]:
    """Random numbers, and a sum that couples neighbours, from the processes' own columns."""
    d, columns = 9001, Columns(9001, mesh.column)
    share, state = mesh.points(N), generator(5)
    x = columns.ball(share, state, torch.float64, beyond=1)
    pairs = (x[:, : min(columns.width, d - 1 - columns.first)] * x[:, 1 : columns.width + 1]).sum(1)
    return {
        "ball": x[:, : columns.width],
        "pairs": sum_over(pairs, mesh.column),
        "normal": columns.normal(3, state),
        "signs": Shared(columns.signs(3, state)).vectors,
        "next": torch.rand(3, generator=state),
    }


def drift(mesh: Mesh) -> str:
    """What the guard says where one process has another bias."""
    net = Network(Columns(D, mesh.column))
    with torch.no_grad():
        net.first.bias.add_(float(mesh.world.rank == mesh.world.size - 1))
    try:
        check_replicas(replicated(net), mesh.world)
    except ReplicaError as error:
        return str(error)
    return ""


def main(folder: Path, rank: int, port: int) -> None:
    for attempt, (name, (data, direction, column)) in enumerate(MESHES.items()):
        size = data * direction * column
        if rank >= size:
            continue
        with connected("cpu", 60.0, environment(rank, port, size, attempt)):
            mesh = Mesh.build(data, direction, column)
            columns = Columns(D, mesh.column)
            found = {
                "columns": (columns.first, columns.last),
                "rank": (mesh.data.rank, mesh.direction.rank, mesh.column.rank, mesh.peers.rank),
                "index": mesh.points(N).index,
                "cases": evaluate(mesh),
                "exchanges": exchanges(mesh),
                "drawn": drawn(mesh),
                "drift": drift(mesh),
            }
            torch.save(found, folder / f"{name}-{rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
