"""Sums over many directions, each rank pushing some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from ..jets import Laplacian
from ..jets.chunk import directional_sum as _alone
from ..jets.seeds import OneHot, Seeds, Shared
from ..typing import Float, Tensor
from .mesh import Axis
from .reduction import sum_over

__all__ = ["directional_sum", "laplacian"]

Function = Callable[[Any], Any]


def directional_sum(
    f: Function,
    x: Float[Tensor, "n d"],
    seeds: Seeds,
    weights: Float[Tensor, "s"],
    order: int,
    axis: Axis,
    budget: float | None = None,
    chunk: int | None = None,
) -> Float[Tensor, "n m"]:
    """``sum_r w_r D^K_{v_r} f`` at the points, the directions shared by the ranks of an axis.

    Args:
        f: Function of points (n, d) with values (n, m), built from operations that have a rule.
        x: Points, the same on all ranks.
        seeds: All directions, the same on all ranks.
        weights: One for each direction; constants.
        order: Order K of the derivatives, at least 1.
        axis: The ranks, such as ``mesh.direction``.
        budget: Bytes for one chunk of this rank's directions; None for no limit.
        chunk: Directions in a chunk, in place of a budget.

    Returns:
        The whole sum, on all ranks; gradients as :func:`sum_over` says.

    Raises:
        ConfigError: If counts or shapes do not fit.
        JetRuleError: If ``f`` uses an operation without a rule.

    Cost: a pass of 2 + (K - 1) s / P channels, and one all-reduce of (n, m).

    >>> f = lambda x: (x**3).sum(-1, keepdim=True)
    >>> axes = OneHot(torch.tensor([0, 1]))
    >>> directional_sum(f, torch.tensor([[1.0, 2.0]]), axes, torch.ones(2), 2, Axis()).item()
    18.0
    """
    first, last = axis.run(seeds.count)
    if first == last:
        return sum_over(torch.zeros_like(f(x)), axis)
    if last - first < seeds.count:
        seeds, weights = seeds.rows(first, last), weights[first:last]
    return sum_over(_alone(f, x, seeds, weights, order, budget, chunk), axis)


def laplacian(
    f: Function, x: Float[Tensor, "n d"], axis: Axis, weight: Float[Tensor, "d d"] | None = None
) -> Float[Tensor, "n m"]:
    """``sum_i u_ii``, or ``sum_ij W_ij u_ij``, the directions shared by the ranks of an axis.

    Args:
        f: Function of points (n, d) with values (n, m).
        x: Points, the same on all ranks.
        axis: The ranks, such as ``mesh.direction``.
        weight: Matrix, split by the eigenvectors of its symmetric part.

    Raises:
        ConfigError: If the weight does not fit the points.

    >>> laplacian(lambda x: (x**2).sum(-1, keepdim=True), torch.zeros(1, 3), Axis()).item()
    6.0
    """
    d = x.shape[1]
    Laplacian(weight).check(d)
    if weight is None:
        return directional_sum(f, x, OneHot(torch.arange(d, device=x.device)), x.new_ones(d), 2, axis)
    values, vectors = torch.linalg.eigh((0.5 * (weight + weight.T)).to(x.device, torch.float64))
    if axis.group is not None:
        # Eigenvectors of equal values are free to turn, and different machines may turn them differently.
        both = torch.cat([vectors, values[None]])
        dist.broadcast(both, group=axis.group, group_src=0)
        vectors, values = both[:-1], both[-1]
    used = values.abs() > 1e-14 * values.abs().max()
    if not bool(used.any()):
        return torch.zeros_like(f(x))
    return directional_sum(f, x, Shared(vectors[:, used].T.to(x)), values[used], 2, axis)
