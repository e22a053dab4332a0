"""Closed-form solutions as plain torch functions: differentiable, in the dtype and on the device of their arguments."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor

__all__ = [
    "black_scholes_call",
    "dalembert",
    "heat_mode",
    "kdv_soliton",
    "kdv_two_soliton",
    "kovasznay",
    "lshape_singular",
    "plane_wave",
    "taylor_green",
]


def kovasznay(
    x: Float[Tensor, "..."], y: Float[Tensor, "..."], reynolds: float = 40.0
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Evaluate (u, v, p) of Kovasznay's steady flow behind a grid, ``u . grad u + grad p = lap(u) / Re``.

    ``u = 1 - e^(l x) cos 2 pi y``, ``v = l / (2 pi) e^(l x) sin 2 pi y``, ``p = (1 - e^(2 l x)) / 2`` with
    ``l = Re / 2 - sqrt(Re^2 / 4 + 4 pi^2)``.

    Ref: Kovasznay, Laminar flow behind a two-dimensional grid, 1948.

    >>> u, v, p = kovasznay(torch.zeros(1), torch.tensor([0.5]))
    >>> round(float(u), 6), round(float(p), 6)
    (2.0, 0.0)
    """
    rate = reynolds / 2 - math.sqrt(reynolds**2 / 4 + 4 * math.pi**2)
    growth = torch.exp(rate * x)
    u = 1 - growth * torch.cos(2 * math.pi * y)
    v = rate / (2 * math.pi) * growth * torch.sin(2 * math.pi * y)
    return u, v, (1 - growth**2) / 2 + 0 * y


def taylor_green(
    x: Float[Tensor, "..."], y: Float[Tensor, "..."], t: Float[Tensor, "..."], nu: float
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Evaluate (u, v, p) of the decaying vortices of Taylor and Green, unit density, period 2 pi.

    ``u = sin x cos y F``, ``v = -cos x sin y F``, ``p = (cos 2x + cos 2y) F^2 / 4`` with ``F = exp(-2 nu t)``.

    Ref: Taylor, Green, Mechanism of the production of small eddies from large ones, 1937.

    >>> u, v, p = taylor_green(torch.tensor([math.pi / 2]), torch.zeros(1), torch.zeros(1), nu=0.1)
    >>> float(u)
    1.0
    """
    decay = torch.exp(-2 * nu * t)
    u = torch.sin(x) * torch.cos(y) * decay
    v = -torch.cos(x) * torch.sin(y) * decay
    return u, v, (torch.cos(2 * x) + torch.cos(2 * y)) * decay**2 / 4


def kdv_soliton(
    x: Float[Tensor, "..."], t: Float[Tensor, "..."], speed: float = 1.0, position: float = 0.0
) -> Float[Tensor, "..."]:
    """Evaluate the soliton of ``u_t + 6 u u_x + u_xxx = 0``: ``(c / 2) sech^2(sqrt(c) (x - c t - x0) / 2)``.

    Raises:
        ConfigError: If the speed is not positive.

    >>> float(kdv_soliton(torch.tensor([4.0]), torch.tensor([1.0]), speed=4.0))
    2.0
    """
    if not speed > 0:
        raise ConfigError(f"speed is {speed}; a soliton moves to the right: give a positive speed.")
    phase = math.sqrt(speed) / 2 * (x - speed * t - position)
    return speed / 2 * (1 - torch.tanh(phase) ** 2)


def kdv_two_soliton(
    x: Float[Tensor, "..."],
    t: Float[Tensor, "..."],
    k: tuple[float, float] = (1.0, 2.0),
    shift: tuple[float, float] = (0.0, 0.0),
) -> Float[Tensor, "..."]:
    """Evaluate two interacting solitons of ``u_t + 6 u u_x + u_xxx = 0``, of speeds ``k^2``.

    ``u = 2 (log F)_xx`` with ``F = 1 + e^a + e^b + ((k1 - k2) / (k1 + k2))^2 e^(a + b)``, ``a = k1 (x - s1) - k1^3
    t`` and b likewise. A second derivative of a log-sum-exp is the variance of the slopes (0, k1, k2, k1 + k2) under
    the softmax of the exponents: nothing overflows.

    Args:
        x: Positions.
        t: Times.
        k: Wave numbers, positive and different.
        shift: s1 and s2, positions of the single solitons at t = 0.

    Raises:
        ConfigError: If `k` does not hold two different positive numbers.

    Ref: Hirota, Exact solution of the Korteweg-de Vries equation for multiple collisions of solitons, 1971.

    >>> x = torch.tensor([400 + math.log(3.0)], dtype=torch.float64)     # the fast one, pushed ahead by log 3
    >>> round(float(kdv_two_soliton(x, torch.tensor(100.0), k=(1.0, 2.0))), 9)
    2.0
    """
    k1, k2 = k
    if not (k1 > 0 and k2 > 0 and k1 != k2):
        raise ConfigError(f"k is {k}; give two different positive wave numbers.")
    a, b = (ki * (x - si) - ki**3 * t for ki, si in zip(k, shift, strict=True))
    interaction = 2 * math.log(abs(k1 - k2) / (k1 + k2))
    share = torch.softmax(torch.stack([torch.zeros_like(a), a, b, a + b + interaction], dim=-1), dim=-1)
    slopes = torch.tensor([0.0, k1, k2, k1 + k2], dtype=share.dtype, device=share.device)
    mean = (share * slopes).sum(-1, keepdim=True)
    return 2 * (share * (slopes - mean) ** 2).sum(-1)


def black_scholes_call(
    s: Float[Tensor, "..."],
    t: Float[Tensor, "..."],
    strike: float = 100.0,
    rate: float = 0.05,
    sigma: float = 0.2,
    maturity: float = 1.0,
) -> Float[Tensor, "..."]:
    """Price a European call at time `t` before `maturity`: ``C_t + sigma^2 s^2 C_ss / 2 + r s C_s - r C = 0``.

    ``C = s N(d1) - K e^(-r (T - t)) N(d2)``; at maturity, and for s = 0, the limits.

    Raises:
        ConfigError: If strike or sigma is not positive.

    Ref: Black, Scholes, The pricing of options and corporate liabilities, 1973, eq. (13).

    >>> round(float(black_scholes_call(torch.tensor(100.0), torch.tensor(0.0))), 4)
    10.4506
    """
    if not (strike > 0 and sigma > 0):
        raise ConfigError(f"strike is {strike} and sigma is {sigma}; both must be positive.")
    left = maturity - t
    inside = (left > 0) & (s > 0)
    # Arguments outside are replaced before the logarithm and the root, whose infinite slopes would poison gradients.
    tau, price = torch.where(inside, left, 1.0), torch.where(inside, s, strike)
    spread = sigma * torch.sqrt(tau)
    d1 = (torch.log(price / strike) + (rate + sigma**2 / 2) * tau) / spread
    value = price * torch.special.ndtr(d1) - strike * torch.exp(-rate * tau) * torch.special.ndtr(d1 - spread)
    return torch.where(inside, value, torch.clamp(s - strike, min=0))


def plane_wave(x: Float[Tensor, "... d"], k: Float[Tensor, " d"], phase: float = 0.0) -> Float[Tensor, "..."]:
    """Evaluate ``cos(k . x + phase)``, a solution of ``lap(u) + |k|^2 u = 0``.

    >>> float(plane_wave(torch.zeros(1, 2), torch.ones(2)))
    1.0
    """
    return torch.cos(x @ k.to(x) + phase)


def heat_mode(x: Float[Tensor, "..."], t: Float[Tensor, "..."], nu: float, k: int = 1) -> Float[Tensor, "..."]:
    """Evaluate ``sin(k pi x) exp(-nu k^2 pi^2 t)``, a solution of ``u_t = nu u_xx``, 0 at x = 0 and 1.

    >>> float(heat_mode(torch.tensor(0.5), torch.tensor(0.0), nu=0.1))
    1.0
    """
    return torch.sin(k * math.pi * x) * torch.exp(-nu * (k * math.pi) ** 2 * t)


def dalembert(
    x: Float[Tensor, "..."],
    t: Float[Tensor, "..."],
    c: float,
    u0: Callable[[Tensor], Tensor],
    v0_integral: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "..."]:
    """Evaluate d'Alembert's solution of ``u_tt = c^2 u_xx`` on the line.

    ``u = (u0(x - c t) + u0(x + c t)) / 2 + (V(x + c t) - V(x - c t)) / (2 c)`` with V an antiderivative of the
    velocity.

    Args:
        x: Positions.
        t: Times.
        c: Speed, not 0.
        u0: Initial displacement.
        v0_integral: Antiderivative of the initial velocity; none is a start at rest.

    Raises:
        ConfigError: If the speed is 0.

    >>> float(dalembert(torch.tensor(1.0), torch.tensor(1.0), 1.0, lambda x: torch.exp(-(x**2)))) > 0.5
    True
    """
    if c == 0:
        raise ConfigError("c is 0; a wave needs a speed.")
    ahead, behind = x + c * t, x - c * t
    u = (u0(behind) + u0(ahead)) / 2
    return u if v0_integral is None else u + (v0_integral(ahead) - v0_integral(behind)) / (2 * c)


def lshape_singular(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Evaluate ``r^(2/3) sin(2 theta / 3)``, harmonic on the L-shaped domain with its corner at the origin.

    The domain is (-1, 1)^2 without the quadrant x > 0, y < 0 ([0, 1] x [-1, 0]); theta runs from the positive x axis
    counter-clockwise to 3 pi / 2. The value is 0 on both sides that meet in the corner; the gradient is infinite there.

    >>> round(float(lshape_singular(torch.tensor(-1.0), torch.tensor(0.0))), 6)     # sin(2 pi / 3)
    0.866025
    """
    # Measured from the diagonal of the domain, the branch cut lies in the quadrant that is cut out.
    diagonal = torch.atan2(-(x + y), y - x)
    theta = 3 * math.pi / 4 + diagonal
    return (x**2 + y**2) ** (1 / 3) * torch.sin(2 * theta / 3)
