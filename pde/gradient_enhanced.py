"""Equations together with derivatives of their residuals, which vanish on a solution, too."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..errors import ConfigError, unknown
from .calculus import d
from .equation import Equation, trace
from .expression import Expression
from .parameter import Unknown
from .recording import collect

__all__ = ["GradientEnhanced"]


class GradientEnhanced(Equation):
    """An equation ``R = 0`` with ``d R / d x_i = 0`` for some coordinates, as further residuals.

    The loss becomes ``mean R^2 + weight sum_i mean (d R / d x_i)^2``: each further residual is scaled by the root of
    the weight. Derivatives need jets one order higher, and mixed ones; take few coordinates where there are many. With
    `samples` the coordinates are drawn once, and the weight is multiplied by d / samples, which makes the sum an
    unbiased estimate, over draws, of that over all coordinates.

    Args:
        equation: The equation.
        weight: Weight of the squared derivatives against the squared residual, in length^2.
        along: Coordinates to differentiate in; by default all spatial ones, or `samples` of them.
        samples: Number of spatial coordinates to draw, instead of `along`.
        seed: Seed of that draw.

    Raises:
        ConfigError: If the weight is not positive, a coordinate is unknown, the number of samples does not fit, or both
            `along` and `samples` are given.

    Ref: Yu, Lu, Meng, Karniadakis, *Gradient-enhanced physics-informed neural networks for forward and inverse PDE
    problems*, 2022.

    >>> from kjet.pde import Heat
    >>> for line in GradientEnhanced(Heat(), weight=0.01).record().describe().splitlines()[:2]:
    ...     print(line)
    residual: u_t - diffusivity u_xx - source = 0
    residual_x: 0.1 (u_xt - diffusivity u_xxx) = 0
    """

    def __init__(
        self,
        equation: Equation,
        weight: float = 0.1,
        along: Sequence[str] | None = None,
        samples: int | None = None,
        seed: int = 0,
    ) -> None:
        if not isinstance(equation, Equation):
            raise ConfigError(f"GradientEnhanced takes an equation, such as Heat(); got {equation!r}")
        if not (math.isfinite(weight) and weight > 0):
            raise ConfigError(f"the weight of the derivatives must be positive; got {weight}")
        if along is not None and samples is not None:
            raise ConfigError("give either `along` or `samples`, not both")
        self.equation, self.fields, self.coords = equation, equation.fields, equation.coords
        self.time = equation.time  # type: ignore[misc]
        space = equation.frame().space
        self.along = _drawn(space, samples, seed) if samples is not None else tuple(along or space)
        for name in self.along:
            if name not in self.coords:
                raise ConfigError(unknown("coordinate", name, self.coords, type(equation).__name__))
        self.factor = math.sqrt(weight * (len(space) / samples if samples is not None else 1.0))

    def residual(self, *arguments: Any) -> dict[str, Expression]:
        """Residuals of the equation, and their weighted derivatives."""
        *fields, p = arguments
        found = collect(trace(self.equation.residual, list(fields), p), p._frame)
        slopes = {f"{name}_{x}": self.factor * d(r, x) for name, r in found.items() for x in self.along}
        return {**found, **{name: slope for name, slope in slopes.items() if not _vanishes(slope)}}

    def parameters(self) -> dict[str, float | Unknown]:
        """Parameters of the equation."""
        return self.equation.parameters()

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Parameters of the equation that are functions."""
        return self.equation.functions()


def _drawn(space: Sequence[str], samples: int, seed: int) -> tuple[str, ...]:
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= len(space):
        raise ConfigError(f"samples must be a whole number from 1 to {len(space)}, the spatial ones; got {samples!r}")
    chosen = torch.randperm(len(space), generator=torch.Generator().manual_seed(seed))[:samples]
    return tuple(space[i] for i in sorted(chosen.tolist()))


def _vanishes(node: Expression) -> bool:
    value = getattr(node, "_value", None)
    return isinstance(value, int | float) and value == 0
