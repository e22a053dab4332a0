"""Reference solutions of periodic equations in two space dimensions.

Fields are (x, y) or (b, x, y) on a uniform grid without its end points, axis order as `torch.meshgrid(...,
indexing="ij")`; times and stepping keywords are as in `periodic`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Unpack

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from .grid import PeriodicGrid, Times, per_sample
from .spectral import Stepping, etdrk4

__all__ = ["ginzburg_landau", "gray_scott", "navier_stokes", "velocity_of_vorticity"]


def gray_scott(
    u0: Float[Tensor, "*b x y"],
    v0: Float[Tensor, "*b x y"],
    t: Times,
    *,
    diffusion: tuple[float, float] = (2e-5, 1e-5),
    feed: float = 0.04,
    kill: float = 0.06,
    reaction: float = 1.0,
    length: float | Sequence[float] = 2.0,
    **stepping: Unpack[Stepping],
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Solve the Gray-Scott reaction, two fields on a periodic box.

    ``u_t = D_u lap(u) - c u v^2 + F (1 - u)`` and ``v_t = D_v lap(v) + c u v^2 - (F + k) v``.

    Args:
        u0: Initial field of the substance that is fed.
        v0: Initial field of the other one, shaped like `u0`.
        t: Time or times.
        diffusion: D_u and D_v.
        feed: F.
        kill: k.
        reaction: c.
        length: Period, one number or one for each axis.
        **stepping: See `etdrk4`.

    Returns:
        The two fields.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    Ref: Pearson, Complex patterns in a simple system, 1993.

    >>> u, v = gray_scott(torch.ones(8, 8), torch.zeros(8, 8), torch.tensor([1.0, 9.0]))     # the trivial state stays
    >>> u.shape, bool((u - 1).abs().max() < 1e-12)
    (torch.Size([2, 8, 8]), True)
    """
    if u0.shape != v0.shape:
        raise ConfigError(f"v0 has shape {tuple(v0.shape)}; expected that of u0, {tuple(u0.shape)}.")
    grid = PeriodicGrid.of(u0, length, dim=2)
    rates = torch.tensor(diffusion, dtype=torch.float64, device=u0.device).reshape(2, 1, 1)
    decay = torch.tensor([feed, feed + kill], dtype=torch.float64, device=u0.device).reshape(2, 1, 1)
    # The source F enters the mean only, whose unnormalised coefficient is the number of points.
    source = torch.zeros(2, grid.shape[0], grid.shape[1] // 2 + 1, dtype=torch.float64, device=u0.device)
    source[0, 0, 0] = feed * math.prod(grid.shape)
    sign = torch.tensor([-reaction, reaction], dtype=torch.float64, device=u0.device).reshape(2, 1, 1)

    def nonlinear(w: Tensor, _: float) -> Tensor:
        u, v = grid.inverse(w).unbind(-3)
        return source + sign * grid.forward(u * v**2).unsqueeze(-3)

    found = etdrk4(
        torch.stack([u0.to(torch.float64), v0.to(torch.float64)], dim=-3),
        lambda kx, ky: -rates * (kx**2 + ky**2) - decay,
        nonlinear,
        t,
        length=length,
        dim=2,
        **stepping,
    )
    u, v = found.unbind(u0.ndim - 2)
    return u, v


def ginzburg_landau(
    u0: Float[Tensor, "*b x y"],
    v0: Float[Tensor, "*b x y"],
    t: Times,
    *,
    diffusion: float = 0.004,
    growth: float = 10.0,
    saturation: float = 10.0,
    rotation: float = 15.0,
    length: float | Sequence[float] = 2.0,
    **stepping: Unpack[Stepping],
) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
    """Solve ``A_t = D lap(A) + mu A - (g + i c) |A|^2 A`` for ``A = u + i v`` on a periodic box.

    Args:
        u0: Initial real part.
        v0: Initial imaginary part, shaped like `u0`.
        t: Time or times.
        diffusion: D.
        growth: mu.
        saturation: g.
        rotation: c.
        length: Period, one number or one for each axis.
        **stepping: See `etdrk4`.

    Returns:
        Real and imaginary part.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    Ref: Aranson, Kramer, The world of the complex Ginzburg-Landau equation, 2002, eq. (1) without dispersion.

    >>> u, v = ginzburg_landau(torch.ones(8, 8), torch.zeros(8, 8), 0.1)     # |A| = 1 only turns
    >>> bool((u - math.cos(1.5)).abs().max() < 1e-8), bool((v + math.sin(1.5)).abs().max() < 1e-8)
    (True, True)
    """
    if u0.shape != v0.shape:
        raise ConfigError(f"v0 has shape {tuple(v0.shape)}; expected that of u0, {tuple(u0.shape)}.")
    grid = PeriodicGrid.of(u0, length, dim=2)

    def nonlinear(w: Tensor, _: float) -> Tensor:
        u, v = grid.inverse(w).unbind(-3)
        # The growth goes with the explicit part, so that the state |A| = 1 stays on its circle.
        density = u**2 + v**2
        rates = [
            growth * u - density * (saturation * u - rotation * v),
            growth * v - density * (saturation * v + rotation * u),
        ]
        return grid.forward(torch.stack(rates, dim=-3))

    found = etdrk4(
        torch.stack([u0.to(torch.float64), v0.to(torch.float64)], dim=-3),
        lambda kx, ky: -diffusion * (kx**2 + ky**2),
        nonlinear,
        t,
        length=length,
        dim=2,
        **stepping,
    )
    u, v = found.unbind(u0.ndim - 2)
    return u, v


def _velocity_symbols(grid: PeriodicGrid) -> tuple[Tensor, Tensor]:
    """Multipliers that take vorticity to u and v: ``lap(psi) = -w, u = psi_y, v = -psi_x``."""
    kx, ky = grid.wavenumbers()
    square = -grid.laplacian()
    square[0, 0] = math.inf  # a mean vorticity has no periodic stream function
    odd = (grid.fraction() < 1 - 1e-12).to(torch.float64)  # odd derivatives of a Nyquist mode vanish on the grid
    return 1j * ky / square * odd, -1j * kx / square * odd


def velocity_of_vorticity(
    w: Float[Tensor, "... x y"], *, length: float | Sequence[float] = 1.0
) -> tuple[Float[Tensor, "... x y"], Float[Tensor, "... x y"]]:
    """Recover the velocity (u, v) of mean zero from the vorticity ``w = v_x - u_y`` on a periodic box.

    Args:
        w: Vorticity; its mean is ignored.
        length: Period, one number or one for each axis.

    Raises:
        ConfigError: If the shape or the length does not fit.

    >>> x = 2 * math.pi / 8 * torch.arange(8, dtype=torch.float64)[:, None]
    >>> u, v = velocity_of_vorticity(torch.cos(x).expand(8, 8), length=2 * math.pi)
    >>> torch.allclose(v, torch.sin(x).expand(8, 8)), bool(u.abs().max() < 1e-12)
    (True, True)
    """
    grid = PeriodicGrid.of(w, length, dim=2)
    hat = grid.forward(w.to(torch.float64))
    to_u, to_v = _velocity_symbols(grid)
    return grid.inverse(to_u * hat), grid.inverse(to_v * hat)


def navier_stokes(
    w0: Float[Tensor, "*b x y"],
    nu: float | Float[Tensor, " b"],
    t: Times,
    forcing: Float[Tensor, "..."] | Callable[[float], Tensor] | None = None,
    *,
    drag: float = 0.0,
    length: float | Sequence[float] = 1.0,
    **stepping: Unpack[Stepping],
) -> Float[Tensor, "..."]:
    """Solve ``w_t + u w_x + v w_y = nu lap(w) - drag w + f`` for the vorticity ``w = v_x - u_y`` on a periodic box.

    The velocity has mean zero. A box of length 1 is that of the neural-operator data sets; many flows are stated on 2
    pi.

    Args:
        w0: Initial vorticity, of mean zero.
        nu: Viscosity, one or one for each sample.
        t: Time or times.
        forcing: Curl of the body force on the grid, or a function of time that gives it.
        drag: Linear friction.
        length: Period, one number or one for each axis.
        **stepping: See `etdrk4`.

    Raises:
        ConfigError: If an argument does not fit, or the step cannot be settled.
        DivergenceError: If the solution is not finite.

    Cost: eight two-dimensional transforms of two fields a step.

    >>> x = 2 * math.pi / 16 * torch.arange(16, dtype=torch.float64)
    >>> w0 = 2 * torch.cos(x)[:, None] * torch.cos(x)[None, :]                  # Taylor-Green: decays unchanged
    >>> w = navier_stokes(w0, 0.1, 1.0, length=2 * math.pi)
    >>> torch.allclose(w, math.exp(-0.2) * w0)
    True
    """
    grid = PeriodicGrid.of(w0, length, dim=2)
    if float(torch.as_tensor(nu).min()) < 0 or drag < 0:
        raise ConfigError(f"nu is {nu} and drag is {drag}; neither may be negative.")
    if isinstance(forcing, Tensor):
        constant = grid.forward(forcing.detach().to(torch.float64))
        force: Callable[[float], Tensor] | None = lambda _: constant  # noqa: E731
    else:
        given = forcing
        force = None if given is None else lambda time: grid.forward(given(time).to(torch.float64))
    viscosity = per_sample(nu, dim=2)
    to_u, to_v = _velocity_symbols(grid)
    kx, ky = grid.wavenumbers()
    multipliers = torch.stack(torch.broadcast_tensors(to_u, to_v, 1j * kx + 0 * ky, 0 * kx + 1j * ky))

    def nonlinear(w: Tensor, time: float) -> Tensor:
        u, v, w_x, w_y = grid.inverse(multipliers * w.unsqueeze(-3)).unbind(-3)
        convection = -grid.forward(u * w_x + v * w_y)
        return convection if force is None else convection + force(time)

    return etdrk4(
        w0,
        lambda kx, ky: -viscosity * (kx**2 + ky**2) - drag,
        nonlinear,
        t,
        length=length,
        dim=2,
        **stepping,
    )
