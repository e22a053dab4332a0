"""Building blocks of the cavity solver: the flow in the lid's corners and the clamped polynomials."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ...typing import Tensor

_PLATE = 4 / (math.pi**2 - 4)  # makes the plate's speed 1


def plate(x: Tensor, y: Tensor) -> Tensor:
    """Stream function of Stokes flow in a corner: wall on x = 0 at rest, plate on y = 0, y pointing into the fluid.

    ``C (a x + pi/2 (a - pi/2) y)`` with a the angle from the plate: zero on both sides, ``psi_y = -1`` on the plate.

    Ref: Taylor, On scraping viscous fluid from a plane surface, 1962.
    """
    angle = torch.atan2(y, x)
    return _PLATE * (angle * x + math.pi / 2 * (angle - math.pi / 2) * y)


def plate_slopes(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """First derivatives of `plate` in x and y, and the pressure at unit viscosity up to its sign."""
    x = torch.where((x == 0) & (y == 0), 1e-100, x)  # in the corner itself: the limit along the plate
    angle, pull = torch.atan2(y, x), (x + math.pi / 2 * y) / (x**2 + y**2)
    return _PLATE * (angle - pull * y), _PLATE * (math.pi / 2 * (angle - math.pi / 2) + pull * x), 2 * _PLATE * pull


def fade(x: Tensor) -> Tensor:
    """Cubic from 1 to 0 on [0, 1] with flat ends; it and its mirror image add up to 1."""
    return (1 - x) ** 2 * (1 + 2 * x)


def lid(x: Tensor, y: Tensor) -> Tensor:
    """Stream function with both corner flows, u = 1 on the whole lid and rest on the other walls."""
    down = 1 - y
    return fade(down) * (fade(x) * plate(x, down) + fade(1 - x) * plate(1 - x, down))


def plates(x: Tensor, y: Tensor) -> Tensor:
    """Both corner flows without fading: exact Stokes flows, with a pressure in closed form."""
    return plate(x, 1 - y) + plate(1 - x, 1 - y)


def lid_velocity(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Velocity of `lid`, and the pressure of `plates` at unit viscosity."""
    down = 1 - y
    left, right = plate_slopes(x, down), plate_slopes(1 - x, down)
    across = fade(x) * plate(x, down) + fade(1 - x) * plate(1 - x, down)
    u = 6 * down * (1 - down) * across - fade(down) * (fade(x) * left[1] + fade(1 - x) * right[1])
    slope = -6 * x * (1 - x)  # of fade
    turned = slope * (plate(x, down) - plate(1 - x, down)) + fade(x) * left[0] - fade(1 - x) * right[0]
    return u, -fade(down) * turned, right[2] - left[2]


def partials(f: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, order: int) -> dict[tuple[int, int], Tensor]:
    """Partial derivatives of `f` up to `order`, by repeated reverse mode."""
    with torch.enable_grad():
        x, y = x.detach().requires_grad_(), y.detach().requires_grad_()
        found = {(0, 0): f(x, y)}
        for total in range(1, order + 1):
            for i in range(total + 1):
                lower, by = ((i - 1, total - i), x) if i else ((0, total - 1), y)
                found[i, total - i] = torch.autograd.grad(found[lower].sum(), by, create_graph=True)[0]
    return {key: value.detach() for key, value in found.items()}


def legendre(x: Tensor, count: int, order: int) -> Tensor:
    """Legendre polynomials on [0, 1] and their derivatives, (order + 1, count, n)."""
    z = 2 * x - 1
    rows = [[torch.ones_like(z), z]] + [
        [torch.zeros_like(z), torch.full_like(z, float(d == 1))] for d in range(1, order + 1)
    ]
    for k in range(1, count - 1):
        rows[0].append(((2 * k + 1) * z * rows[0][k] - k * rows[0][k - 1]) / (k + 1))
        for d in range(1, order + 1):
            rows[d].append(rows[d][k - 1] + (2 * k + 1) * rows[d - 1][k])
    return torch.stack([2.0**d * torch.stack(row) for d, row in enumerate(rows)])


def clamped(x: Tensor, count: int, order: int) -> Tensor:
    """Polynomials that vanish with their slope at 0 and 1, and derivatives; second derivatives are orthonormal.

    Ref: Shen, Efficient spectral-Galerkin method I, 1994 (biharmonic problem).
    """
    L = legendre(x, count + 4, order)
    k = torch.arange(count, dtype=torch.float64, device=x.device)[:, None]
    mixed = L[:, :-4] - 2 * (2 * k + 5) / (2 * k + 7) * L[:, 2:-2] + (2 * k + 3) / (2 * k + 7) * L[:, 4:]
    return mixed / (
        4 * torch.sqrt((2 * k + 3) ** 2 * (2 * k + 5))
    )  # 2 from the reference, sqrt(8) / sqrt(2) from [0, 1]
