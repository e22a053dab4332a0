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

__all__ = ["Memory", "directional_sum", "directional_sums", "gradient_products", "measure"]

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
    return directional_sums(f, x, seeds, weights, order, budget, chunk)[0]


def directional_sums(
    f: Function,
    x: Float[Tensor, "n d"],
    seeds: Seeds,
    weights: Float[Tensor, "s"],
    order: int,
    budget: float | None = None,
    chunk: int | None = None,
    products: bool = False,
) -> tuple[Tensor, ...]:
    """As :func:`directional_sum`, and with products also ``sum_r w_r (D_{v_r} f_a) (D_{v_r} f_b)``, (n, m, m).

    These are sums over the directions, too, of first derivatives that a pass has anyway; those of order 1 with products
    carry their directions one by one.

    Raises:
        ConfigError: If counts or shapes do not fit, or one direction exceeds the budget.
    """
    _check(seeds, weights, order, budget, chunk)
    count = seeds.count
    if chunk is None:
        chunk = count if budget is None else measure(f, x, seeds, order, products).directions(budget)
    pieces = math.ceil(count / min(chunk, count))
    if pieces == 1:
        return _sums(f, x, seeds, weights, order, products)
    ends = [count * i // pieces for i in range(pieces + 1)]
    terms = [
        _again(f, x, seeds.rows(first, last), weights[first:last], order, products)
        for first, last in itertools.pairwise(ends)
    ]
    return tuple(sum(parts[1:], parts[0]) for parts in zip(*terms, strict=True))


def measure(f: Function, x: Float[Tensor, "n d"], seeds: Seeds, order: int, products: bool = False) -> Memory:
    """Measure what an evaluation with gradients takes, on a few points and directions.

    Bytes are affine in the points and in the directions. Arrays that depend on neither, such as the parameters, and the
    points themselves are there anyway and left out; the largest array is counted three times more, for what the
    backward pass works on. Of seeds of several kinds the dearest counts.

    Cost: four passes over at most four points and two directions, for each kind of seeds.
    """
    seeds.check(x)
    found = [_measure(f, x, part.rows(0, 1), order, x.requires_grad, products) for part in seeds.parts()]
    return Memory(max(memory.fixed for memory in found), max(memory.each for memory in found))


def _measure(f: Function, x: Tensor, direction: Seeds, order: int, leaf: bool, products: bool) -> Memory:
    runs = []
    for n, s in ((2, 1), (2, 2), (4, 1), (4, 2)):
        index = torch.arange(n, device=x.device) % x.shape[0]
        rows = direction if s == 1 else Stacked((direction, direction))
        runs.append(_kept(f, x.detach()[index].requires_grad_(leaf), rows.points(index), order, products))
    # The graphs of all runs are alive: what they have in common was there before.
    common = set.intersection(*(set(sizes) for sizes, _ in runs))
    base, by_direction, by_point, both = (
        _weighed([size for at, size in sizes.items() if at not in common]) for sizes, _ in runs
    )
    if not base and not leaf:  # nothing is trained, so that nothing was kept: see what the points would keep
        return _measure(f, x, direction, order, True, products)
    # base + b (n - 2) / 2 + (e + c n) s, without the part that depends on neither.
    c = (both - by_point - by_direction + base) / 2
    e = by_direction - base - 2 * c
    b = (by_point - base) / 2 - c
    return Memory(max(b, 0.0) * x.shape[0], max(e + c * x.shape[0], 0.0))


def _weighed(sizes: list[int]) -> int:
    # The backward pass of a layer holds the gradient of its output, that of its input, and one array to make it.
    return sum(sizes) + 3 * max(sizes, default=0)


def _kept(f: Function, x: Tensor, seeds: Seeds, order: int, products: bool) -> tuple[dict[int, int], Any]:
    """Sizes of the storages that autograd keeps, by address, and the values that keep them alive."""
    sizes: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        value = _sums(f, x, seeds, torch.ones(seeds.count, dtype=torch.float64), order, products)
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


def _sums(f: Function, x: Tensor, seeds: Seeds, weights: Tensor, order: int, products: bool) -> tuple[Tensor, ...]:
    count, summed = seeds.count, order > 1 or not products
    kept = (count,) * (order - 1) + (0 if summed else count,)
    layout = Layout(kept, (None,) * (order - 1) + (weights.reshape(1, -1) if summed else None,))
    y = f(start(x, seeds, layout))
    value = y.primal if isinstance(y, Jet) else y
    top = y.coefficients[order] if isinstance(y, Jet) else None
    if top is None:
        total = torch.zeros_like(value)
    elif summed:
        total = (math.factorial(order) * top[0]).expand(value.shape)
    else:
        total = torch.tensordot(weights.to(top), top, 1).expand(value.shape)
    if not products:
        return (total,)
    return total, gradient_products(y.coefficients[1] if isinstance(y, Jet) else None, weights, value)


def _again(f: Function, x: Tensor, seeds: Seeds, weights: Tensor, order: int, products: bool) -> tuple[Tensor, ...]:
    """One chunk, computed again in the backward pass where there will be one."""
    if not torch.is_grad_enabled() or torch._C._are_functorch_transforms_active():
        return _sums(f, x, seeds, weights, order, products)
    return checkpoint(  # type: ignore[return-value]
        lambda points: _sums(f, points, seeds, weights, order, products), x, use_reentrant=False
    )


def gradient_products(
    slopes: Float[Tensor, "s n m"] | None, weights: Float[Tensor, " s"], value: Float[Tensor, "n m"]
) -> Float[Tensor, "n m m"]:
    """``sum_r w_r g_ra g_rb`` of first derivatives along s directions, None where they are zero.

    Args:
        slopes: ``D_{v_r} f_a``, of one point where all have the same.
        weights: One for each direction.
        value: What was differentiated, for its shape.

    Raises:
        ConfigError: If the function does not have values (n, m).
    """
    if value.ndim != 2:
        raise ConfigError(f"products of gradients need a function with values (n, m); got {tuple(value.shape)}")
    shape = (*value.shape, value.shape[-1])
    if slopes is None:
        return value.new_zeros(shape)
    w = weights.to(slopes)
    if slopes.shape[-1] == 1:
        return torch.tensordot(w, slopes * slopes, 1).unsqueeze(-1).expand(shape)
    return torch.einsum("sna,snb->nab", slopes * w[:, None, None], slopes).expand(shape)
