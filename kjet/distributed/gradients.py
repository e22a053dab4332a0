"""Gradients of the whole loss from those of the processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import nn

from ..errors import ConfigError
from ..typing import Tensor
from .column_parallel import ColumnParallelLinear
from .mesh import Mesh

__all__ = ["reduce_gradients", "replicated"]


def reduce_gradients(parameters: nn.Module | Iterable[Tensor], mesh: Mesh, *values: Tensor) -> list[Tensor]:
    """Make the gradients of all processes the gradient of the whole loss, in one exchange.

    Call it on all processes after ``loss.backward()``, where the loss is each process's part (:meth:`Share.mean`).
    A parameter without a gradient on some processes has one afterwards if any of them has.

    Weights of a :class:`ColumnParallelLinear` are those of this process alone, and nothing is added to their gradients
    over the column ranks: a second exchange, of the processes with the same columns.

    Args:
        parameters: The network. Or its parameters, the same on all processes, in the same order, where no layer is
            split over column ranks; those that need no gradient are passed over.
        mesh: The processes.
        *values: What else is to be reduced along with them, such as the loss itself.

    Returns:
        The values of the whole: sums over the data ranks, means over the others.

    Raises:
        ConfigError: If there are column ranks, and no network that tells which parameters are split over them.

    >>> w = torch.ones(1, requires_grad=True)
    >>> loss = (3 * w).sum()
    >>> loss.backward()
    >>> reduce_gradients([w], Mesh(), loss), w.grad
    ([tensor(3.)], tensor([3.]))
    """
    if isinstance(parameters, nn.Module):
        alone = _split(parameters)
        trained = [p for p in parameters.parameters() if p.requires_grad]
        _reduce([p for p in trained if p in alone], lambda *tensors: mesh.reduce(*tensors, split=True), ())
        return _reduce([p for p in trained if p not in alone], mesh.reduce, values)
    if mesh.column.size > 1:
        raise ConfigError(
            f"the mesh has {mesh.column.size} column ranks, and a list of parameters does not tell which of them are "
            "split over these; use reduce_gradients(network, mesh, ...)"
        )
    return _reduce([p for p in parameters if p.requires_grad], mesh.reduce, values)


def replicated(network: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Name the parameters that are the same on all processes, for :func:`check_replicas` over ``mesh.world``.

    Those of a :class:`ColumnParallelLinear` are left out: ``network.named_parameters()`` are the same over
    ``mesh.peers``.

    >>> from kjet.distributed import Columns
    >>> [name for name, _ in replicated(ColumnParallelLinear(Columns(6), 2))]
    ['bias']
    """
    alone = _split(network)
    return ((name, p) for name, p in network.named_parameters() if p not in alone)


def _split(network: nn.Module) -> set[Tensor]:
    return {module.weight for module in network.modules() if isinstance(module, ColumnParallelLinear)}


def _reduce(trained: Sequence[Tensor], reduce: Callable[..., list[Tensor]], values: tuple[Tensor, ...]) -> list[Tensor]:
    if not trained:
        return reduce(*values) if values else []
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
    # Ranks must agree on what travels, so each tells which parameters it used rather than leave some out.
    used = torch.tensor([float(p.grad is not None) for p in trained]).to(gradients[0])
    counts, *reduced = reduce(used, *gradients, *values)
    for place, (p, total) in enumerate(zip(trained, reduced, strict=False)):
        if p.grad is not None:
            p.grad.copy_(total)
        elif bool(counts[place]):
            p.grad = total.clone()
    return reduced[len(trained) :]
