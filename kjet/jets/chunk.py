"""Sums of directional derivatives under a memory budget: few directions at a time, recomputed in the backward pass."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from ..errors import ConfigError
from ..typing import Float, Tensor
from .jet import Jet
from .layout import Layout
from .seeds import Seeds, Stacked, start

__all__ = ["Memory", "directional_sum", "measure"]

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class Memory:
    """Bytes that one evaluation with gradients keeps: ``fixed + each * directions``.

    Attributes:
        fixed: For the value, whatever the directions.
        each: For each direction.
    """

    fixed: float
    each: float

    def directions(self, budget: float) -> int:
        """Directions that fit into a number of bytes.

        Raises:
            ConfigError: If not even one does.

        >>> Memory(fixed=100.0, each=30.0).directions(200)
        3
        """
        if self.fixed + self.each > budget:
            raise ConfigError(
                f"a budget of {budget:.3g} bytes is below the {self.fixed + self.each:.3g} that a single direction "
                "needs at these points; raise it, or evaluate fewer points at a time"
            )
        return math.floor((budget - self.fixed) / self.each) if self.each > 0 else 2**62


def directional_sum(
    f: Function,
    x: Float[Tensor, "n d"],
    seeds: Seeds,
    weights: Float[Tensor, "s"],
    order: int,
    budget: float | None = None,
    chunk: int | None = None,
) -> Float[Tensor, "n m"]:
    """``sum_r w_r D^K_{v_r} f`` at the points, over chunks of directions.

    The top order of a collapsed jet is additive over the directions, so each chunk is a pass of its own that carries
    the value, its lower orders and one sum. With gradients, a chunk keeps its arguments alone and is computed again in
    the backward pass: memory is that of one chunk, time about 4/3 of that without chunks.

    Args:
        f: Function of points (n, d) with values (n, m), built from operations that have a rule.
        x: Points.
        seeds: Directions.
        weights: One for each direction; constants.
        order: Order K of the derivatives, at least 1.
        budget: Bytes for one chunk, from which its size follows by :func:`measure`; None for no limit.
        chunk: Directions in a chunk, in place of a budget.

    Raises:
        ConfigError: If counts or shapes do not fit, or one direction exceeds the budget.
        JetRuleError: If ``f`` uses an operation without a rule.

    Cost: one pass of 2 + (K - 1) s / c channels for each of c chunks; the measurement is four small ones.

    >>> import torch
    >>> from kjet.jets.seeds import OneHot
    >>> f = lambda x: (x**3).sum(-1, keepdim=True)
    >>> x, axes = torch.tensor([[1.0, 2.0]]), OneHot(torch.tensor([0, 1]))
    >>> directional_sum(f, x, axes, torch.ones(2), 2, chunk=1).item()
    18.0
    """
    _check(seeds, weights, order, budget, chunk)
    count = seeds.count
    if chunk is None:
        chunk = count if budget is None else measure(f, x, seeds, order).directions(budget)
    pieces = math.ceil(count / min(chunk, count))
    if pieces == 1:
        return _sum(f, x, seeds, weights, order)
    ends = [count * i // pieces for i in range(pieces + 1)]
    terms = [
        _again(f, x, seeds.rows(first, last), weights[first:last], order) for first, last in itertools.pairwise(ends)
    ]
    return sum(terms[1:], terms[0])


def measure(f: Function, x: Float[Tensor, "n d"], seeds: Seeds, order: int) -> Memory:
    """Measure what an evaluation with gradients takes, on a few points and directions.

    Bytes are affine in the points and in the directions. Arrays that depend on neither, such as the parameters, and the
    points themselves are there anyway and left out; the largest array is counted three times more, for what the
    backward pass works on. Of seeds of several kinds the dearest counts.

    Cost: four passes over at most four points and two directions, for each kind of seeds.
    """
    seeds.check(x)
    found = [_measure(f, x, part.rows(0, 1), order, x.requires_grad) for part in seeds.parts()]
    return Memory(max(memory.fixed for memory in found), max(memory.each for memory in found))


def _measure(f: Function, x: Tensor, direction: Seeds, order: int, leaf: bool) -> Memory:
    runs = []
    for n, s in ((2, 1), (2, 2), (4, 1), (4, 2)):
        index = torch.arange(n, device=x.device) % x.shape[0]
        rows = direction if s == 1 else Stacked((direction, direction))
        runs.append(_kept(f, x.detach()[index].requires_grad_(leaf), rows.points(index), order))
    # The graphs of all runs are alive: what they have in common was there before.
    common = set.intersection(*(set(sizes) for sizes, _ in runs))
    base, by_direction, by_point, both = (
        _weighed([size for at, size in sizes.items() if at not in common]) for sizes, _ in runs
    )
    if not base and not leaf:  # nothing is trained, so that nothing was kept: see what the points would keep
        return _measure(f, x, direction, order, leaf=True)
    # base + b (n - 2) / 2 + (e + c n) s, without the part that depends on neither.
    c = (both - by_point - by_direction + base) / 2
    e = by_direction - base - 2 * c
    b = (by_point - base) / 2 - c
    return Memory(max(b, 0.0) * x.shape[0], max(e + c * x.shape[0], 0.0))


def _weighed(sizes: list[int]) -> int:
    # The backward pass of a layer holds the gradient of its output, that of its input, and one array to make it.
    return sum(sizes) + 3 * max(sizes, default=0)


def _kept(f: Function, x: Tensor, seeds: Seeds, order: int) -> tuple[dict[int, int], Tensor]:
    """Sizes of the storages that autograd keeps, by address, and the value that keeps them alive."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        value = _sum(f, x, seeds, torch.ones(seeds.count, dtype=torch.float64), order)
    sizes.pop(x.untyped_storage().data_ptr(), None)
    return sizes, value


def _check(seeds: Seeds, weights: Tensor, order: int, budget: float | None, chunk: int | None) -> None:
    if tuple(weights.shape) != (seeds.count,):
        raise ConfigError(f"weights have shape {tuple(weights.shape)}; expected one for each of {seeds.count} seeds")
    if weights.requires_grad:
        raise ConfigError("weights of directions are constants; pass weights.detach()")
    if order < 1:
        raise ConfigError(f"order must be at least 1; got {order}")
    if chunk is not None and (chunk < 1 or budget is not None):
        raise ConfigError(f"give a chunk of at least 1 direction, or a budget; got chunk={chunk}, budget={budget}")
    if budget is not None and not budget > 0:
        raise ConfigError(f"budget must be a positive number of bytes; got {budget}")


def _sum(f: Function, x: Tensor, seeds: Seeds, weights: Tensor, order: int) -> Tensor:
    count = seeds.count
    layout = Layout((count,) * (order - 1) + (0,), (None,) * (order - 1) + (weights.reshape(1, -1),))
    y = f(start(x, seeds, layout))
    top = y.coefficients[order] if isinstance(y, Jet) else None
    if top is None:
        return torch.zeros_like(y.primal if isinstance(y, Jet) else y)
    return (math.factorial(order) * top[0]).expand(y.shape)


def _again(f: Function, x: Tensor, seeds: Seeds, weights: Tensor, order: int) -> Tensor:
    """One chunk, computed again in the backward pass where there will be one."""
    if not torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return _sum(f, x, seeds, weights, order)
    return checkpoint(lambda points: _sum(f, points, seeds, weights, order), x, use_reentrant=False)  # type: ignore
