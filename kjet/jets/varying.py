"""Sums over many coordinates with coefficients that vary from point to point, and directions that carry them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import ConfigError
from ..typing import Float, Int, Tensor
from .seeded import OneHot, PerPoint, ScaledAxes, Seeds, Stacked
from .traces import Axes, as_axes, axes_name

__all__ = ["Varying"]


@dataclass(frozen=True)
class Varying:
    """``sum over axes of a_i(x) d_i^order``: diffusion with a diagonal matrix (order 2), or advection (order 1).

    Sums of order 1 are one directional derivative, along ``a(x)``, and exact. Those of order 2 go along the directions
    of the Laplacian, scaled by ``sqrt(a_i(x))``, whether they are the axes or those of an estimator:
    ``sum_r w_r E[v_r v_r^T] = 1`` makes ``sum_r w_r (sqrt(a) v_r . grad)^2`` the operator in the mean. Coefficients
    that may be negative take two such sums, of the positive and of the negative ones, and twice the directions.

    Args:
        axes: Columns of x, as a range or a tuple.
        order: 1 or 2.
        weight: Values ``x[:, axes]`` (n, p) to coefficients (n, p), or what broadcasts to that. Equal operators have
            the same function, so that plans can be remembered: take one with a name rather than a lambda.
        positive: Whether no coefficient is negative. Of no meaning for order 1.

    Raises:
        ConfigError: If the axes are no different columns, the order is another one, or the weight cannot be called.

    >>> print(Varying(range(3), 2, torch.square, positive=True))
    sum_i square_i d_i^2 [0..2]
    """

    axes: Axes
    order: int
    weight: Callable[[Any], Any]
    positive: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", as_axes(self.axes))
        if self.order not in (1, 2):
            raise ConfigError(f"sums with coefficients that vary have order 1 or 2; got {self.order}")
        if not callable(self.weight):
            raise ConfigError(
                f"weight must be a function of the coordinates (n, {len(self.axes)}), such as torch.square; "
                f"got {self.weight!r}"
            )

    @property
    def signs(self) -> tuple[int, ...]:
        """Signs of coefficients that have directions of their own."""
        return (1,) if self.positive else (1, -1)

    def check(self, d: int) -> None:
        """Compare with the number of coordinates.

        Raises:
            ConfigError: If an axis is none of them.
        """
        if self.axes[-1] >= d:
            raise ConfigError(f"{self} uses axis {self.axes[-1]}, but x has axes 0 to {d - 1}")

    def coefficients(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n p"]:
        """``a_i(x)`` for every axis.

        Raises:
            ConfigError: If the function returns what is no coefficient for each point and axis, or negative ones; or of
                second derivatives such as depend on something that is differentiated, as their root is not at zero.
        """
        axes = self.axes
        index = slice(axes.start, axes.stop, axes.step) if isinstance(axes, range) else list(axes)
        given = x[:, index]
        found = torch.as_tensor(self.weight(given), dtype=x.dtype, device=x.device)
        if found.ndim > 2 or any(size not in (1, full) for size, full in zip(found.shape[::-1], given.shape[::-1])):  # noqa: B905
            raise ConfigError(
                f"the weight of {self} gave shape {tuple(found.shape)}; expected {tuple(given.shape)}, or what "
                "broadcasts to it"
            )
        if self.order == 2 and found.requires_grad and torch.is_grad_enabled():
            raise ConfigError(
                f"the weight of {self} depends on points or parameters that require gradients, which would be wrong "
                "where it is zero. Put a factor that is trained before the sum, and detach the points"
            )
        if self.order == 2 and self.positive and _readable(found) and bool((found < 0).any()):
            raise ConfigError(f"the weight of {self} is negative at some point; leave out positive=True")
        return found.expand(given.shape)

    def roots(self, x: Float[Tensor, "n d"], sign: int) -> Float[Tensor, "n p"]:
        """``sqrt(max(sign a_i(x), 0))``; the root has no derivative at zero, so zeros are left out before it."""
        a = sign * self.coefficients(x)
        if self.positive:  # not hidden: a coefficient that is negative all the same makes the value NaN
            return torch.where(a == 0, 1.0, a).sqrt() * (a != 0)
        used = a > 0
        return torch.where(used, a, 1.0).sqrt() * used

    def embedded(self, values: Float[Tensor, "n p"], d: int) -> Float[Tensor, "n d"]:
        """Values at their columns, zero elsewhere."""
        if self.axes == range(d):
            return values
        columns = self.columns(torch.arange(len(self.axes), device=values.device))
        return values.new_zeros(values.shape[0], d).index_copy(1, columns, values)

    def columns(self, places: Int[Tensor, " s"]) -> Int[Tensor, " s"]:
        """Columns of x by their place among the axes."""
        axes = self.axes
        if isinstance(axes, range):
            return axes.start + axes.step * places
        return torch.tensor(axes, device=places.device)[places]

    def places(self, columns: Int[Tensor, "s *n"]) -> Int[Tensor, "s *n"]:
        """Places among the axes by columns of x."""
        axes = self.axes
        if isinstance(axes, range):
            return torch.div(columns - axes.start, axes.step, rounding_mode="floor")
        return torch.searchsorted(torch.tensor(axes, device=columns.device), columns.contiguous())

    def along(self, x: Float[Tensor, "n d"]) -> PerPoint:
        """The direction ``a(x)``, for order 1."""
        return PerPoint(self.embedded(self.coefficients(x), x.shape[1]).unsqueeze(0))

    def scaled(self, seeds: Seeds, x: Float[Tensor, "n d"]) -> Seeds:
        """Directions times ``sqrt(a(x))``: those for each of the signs."""
        found: list[Seeds] = []
        for sign in self.signs:
            roots = self.roots(x, sign)
            found += [self._times(part, roots, x) for part in seeds.parts()]
        return found[0] if len(found) == 1 else Stacked(tuple(found))

    def _times(self, part: Any, roots: Float[Tensor, "n p"], x: Tensor) -> Seeds:
        if isinstance(part, OneHot):
            places = self.places(part.columns)
            scales = roots.t()[places] if places.ndim == 1 else roots.t().gather(0, places)
            return ScaledAxes(part.columns, scales.contiguous())
        return PerPoint(part.dense(*x.shape, x) * self.embedded(roots, x.shape[1]))

    def __str__(self) -> str:
        name = getattr(self.weight, "__name__", "a")
        return f"sum_i {name}_i d_i{'^2' if self.order == 2 else ''} [{axes_name(self.axes)}]"


def _readable(values: Tensor) -> bool:
    """Whether numbers may be looked at without waiting for a device."""
    if torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack():
        return False
    return values.device.type == "cpu" and not torch._C._functorch.is_functorch_wrapped_tensor(values)
