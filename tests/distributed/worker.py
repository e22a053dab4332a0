"""What each of several processes runs: ``python -m tests.distributed.worker all|compile folder rank port``.

One program for every mesh; what it finds goes to ``folder/<mesh>-<rank>.pt``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from kjet.distributed import (
    Mesh,
    ReplicaError,
    ShardedPlan,
    check_replicas,
    connected,
    directional_sum,
    laplacian,
    reduce_gradients,
    sum_over,
)
from kjet.jets import Plan, Trace, quantity
from kjet.jets.estimators import STDE, Hutchinson
from kjet.jets.seeds import Shared
from tests.distributed.launching import environment

MESHES = {"one": (1, 1), "points": (2, 1), "directions": (1, 2), "directions 3": (1, 3), "both": (2, 2)}
PROCESSES = 4
SECONDS = 60.0
SILENT = 5.0
"""How long the others wait for a process that says nothing."""

N, D = 7, 5  # neither is a multiple of 2 or 3
STEPS = 3
U = quantity({(): 1.0})
SPACE = Trace(range(D - 1))
RATE = quantity({((D - 1, 1),): 1.0, SPACE: -0.5})
FIRST = quantity({((0, 1),): 1.0})


class Network(nn.Module):
    """A field, a parameter of the equation, one that only the wall uses, and one that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(D, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
        self.rate = nn.Parameter(torch.tensor([0.7]))
        self.wall = nn.Parameter(torch.tensor([0.2]))
        self.idle = nn.Parameter(torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) * (1 - (x**2).sum(-1, keepdim=True))


def network() -> Network:
    torch.manual_seed(0)
    return Network().double()


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rand(*shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=generator(seed))


Terms = Callable[[Network, Tensor], tuple[Tensor, Tensor]]
"""Network and points to values of the operator and residuals, (n, 1) both."""


def equations(mesh: Mesh) -> Iterator[tuple[str, Terms]]:
    """Residuals by every way to an operator."""
    turned = torch.diag(torch.tensor([1.0, 1.0, 1.0, -2.0, 0.0], dtype=torch.float64))
    turned[0, 4] = 0.5
    vectors, weights = rand(5, D, seed=4), rand(5, seed=5)

    def nonlinear(operator: Callable[[Network, Tensor], Tensor]) -> Terms:
        def terms(net: Network, x: Tensor) -> tuple[Tensor, Tensor]:
            value, u = operator(net, x), net(x)
            return value, value + net.rate * u**3 - u * value

        return terms

    yield "laplacian", nonlinear(lambda net, x: laplacian(net, x, mesh.direction))
    yield "weighted", nonlinear(lambda net, x: laplacian(net, x, mesh.direction, turned))
    for chunk in (None, 1):
        yield (
            f"fourth order, chunk {chunk}",
            nonlinear(
                lambda net, x, c=chunk: directional_sum(net, x, Shared(vectors), weights, 4, mesh.direction, chunk=c)
            ),
        )
    yield (
        "one direction",
        nonlinear(lambda net, x: directional_sum(net, x, Shared(vectors[:1]), weights[:1], 3, mesh.direction)),
    )
    for name, estimator in {
        "exact": None,
        "sparse": STDE(3),
        "sparse, per point": STDE(3, per_point=True),
        "gaussian": Hutchinson(2, law="gaussian"),
        "rademacher": Hutchinson(3),
    }.items():
        yield f"plan, {name}", planned(ShardedPlan(Plan.build([RATE, U, FIRST], D, estimator), mesh))


def planned(plan: ShardedPlan) -> Terms:
    draws = plan.draw(N, generator(6), torch.float64)

    def terms(net: Network, x: Tensor) -> tuple[Tensor, Tensor]:
        values = plan(net, x, draws)
        return values[RATE], values[RATE] + net.rate * values[U] * values[FIRST] - torch.sin(values[U])

    return terms


def loss_of(net: Network, terms: Terms, mesh: Mesh) -> tuple[Tensor, Tensor, Tensor]:
    """This process's part of the loss, its places among the points, and the operator there."""
    inside = mesh.points(N)
    values, residual = terms(net, rand(N, D, seed=1)[inside.index])
    loss = inside.mean(residual.square()).sum()
    wall = mesh.points(1)
    if len(wall.index):  # nothing of it on most processes
        at = rand(1, D, seed=2)[wall.index]
        loss = loss + wall.mean((net(at) - net.wall).square()).sum()
    return loss, inside.index, values


def gradients(net: Network) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}


def evaluate(mesh: Mesh) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, terms in equations(mesh):
        net = network()
        loss, index, values = loss_of(net, terms, mesh)
        loss.backward()
        (whole,) = reduce_gradients(net.parameters(), mesh, loss)
        found[name] = {"loss": whole, "gradients": gradients(net), "index": index, "values": values.detach()}
    return found


def compiled(mesh: Mesh) -> dict[str, object]:
    """One equation whose loss is compiled as a whole."""
    terms = dict(equations(mesh))["plan, sparse, per point"]
    net = network()
    points = rand(N, D, seed=1)[mesh.points(N).index]
    total = mesh.points(N)

    def loss(x: Tensor) -> Tensor:
        return total.mean(terms(net, x)[1].square()).sum()

    found: dict[str, object] = {}
    for name, function in {"eager": loss, "compiled": torch.compile(loss, fullgraph=True, backend="aot_eager")}.items():
        net.zero_grad()
        value = function(points)
        value.backward()
        (whole,) = reduce_gradients(net.parameters(), mesh, value)
        found[name] = {"loss": whole, "gradients": gradients(net)}
    return found


def train(mesh: Mesh) -> dict[str, Tensor]:
    net = network()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    terms = dict(equations(mesh))["plan, sparse, per point"]
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss, _, _ = loss_of(net, terms, mesh)
        loss.backward()
        reduce_gradients(net.parameters(), mesh)
        optimizer.step()
    check_replicas(net.named_parameters(), mesh.world)
    return {name: p.detach() for name, p in net.named_parameters()}


def drift(mesh: Mesh) -> dict[str, str]:
    """Messages of the guard, where the last process has something else."""
    last = mesh.world.rank == mesh.world.size - 1

    def message(tensors: list[tuple[str, Tensor]]) -> str:
        try:
            check_replicas(tensors, mesh.world)
        except ReplicaError as error:
            return str(error)
        return ""

    changed = dict(network().named_parameters())
    if last:
        with torch.no_grad():  # one bit of one element
            entry = changed["layers.2.weight"][3, 1]
            entry.copy_(torch.nextafter(entry, entry + 1))
    names = [("a", torch.zeros(2)), *([] if last else [("b", torch.zeros(1))])]
    return {
        "same": message(
            [*network().named_parameters(), ("generator", generator(1).get_state()), ("no", torch.ones(0))]
        ),
        "value": message([*changed.items()]),
        "order": message([("w", torch.tensor([1.0, 2.0] if last else [2.0, 1.0]))]),
        "type": message([("a", torch.zeros(2, dtype=torch.float32 if last else torch.int32))]),
        "missing": message(names),
    }


def transforms(mesh: Mesh) -> dict[str, object]:
    """Forward mode, batches, and derivatives of derivatives, for the function ``sum_r (r + 1) x^2``."""
    axis, rank = mesh.direction, mesh.direction.rank
    x = torch.arange(1.0, 4.0, dtype=torch.float64)

    def whole(x: Tensor) -> Tensor:
        return sum_over((rank + 1) * x**2, axis)

    def loss(y: Tensor) -> Tensor:
        return whole(y).square().sum()

    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(whole(leaf).sum(), leaf, create_graph=True)
    slope = sum_over(slope, axis) / axis.size  # as a residual would have it
    (curvature,) = torch.autograd.grad((slope**2 * whole(leaf)).sum(), leaf)
    return {
        "jvp": torch.func.jvp(whole, (x,), (torch.ones_like(x),)),
        "vmap": torch.vmap(whole, in_dims=1)(torch.stack([x, 2 * x], 1)),
        "reduce": mesh.reduce(torch.tensor(2.0), 1j * x, torch.ones(2, 2, dtype=torch.float64) * (1 + mesh.data.rank)),
        "vjp": mesh.reduce(*torch.func.vjp(whole, x)[1](torch.ones_like(x))),
        "forward over reverse": mesh.reduce(torch.func.hessian(loss)(x)),
        "reverse over reverse": mesh.reduce(torch.func.jacrev(torch.func.grad(loss))(x)),
        "slope": slope.detach(),
        "curvature": mesh.reduce(curvature),
    }


def wait_in_vain(mesh: Mesh) -> dict[str, object]:
    """Add up with a process that says nothing."""
    started = time.monotonic()
    try:
        sum_over(torch.ones(3), mesh.direction)
    except RuntimeError as error:
        return {"error": str(error), "seconds": time.monotonic() - started}
    return {"error": "", "seconds": 0.0}


def compile_alone(folder: Path, rank: int, port: int) -> None:
    if rank < 2:
        with connected("cpu", SECONDS, environment(rank, port, 2, 0)):
            torch.save(compiled(Mesh.build(1, 2)), folder / f"compiled-{rank}.pt")


def main(folder: Path, rank: int, port: int) -> None:
    for attempt, (name, (data, direction)) in enumerate(MESHES.items()):
        if rank >= data * direction:
            continue
        with connected("cpu", SECONDS, environment(rank, port, data * direction, attempt)):
            mesh = Mesh.build(data, direction)
            found = {"equations": evaluate(mesh), "trained": train(mesh)}
            if mesh.world.size > 1:
                found["drift"] = drift(mesh)
            if mesh.direction.size > 1:
                found["transforms"] = transforms(mesh)
            torch.save(found, folder / f"{name}-{rank}.pt")
    if rank < 2:
        with connected("cpu", SILENT, environment(rank, port, 2, len(MESHES))):
            mesh, result = Mesh.build(1, 2), folder / "silent.pt"
            if rank == 0:
                torch.save(wait_in_vain(mesh), result)
            while not result.exists():
                time.sleep(0.05)
            os._exit(0)  # what is left of the group is of no use
    with connected("cpu", SECONDS, environment(rank - 2, port, 2, len(MESHES) + 1)):
        mesh = Mesh.build(1, 2)
        if rank == 3:
            raise SystemExit("this process gives up")
        sum_over(torch.ones(3), mesh.direction)


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"all": main, "compile": compile_alone}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
