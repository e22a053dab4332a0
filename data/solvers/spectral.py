"""Periodic pseudo-spectral integration by ETDRK4 in one and two dimensions.

A field on a periodic box is carried as its Fourier coefficients ``v`` and obeys ``dv/dt = L v + N(v, t)``: the linear part,
stiff and diagonal, is integrated exactly; the rest by a fourth-order Runge-Kutta scheme of exponential type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import torch

from ...errors import ConfigError, DivergenceError
from ...typing import Float, Tensor

__all__ = ["PeriodicGrid", "Stepping", "etdrk4"]

_CONTOUR_POINTS = 32  # the trapezoidal rule on the unit circle reaches rounding for the entire functions phi_k
_FIRST_STEPS, _MAX_STEPS = 64, 2**20  # range in which a step is looked for


class Stepping(TypedDict, total=False):
    """Keywords that choose the time step of every solver built on `etdrk4`; at most one of `steps` and `dt`."""

    steps: int | None
    """Number of steps to the last time, shared out over the intervals between snapshots."""
    dt: float | None
    """Largest step; each interval is divided into equal steps not longer than this."""
    tol: float | None
    """Change of the result, relative to its maximum, that halving the step may cause."""


@dataclass(frozen=True)
class PeriodicGrid:
    """Uniform grid on a periodic box, end point left out, with its Fourier transform.

    Coefficients have the layout of `torch.fft.rfftn` over the last ``len(shape)`` axes.

    Args:
        shape: Number of points along each axis.
        length: Period along each axis.
        device: Where wave numbers are made.

    >>> grid = PeriodicGrid((8,), (2 * math.pi,))
    >>> u = torch.sin(grid.points()[0])
    >>> torch.allclose(grid.inverse(1j * grid.wavenumbers()[0] * grid.forward(u)), torch.cos(grid.points()[0]))
    True
    """

    shape: tuple[int, ...]
    length: tuple[float, ...]
    device: torch.device | None = None

    @classmethod
    def of(cls, u: Tensor, length: float | Sequence[float], dim: int = 1) -> PeriodicGrid:
        """Make the grid of a field whose last `dim` axes are space.

        Raises:
            ConfigError: If the field or the length does not fit.
        """
        lengths = (float(length),) * dim if isinstance(length, int | float) else tuple(float(item) for item in length)
        if len(lengths) != dim or not all(item > 0 and math.isfinite(item) for item in lengths):
            raise ConfigError(f"length is {length!r}; give one positive number, or one for each of the {dim} axes.")
        if u.ndim < dim or min(u.shape[u.ndim - dim :]) < 4:
            raise ConfigError(
                f"the initial field has shape {tuple(u.shape)}; its last {dim} axes are space, at least 4 points each, "
                "with the repeated end point left out."
            )
        return cls(tuple(u.shape[u.ndim - dim :]), lengths, u.device)

    @property
    def axes(self) -> tuple[int, ...]:
        """Positions of the space axes, counted from the end."""
        return tuple(range(-len(self.shape), 0))

    def points(self, low: float = 0.0) -> tuple[Tensor, ...]:
        """Coordinates along each axis, from `low`, float64."""
        return tuple(
            low + size / n * torch.arange(n, dtype=torch.float64, device=self.device)
            for n, size in zip(self.shape, self.length, strict=True)
        )

    def wavenumbers(self) -> tuple[Tensor, ...]:
        """Angular wave numbers along each axis, shaped to broadcast against coefficients."""
        last = len(self.shape) - 1
        found = []
        for axis, (n, size) in enumerate(zip(self.shape, self.length, strict=True)):
            frequencies = torch.fft.rfftfreq if axis == last else torch.fft.fftfreq
            k = frequencies(n, d=size / (2 * math.pi * n), dtype=torch.float64, device=self.device)
            found.append(k.reshape([-1 if i == axis else 1 for i in range(last + 1)]))
        return tuple(found)

    def fraction(self) -> Tensor:
        """Largest wave number of each mode over its axis, as a fraction of the Nyquist one."""
        parts = [
            (k * size / (math.pi * n)).abs()
            for k, size, n in zip(self.wavenumbers(), self.length, self.shape, strict=True)
        ]
        return torch.stack(torch.broadcast_tensors(*parts)).amax(0)

    def forward(self, u: Tensor) -> Tensor:
        """Fourier coefficients of a real field."""
        return torch.fft.rfftn(u, dim=self.axes)

    def inverse(self, v: Tensor) -> Tensor:
        """Real field of Fourier coefficients."""
        return torch.fft.irfftn(v, s=self.shape, dim=self.axes)


class _Weights(NamedTuple):
    """Coefficients of one ETDRK4 step of a given length (names as in Kassam and Trefethen)."""

    E: Tensor
    E2: Tensor
    Q: Tensor
    f1: Tensor
    f2: Tensor
    f3: Tensor


def _weights(symbol: Tensor, h: float) -> _Weights:
    """Average the phi-functions over a unit circle around h L, where their formulas do not cancel.

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
    scaled = [h / _CONTOUR_POINTS * item for item in (Q, f1, f2, f3)]
    parts = [torch.exp(z0), torch.exp(z0 / 2), *scaled]
    # A real symbol has real weights: what is left of the imaginary part is rounding.
    return _Weights(*(parts if symbol.is_complex() else [part.real for part in parts]))


def _step(v: Tensor, t: float, h: float, w: _Weights, nonlinear: Callable[[Tensor, float], Tensor]) -> Tensor:
    Nv = nonlinear(v, t)
    decayed = w.E2 * v
    a = decayed + w.Q * Nv
    Na = nonlinear(a, t + h / 2)
    b = decayed + w.Q * Na
    Nb = nonlinear(b, t + h / 2)
    c = w.E2 * a + w.Q * (2 * Nb - Nv)
    Nc = nonlinear(c, t + h)
    return w.E * v + w.f1 * Nv + 2 * w.f2 * (Na + Nb) + w.f3 * Nc


def times_of(t: float | Tensor) -> tuple[list[float], bool]:
    """Read the requested times: a number (no time axis in the answer) or an ascending vector (one).

    Raises:
        ConfigError: If a time is negative, not finite, or out of order.
    """
    given = torch.as_tensor(t, dtype=torch.float64)
    times = given.reshape(-1).tolist()
    ascending = all(a < b for a, b in zip(times, times[1:], strict=False))
    if given.ndim > 1 or not times or not ascending or times[0] < 0 or not all(map(math.isfinite, times)):
        raise ConfigError(f"t is {t!r}; give one time, or a vector of strictly ascending times, none negative.")
    return times, given.ndim == 1


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
    t: float | Float[Tensor, " t"],
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

    def filtered(v: Tensor, time: float) -> Tensor:
        return kept * nonlinear(kept * v, time)

    def run(largest: float, refine: int = 1) -> Tensor:
        return torch.stack(_march(u0, grid, symbol, filtered, times, largest, refine), dim=-dim - 1)

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
    nonlinear: Callable[[Tensor, float], Tensor],
    times: list[float],
    largest: float,
    refine: int,
) -> list[Tensor]:
    """Step from snapshot to snapshot; `refine` multiplies the steps of every interval."""
    v, now, snapshots = grid.forward(u0), 0.0, []
    h_of_w, w = -1.0, None
    for target in times:
        if target == 0.0:
            snapshots.append(u0.clone())
            continue
        count = refine * max(1, math.ceil((target - now) / largest * (1 - 1e-12)))
        h = (target - now) / count
        # Equal intervals differ by the rounding of the times only: the weights of the first serve them all.
        if w is None or abs(h - h_of_w) * count > 4e-16 * target:
            h_of_w, w = h, _weights(symbol, h)
        for i in range(count):
            v = _step(v, now + i * h, h, w, nonlinear)
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
    base = last / _FIRST_STEPS
    refine, coarse, change = 1, _attempt(run, base, 1), math.inf
    while 2 * refine * _FIRST_STEPS <= _MAX_STEPS:
        fine = _attempt(run, base, 2 * refine)
        before, change = change, math.inf if coarse is None or fine is None else _change(coarse, fine)
        if fine is not None and change <= tol:
            return fine
        if before < 1e-5 and change > before / 2:
            break
        ahead = math.ceil(math.log2(max(2.0, (change / tol) ** 0.25))) if change < 1e-3 else 1
        refine *= 2**ahead
        coarse = fine if ahead == 1 else _attempt(run, base, refine)
    if not math.isfinite(change):
        run(base, refine)  # raises, and says where
    raise ConfigError(
        f"halving the step still changes the result by {change:.2e} of its maximum with {refine * _FIRST_STEPS} steps, "
        f"more than tol = {tol:.2e}: the solution is chaotic or too rough. Give dt (or steps), a larger tol, or more points."
    )


def _attempt(run: Callable[[float, int], Tensor], base: float, refine: int) -> Tensor | None:
    """Run with a step that may be too long: None then."""
    try:
        return run(base, refine)
    except DivergenceError:
        return None
