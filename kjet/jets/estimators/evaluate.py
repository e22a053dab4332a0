"""Derivatives along the directions of a draw: summed with their weights, or one by one."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..bundles import Source
from ..derivative import Derivative, quantity
from ..jet import Jet
from ..layout import Layout
from ..plan import Plan
from ..seeds import Seeds, start
from .base import Family, Function
from .targets import times

__all__ = ["check_points", "directional", "estimate", "planned", "summed"]


def check_points(x: Tensor) -> None:
    """Check the points that a user gives.

    Raises:
        ConfigError: If they are not floating point of shape (n, d).
    """
    if x.ndim != 2 or x.shape[1] == 0 or not x.is_floating_point():
        raise ConfigError(f"points must be floating point of shape (n, d), d >= 1; got {x.dtype} of {tuple(x.shape)}")


def estimate(
    f: Function, x: Float[Tensor, "n d"], family: Family, generator: torch.Generator | None
) -> Float[Tensor, "n m"]:
    """Draw directions and sum the derivatives along them."""
    if not family.count:  # a weight of zeros
        return torch.zeros_like(f(x))
    return summed(f, x, family, family.draw(len(x), generator, x.dtype, x.device))


def planned(
    f: Function,
    x: Float[Tensor, "n d"],
    terms: Mapping[Derivative, float | Tensor],
    estimator: Source,
    generator: torch.Generator | None,
) -> Float[Tensor, "n m"]:
    """Derivatives with traces in them, by a plan that takes the estimator's directions for these."""
    names = {derivative: quantity({derivative: 1.0}) for derivative in terms}
    plan = Plan.build(list(names.values()), x.shape[1], estimator)
    values = plan(f, x, plan.draw(len(x), generator, x.dtype, x.device))
    return torch.stack([times(c, values[names[a]]) for a, c in terms.items()]).sum(0)


def summed(f: Function, x: Float[Tensor, "n d"], family: Family, seeds: Seeds) -> Float[Tensor, "n m"]:
    """``sum_r w_r D^K_{v_r} f``, summed before it is propagated.

    Cost: 1 + s (K - 1) + 1 channels.
    """
    top, value = _top(f, x, seeds, family.layout)
    if top is None:
        return torch.zeros_like(value)
    return (math.factorial(family.order) * top[0]).expand(value.shape)


def directional(f: Function, x: Float[Tensor, "n d"], order: int, seeds: Seeds) -> Float[Tensor, "s n m"]:
    """``D^K_{v_r} f`` for each direction.

    Cost: 1 + s K channels.
    """
    top, value = _top(f, x, seeds, Layout.uniform(seeds.count, order))
    if top is None:
        return value.new_zeros(seeds.count, *value.shape)
    return (math.factorial(order) * top).expand(seeds.count, *value.shape)


def _top(f: Function, x: Tensor, seeds: Seeds, layout: Layout) -> tuple[Tensor | None, Tensor]:
    """Coefficient of the highest order, and the value of f."""
    y = f(start(x, seeds, layout))
    if isinstance(y, Jet):
        return y.coefficients[layout.order], y.primal
    return None, y
