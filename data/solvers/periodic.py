"""Reference solutions of periodic equations in one space dimension.

Every solver takes an initial field (x) or (b, x) on a uniform grid without its end point, and times ``t``: one number
gives (x) or (b, x), a vector gives (t, x) or (b, t, x). Fields are float64. The stepping keywords are those of
`etdrk4`: with none of them, the step is halved until the result settles to 1e-9; ``dt=`` is cheaper for data sets,
``tol=`` checks it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Unpack

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from .grid import PeriodicGrid, Times, per_sample, positive
from .spectral import Stepping, etdrk4

__all__ = ["allen_cahn", "burgers", "forced_burgers", "kdv", "kuramoto_sivashinsky"]


def _convection(grid: PeriodicGrid, speed: float | Tensor = 1.0) -> Callable[[Tensor, float], Tensor]:
    """``-speed * (u^2 / 2)_x`` on coefficients."""
    factor = -0.5j * grid.wavenumbers()[0] * speed
    return lambda v, t: factor * grid.forward(grid.inverse(v) ** 2)


def burgers(
    u0: Float[Tensor, "*b x"],
    nu: float | Float[Tensor, " b"],
    t: Times,
    *,
    length: float = 2.0,
    **stepping: Unpack[Stepping],
) -> Float[Tensor, "..."]:
    """Solve ``u_t + u u_x = nu u_xx``, periodic.

    A shock is some ``4 nu / |jump|`` wide: three points across that leave an error of 2e-5 in it, six leave 1e-9. The
    standard case, ``nu = 0.01 / pi`` from ``-sin(pi x)``, wants 1024 or 2048 points.

    Args:
        u0: Initial field.
        nu: Viscosity, one or one for each sample.
        t: Time or times.
        length: Period; 2 is the interval [-1, 1).
        **stepping: See `etdrk4`.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    >>> x = torch.arange(64, dtype=torch.float64) / 32 - 1
    >>> u = burgers(-torch.sin(math.pi * x), 0.1, torch.tensor([0.0, 0.5]))
    >>> u.shape, bool((u.sum(-1)).abs().max() < 1e-12)
    (torch.Size([2, 64]), True)
    """
    grid = PeriodicGrid.of(u0, length)
    nu = positive("nu", nu)
    return etdrk4(u0, lambda k: -nu * k**2, _convection(grid), t, length=length, **stepping)


def forced_burgers(
    u0: Float[Tensor, "*b x"],
    t: Times,
    forcing: Callable[[float], Tensor] | None = None,
    *,
    alpha: float | Float[Tensor, " b"] = 1.0,
    beta: float | Float[Tensor, " b"] = 0.1,
    gamma: float | Float[Tensor, " b"] = 0.0,
    length: float = 16.0,
    **stepping: Unpack[Stepping],
) -> Float[Tensor, "..."]:
    """Solve ``u_t + (alpha u^2 / 2)_x - beta u_xx + gamma u_xxx = f(x, t)``, periodic.

    Without beta or gamma the solution grows shocks that no spectral grid resolves: that case is refused.

    Args:
        u0: Initial field.
        t: Time or times.
        forcing: Time to the right-hand side on the grid, shaped like `u0`; none is 0.
        alpha: Convection, one number or one for each sample; likewise
        beta: diffusion, and
        gamma: dispersion.
        length: Period.
        **stepping: See `etdrk4`.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    Ref: Brandstetter, Worrall, Welling, Message passing neural PDE solvers, 2022 (combined equation).

    >>> x = torch.arange(32, dtype=torch.float64) / 2
    >>> u = forced_burgers(0 * x, 1.0, lambda t: torch.cos(math.pi / 8 * x), steps=20)
    >>> u.shape
    torch.Size([32])
    """
    grid = PeriodicGrid.of(u0, length)
    a, b, c = per_sample(alpha), positive("beta", beta, allow_zero=True), per_sample(gamma)
    if float(torch.as_tensor(beta).min()) == 0 and float(torch.as_tensor(gamma).abs().min()) == 0:
        raise ConfigError("beta and gamma are 0: the inviscid equation forms shocks. Give a positive beta.")
    convection = _convection(grid, a)

    def nonlinear(v: Tensor, time: float) -> Tensor:
        found = convection(v, time)
        return found if forcing is None else found + grid.forward(forcing(time).to(torch.float64))

    return etdrk4(u0, lambda k: -b * k**2 + 1j * c * k**3, nonlinear, t, length=length, **stepping)


def allen_cahn(
    u0: Float[Tensor, "*b x"],
    t: Times,
    diffusion: float = 1e-4,
    reaction: float = 5.0,
    *,
    length: float = 2.0,
    **stepping: Unpack[Stepping],
) -> Float[Tensor, "..."]:
    """Solve ``u_t = D u_xx + c (u - u^3)``, periodic.

    The defaults are the usual benchmark with ``u0 = x^2 cos(pi x)`` on [-1, 1). Its fronts want 1024 points (512 leave
    an error of 3e-4), and its kink at the ends leaves a few 1e-5 there at early times, which falls as 1 / points^2: a
    relative L2 error of 1e-6 with 1024 points and 7e-8 with 4096.

    Args:
        u0: Initial field.
        t: Time or times.
        diffusion: D.
        reaction: c.
        length: Period.
        **stepping: See `etdrk4`.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    >>> u = allen_cahn(0.1 * torch.ones(8, dtype=torch.float64), 1.0)     # u / sqrt(1 - u^2) grows by exp(5)
    >>> bool(((u / (1 - u**2).sqrt()) / (0.1 / math.sqrt(0.99)) - math.exp(5.0)).abs().max() < 1e-4)
    True
    """
    grid = PeriodicGrid.of(u0, length)
    D = positive("diffusion", diffusion)
    # The growth c u goes with the explicit part: fourth order, and the state u = 1 stays stationary to rounding.
    return etdrk4(
        u0,
        lambda k: -D * k**2,
        lambda v, _: reaction * (v - grid.forward(grid.inverse(v) ** 3)),
        t,
        length=length,
        **stepping,
    )


def kdv(
    u0: Float[Tensor, "*b x"],
    t: Times,
    a: float = 1.0,
    b: float = 0.0025,
    *,
    length: float = 2.0,
    **stepping: Unpack[Stepping],
) -> Float[Tensor, "..."]:
    """Solve ``u_t + a u u_x + b u_xxx = 0``, periodic.

    Two conventions are in use: ``a = 1, b = 0.0025`` with ``u0 = cos(pi x)`` on [-1, 1) (the defaults), and the form
    of the solitons in `exact`, ``a = 6, b = 1``.

    Args:
        u0: Initial field.
        t: Time or times.
        a: Convection.
        b: Dispersion.
        length: Period.
        **stepping: See `etdrk4`.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    >>> x = torch.arange(64, dtype=torch.float64) / 32 - 1
    >>> u = kdv(torch.cos(math.pi * x), 0.2)
    >>> bool(u.mean().abs() < 1e-12), bool(((u**2).mean() - 0.5).abs() < 1e-9)     # mass and momentum stay
    (True, True)
    """
    grid = PeriodicGrid.of(u0, length)
    return etdrk4(u0, lambda k: 1j * b * k**3, _convection(grid, a), t, length=length, **stepping)


def kuramoto_sivashinsky(
    u0: Float[Tensor, "*b x"],
    t: Times,
    alpha: float = 1.0,
    beta: float = 1.0,
    gamma: float = 1.0,
    *,
    length: float = 32 * math.pi,
    **stepping: Unpack[Stepping],
) -> Float[Tensor, "..."]:
    """Solve ``u_t + alpha u u_x + beta u_xx + gamma u_xxxx = 0``, periodic.

    The flow is chaotic on long intervals: errors grow about tenfold every 25 units of time (with unit coefficients and
    the default length), so that the answer loses its meaning as a single trajectory after t = 300 or so. Beyond t = 100
    give `dt`: 1e-9 is out of reach.

    Args:
        u0: Initial field.
        t: Time or times.
        alpha: Convection.
        beta: Anti-diffusion.
        gamma: Hyper-diffusion, positive.
        length: Period.
        **stepping: See `etdrk4`.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    >>> x = 32 * math.pi / 64 * torch.arange(64, dtype=torch.float64)
    >>> kuramoto_sivashinsky(torch.cos(x / 16), torch.tensor([1.0, 2.0])).shape
    torch.Size([2, 64])
    """
    grid = PeriodicGrid.of(u0, length)
    g = positive("gamma", gamma)
    return etdrk4(u0, lambda k: beta * k**2 - g * k**4, _convection(grid, alpha), t, length=length, **stepping)
