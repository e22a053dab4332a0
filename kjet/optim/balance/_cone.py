"""Projection on the cone of directions along which no loss rises."""

from __future__ import annotations

import torch

from ...errors import DivergenceError
from ...typing import Float, Tensor

__all__ = ["nonnegative", "project_on_dual_cone"]

_EPS = torch.finfo(torch.float64).eps


def project_on_dual_cone(
    units: Float[Tensor, "k q"], target: Float[Tensor, " q"]
) -> tuple[Float[Tensor, " q"], Float[Tensor, " k"]]:
    """Return the point nearest to a target where ``units @ x >= 0``, and ``w >= 0`` with ``x = target + w @ units``.

    By Moreau's decomposition, w is the solution of ``min |target + w @ units|^2`` over ``w >= 0``.

    >>> x, w = project_on_dual_cone(torch.tensor([[1.0, 0.0]]).double(), torch.tensor([-2.0, 1.0]).double())
    >>> x.tolist(), w.tolist()
    ([0.0, 1.0], [2.0])
    """
    w = nonnegative(units.t(), -target)
    x = target + w @ units
    # Once more for what is left of it: the first solution has removed most of it, and with it most of the rounding.
    active = w > 0
    if bool(active.any()):
        edge = units[active]
        x = x - torch.linalg.pinv(edge) @ (edge @ x)
    return x, w


def nonnegative(a: Float[Tensor, "q k"], b: Float[Tensor, " q"]) -> Float[Tensor, " k"]:
    """Solve ``min |a w - b|^2`` over ``w >= 0`` by active sets, exactly up to rounding.

    Raises:
        DivergenceError: If the sets repeat, which exact arithmetic excludes.

    Cost: a least-squares problem for each change of the set, some k of them.

    Ref: Lawson, Hanson, *Solving least squares problems*, 1974, algorithm 23.10.
    """
    k = a.shape[1]
    w, free, barred = a.new_zeros(k), torch.zeros(k, dtype=torch.bool), torch.zeros(k, dtype=torch.bool)
    # Columns and targets are of length 1 or so: what is smaller in the gradient is rounding.
    small = 32 * k * _EPS * float(b.norm())
    for _ in range(16 * (k + 1)):
        slope = (a.t() @ (b - a @ w)).masked_fill(free | barred, -torch.inf)
        best = int(slope.argmax())
        if float(slope[best]) <= small:
            return w
        free[best] = True
        if float(_least_squares(a, b, free)[best]) <= 0:  # by rounding alone
            free[best], barred[best] = False, True
            continue
        w, free = _settled(a, b, w, free)
        barred.zero_()
    raise DivergenceError(
        f"the projection of a gradient on the cone of {k} gradients did not end; they depend on each other up to "
        "rounding. Leave out terms that say the same"
    )


def _settled(a: Tensor, b: Tensor, w: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
    """Go to the least-squares solution of the free columns; those that become negative on the way leave the set."""
    while True:
        trial = _least_squares(a, b, free)
        negative = free & (trial <= 0)
        if not bool(negative.any()):
            return trial, free
        # As far as no weight becomes negative; one that is zero already stops at once.
        ratio = torch.where(w > 0, w / (w - trial), 0.0)
        step = ratio[negative].min()
        leaving = negative & (ratio <= step)
        w, free = (w + step * (trial - w)).masked_fill(leaving, 0.0), free & ~leaving


def _least_squares(a: Tensor, b: Tensor, free: Tensor) -> Tensor:
    solution = a.new_zeros(a.shape[1])
    solution[free] = torch.linalg.lstsq(a[:, free], b.unsqueeze(1), driver="gelsd").solution[:, 0]
    return solution
