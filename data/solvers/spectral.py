"""Periodic pseudo-spectral integration by ETDRK4 in one and two dimensions.

A field on a periodic box is carried as its Fourier coefficients ``v`` and obeys ``dv/dt = L v + N(v, t)``: the linear
part, stiff and diagonal, is integrated exactly; the rest by a fourth-order Runge-Kutta scheme of exponential type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypedDict

import torch

from ...errors import ConfigError, DivergenceError
from ...typing import Float, Tensor
from .grid import PeriodicGrid, Times, times_of

__all__ = ["Stepping", "etdrk4"]

_CONTOUR_POINTS = 32  # the trapezoidal rule on the unit circle reaches rounding for the entire functions phi_k
_FIRST_STEPS, _MAX_STEPS = 64, 2**18  # range in which a step is looked for
_BLIND_STEPS = 2**14  # where the search ends if no digits agree by then
_LOOK_EVERY = 32  # steps between looks for overflow


class Stepping(TypedDict, total=False):
    """Keywords that choose the time step of every solver built on `etdrk4`; at most one of `steps` and `dt`."""

    steps: int | None
    """Number of steps to the last time, shared out over the intervals between snapshots."""
    dt: float | None
    """Largest step; each interval is divided into equal steps not longer than this."""
    tol: float | None
    """Change of the result, relative to its maximum, that halving the step may cause."""


class _Weights(NamedTuple):
    """Coefficients of one ETDRK4 step of a given length (names as in Kassam and Trefethen)."""

    E: Tensor
    E2: Tensor
    Q: Tensor
    f1: Tensor
    f2: Tensor
    f3: Tensor


def _weights(symbol: Tensor, h: float, kept: Tensor) -> _Weights:
    """Average the phi-functions over a unit circle around h L, where their formulas do not cancel.

    Weights of the nonlinear part vanish where `kept` does: that is the dealiasing of its values.

    Ref: Kassam, Trefethen, Fourth-order time-stepping for stiff PDEs, 2005, section 3.
    """
    z0 = (h * symbol).to(torch.complex128)
    Q, f1, f2, f3 = (torch.zeros_like(z0) for _ in range(4))
    for j in range(_CONTOUR_POINTS):
        z = z0 + complex(
            math.cos(2 * math.pi * (j + 0.5) / _CONTOUR_POINTS), math.sin(2 * math.pi * (j + 0.5) / _CONTOUR_POINTS)
        )
        e, cube = torch.exp(z), z**3
        Q += (torch.exp(z / 2) - 1) / z
        f1 += (-4 - z + e * (4 - 3 * z + z**2)) / cube
        f2 += (2 + z + e * (z - 2)) / cube
        f3 += (-4 - 3 * z - z**2 + e * (4 - z)) / cube
    scaled = [h / _CONTOUR_POINTS * kept * item for item in (Q, f1, f2, f3)]
    parts = [torch.exp(z0), torch.exp(z0 / 2), *scaled]
    # A real symbol has real weights: what is left of the imaginary part is rounding.
    return _Weights(*(parts if symbol.is_complex() else [part.real for part in parts]))


def _step(v: Tensor, t: float, h: float, w: _Weights, nonlinear: Callable[[Tensor, float], Tensor]) -> Tensor:
    Nv = nonlinear(v, t)
    decayed = w.E2 * v
    a = torch.addcmul(decayed, w.Q, Nv)
    Na = nonlinear(a, t + h / 2)
    b = torch.addcmul(decayed, w.Q, Na)
    Nb = nonlinear(b, t + h / 2)
    c = torch.addcmul(w.E2 * a, w.Q, 2 * Nb - Nv)
    Nc = nonlinear(c, t + h)
    v = torch.addcmul(w.E * v, w.f1, Nv)
    return torch.addcmul(torch.addcmul(v, w.f2, Na + Nb, value=2), w.f3, Nc)


def _largest_step(last: float, steps: int | None, dt: float | None) -> float | None:
    """Read the step that was asked for; None leaves it to be found."""
    if steps is None and dt is None:
        return None
    if steps is not None and dt is not None:
        raise ConfigError(f"steps is {steps} and dt is {dt}; give at most one of the two.")
    given = dt if dt is not None else steps
    if not given or not 0 < given < math.inf:
        raise ConfigError(f"steps is {steps} and dt is {dt}; the one given must be positive and finite.")
    return dt if dt is not None else max(last, 1e-300) / given


def etdrk4(
    u0: Float[Tensor, "..."],
    linear_symbol: Callable[..., Tensor],
    nonlinear: Callable[[Tensor, float], Tensor],
    t: Times,
    *,
    length: float | Sequence[float],
    dim: int = 1,
    steps: int | None = None,
    dt: float | None = None,
    tol: float | None = None,
    dealias: float = 2 / 3,
) -> Float[Tensor, "..."]:
    """Integrate ``u_t = L u + N(u)`` on a periodic box, in float64, fourth order in time and spectral in space.

    Between snapshots the steps are equal, so that every requested time is a step's end.

    Args:
        u0: Initial field (..., *grid); leading axes are batch or fields and are carried along.
        linear_symbol: Wave numbers, one argument per axis, to the symbol of L; it broadcasts against (..., *modes).
        nonlinear: Coefficients and time to the coefficients of N. It sees only modes that survive dealiasing, and
            modes that do not are removed from its answer.
        t: A time, or ascending times; 0 is allowed and gives `u0` back.
        length: Period, one number or one for each axis.
        dim: Number of space axes, 1 or 2.
        steps: Number of steps to the last time, or
        dt: largest step. With neither, the step is halved until halving moves the result by less than `tol`.
        tol: Change that halving the step may cause, relative to the maximum of the result; 1e-9 where the step is
            looked for. Beside a step that is given, it asks for a second run with half of it, as a check.
        dealias: Fraction of the modes kept in N: 2/3 removes all aliases of a product of two.

    Returns:
        (..., *grid) for one time, (..., t, *grid) for several.

    Raises:
        ConfigError: If arguments do not fit, or if `tol` is missed.
        DivergenceError: If the solution is not finite.

    Cost: four evaluations of `nonlinear` a step; looking for the step, at most some three times the last run.

    Ref: Cox, Matthews, Exponential time differencing for stiff systems, 2002, eqs. (26)-(29).

    >>> x = 2 * math.pi / 16 * torch.arange(16, dtype=torch.float64)
    >>> u = etdrk4(torch.cos(x), lambda k: -(k**2), lambda v, t: -v, 0.5, length=2 * math.pi, steps=50)
    >>> bool((u - math.exp(-1.0) * torch.cos(x)).abs().max() < 1e-9)
    True
    """
    u0 = u0.detach().to(torch.float64)
    grid = PeriodicGrid.of(u0, length, dim)
    times, stacked = times_of(t)
    symbol = linear_symbol(*grid.wavenumbers())
    fraction = grid.fraction()
    if symbol.is_complex():  # an odd derivative of the Nyquist mode vanishes on the grid
        symbol = torch.where(fraction > 1 - 1e-12, symbol.real.to(symbol.dtype), symbol)
    kept = (fraction < dealias).to(torch.float64)

    def run(largest: float, refine: int = 1) -> Tensor:
        return torch.stack(_march(u0, grid, symbol, kept, nonlinear, times, largest, refine), dim=-dim - 1)

    largest = _largest_step(times[-1], steps, dt)
    if largest is None:
        found = _settled(run, times[-1], 1e-9 if tol is None else tol)
    else:
        found = run(largest) if tol is None else _checked(run, largest, tol)
    return found if stacked else found.squeeze(-dim - 1)


def _march(
    u0: Tensor,
    grid: PeriodicGrid,
    symbol: Tensor,
    kept: Tensor,
    nonlinear: Callable[[Tensor, float], Tensor],
    times: list[float],
    largest: float,
    refine: int,
) -> list[Tensor]:
    """Step from snapshot to snapshot; `refine` multiplies the steps of every interval."""
    v, now, snapshots = grid.forward(u0), 0.0, []

    def filtered(v: Tensor, time: float) -> Tensor:
        return nonlinear(kept * v, time)

    h_of_w, w = -1.0, None
    for target in times:
        if target == 0.0:
            snapshots.append(u0.clone())
            continue
        count = refine * max(1, math.ceil((target - now) / largest * (1 - 1e-12)))
        h = (target - now) / count
        # Equal intervals differ by the rounding of the times only: the weights of the first serve them all.
        if w is None or abs(h - h_of_w) * count > 4e-16 * target:
            h_of_w, w = h, _weights(symbol, h, kept)
        for i in range(count):
            v = _step(v, now + i * h, h, w, filtered)
            if i % _LOOK_EVERY == 0:
                _finite(v, now + i * h, h)
        now = target
        snapshots.append(_finite(grid.inverse(v), now, h))
    return snapshots


def _finite(u: Tensor, time: float, h: float) -> Tensor:
    if not torch.isfinite(u).all():
        raise DivergenceError(
            f"the solution is not finite at t = {time:.6g} with steps of {h:.3g}. Lower dt (or raise steps); if that "
            "does not help, the initial field has too few points or the equation itself blows up."
        )
    return u


def _change(coarse: Tensor, fine: Tensor) -> float:
    return float((coarse - fine).abs().max() / fine.abs().max().clamp_min(1e-300))


def _checked(run: Callable[[float, int], Tensor], largest: float, tol: float) -> Tensor:
    fine = run(largest, 2)
    change = _change(run(largest, 1), fine)
    if change > tol:
        raise ConfigError(
            f"halving the step from {largest:.3g} changes the result by {change:.2e} of its maximum, more than "
            f"tol = {tol:.2e}. Lower dt to about {largest * 0.8 * (tol / change) ** 0.25:.2g}."
        )
    return fine


def _settled(run: Callable[[float, int], Tensor], last: float, tol: float) -> Tensor:
    """Halve the step until the result stays, skipping the halvings that fourth order lets one foresee."""
    if last == 0.0:
        return run(1.0, 1)
    base, accepted = last / _FIRST_STEPS, 8 * tol  # at fourth order, the next halving changes 16 times less
    refine, coarse, change = 1, _attempt(run, base, 1), math.inf
    while 2 * refine * _FIRST_STEPS <= _MAX_STEPS:
        fine, tested = _attempt(run, base, 2 * refine), 2 * refine
        before, change = change, math.inf if coarse is None or fine is None else _change(coarse, fine)
        if fine is not None and change <= accepted:
            return fine
        blind = change > 1e-3 and tested * _FIRST_STEPS >= _BLIND_STEPS
        stalled = before < 1e-5 and change > before / 2
        if blind or stalled:
            break
        ahead = math.ceil(math.log2(max(2.0, (change / accepted) ** 0.25))) if change < 1e-3 else 1
        refine *= 2**ahead
        if 2 * refine * _FIRST_STEPS <= _MAX_STEPS:
            coarse = fine if ahead == 1 else _attempt(run, base, refine)
    if not math.isfinite(change):
        run(base, tested)  # raises, and says where
    raise ConfigError(
        f"no step was found: halving it to {base / tested:.3g} still changed the result by {change:.1e} of its maximum "
        f"(tol = {tol:.1e}). The solution is chaotic or too rough. Give dt (or steps), a larger tol, or more points."
    )


def _attempt(run: Callable[[float, int], Tensor], base: float, refine: int) -> Tensor | None:
    """Run with a step that may be too long: None then."""
    try:
        return run(base, refine)
    except DivergenceError:
        return None
