"""Line searches: strong Wolfe by bracketing and zoom, a logarithmic grid, and backtracking."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from ..typing import Tensor
from .objective import require

__all__ = ["LineSearch", "Outcome", "backtracking", "grid_search", "strong_wolfe"]

_FLOAT64_ROUNDING = 2.2e-15
# An extrapolated or interpolated trial keeps away from the ends of its interval (More and Thuente 1994, section 4).
_EXPAND_MIN, _EXPAND_MAX = 1.1, 4.0
_MARGIN = 0.1
_SHRINK_INTO_FINITE = 0.1
# Relative to the first trial: shorter steps change nothing.
_SHORTEST = 1e-12


class Outcome(StrEnum):
    """Why a line search ended."""

    WOLFE = "the strong Wolfe conditions hold"
    APPROXIMATE = "the approximate Wolfe conditions hold and the change of the loss is at rounding level"
    DECREASE = "the best trial lowers the loss; the Wolfe conditions were not met"
    NO_DECREASE = "no trial lowers the loss"
    NOT_FINITE = "every trial loss is infinite or not a number"
    NOT_DESCENT = "the direction does not descend"


@dataclass(frozen=True)
class LineSearch:
    """Result of a line search.

    Attributes:
        step: Step length `t`; zero where nothing was found.
        value: Loss there.
        slope: Directional derivative there.
        gradient: Gradient there, where the search evaluates gradients.
        evaluations: Number of trials.
        outcome: Why the search ended; its value is a sentence.
    """

    step: float
    value: float
    slope: float
    gradient: Tensor | None
    evaluations: int
    outcome: Outcome


@dataclass(frozen=True)
class _Trial:
    t: float
    value: float
    slope: float
    gradient: Tensor | None = None

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value)


Phi = Callable[[float], tuple[float, float, Tensor]]


def strong_wolfe(
    phi: Phi,
    f0: float,
    g0: float,
    t0: float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    max_evaluations: int = 25,
    rounding: float = _FLOAT64_ROUNDING,
) -> LineSearch:
    """Find a step that satisfies the strong Wolfe conditions.

    ``phi(t) <= f0 + c1 t g0`` and ``|phi'(t)| <= c2 |g0|``, by bracketing and zoom with safeguarded cubic
    interpolation. A trial whose value or slope is not finite counts as infinitely high. Where ``|phi(t) - f0|`` is at
    rounding level, values cannot be compared, and slopes alone decide: the approximate conditions
    ``(2 c1 - 1) g0 >= phi'(t) >= c2 g0`` are accepted there, so that the loss may rise by that much.

    Args:
        phi: ``t -> (value, directional derivative, gradient)``.
        f0: Value at zero.
        g0: Directional derivative at zero, negative.
        t0: First trial.
        c1: Sufficient decrease, in (0, 1/2).
        c2: Curvature, in (c1, 1).
        max_evaluations: Budget of trials; then the lowest trial below `f0` is returned.
        rounding: Relative error of the values.

    Raises:
        ConfigError: If `t0` is not positive and finite.

    Ref: Nocedal and Wright, *Numerical Optimization*, 2006, algorithms 3.5 and 3.6; Hager and Zhang, *A new conjugate
    gradient method with guaranteed descent*, 2005, (4.1) for the approximate conditions.

    >>> import torch
    >>> found = strong_wolfe(lambda t: ((t - 2.0) ** 2, 2.0 * (t - 2.0), torch.zeros(0)), f0=4.0, g0=-4.0)
    >>> found.step, found.evaluations, found.outcome.name
    (1.0, 1, 'WOLFE')
    """
    require(0 < t0 < math.inf, "strong_wolfe", "t0", t0, "a positive number", "Use 1 for quasi-Newton directions.")
    if not g0 < 0:
        return LineSearch(0.0, f0, g0, None, 0, Outcome.NOT_DESCENT)
    return _Wolfe(phi, f0, g0, c1, c2, max_evaluations, rounding, _SHORTEST * t0).run(t0)


@dataclass
class _Wolfe:
    """One search: the conditions, the budget and the best trial so far."""

    phi: Phi
    f0: float
    g0: float
    c1: float
    c2: float
    budget: int
    rounding: float
    shortest: float
    used: int = 0
    best: _Trial | None = None
    any_finite: bool = False
    accepted: tuple[_Trial, Outcome] | None = field(default=None)

    @property
    def start(self) -> _Trial:
        return _Trial(0.0, self.f0, self.g0)

    def run(self, t0: float) -> LineSearch:
        self._bracket(t0)
        if self.accepted is not None:
            trial, outcome = self.accepted
        elif self.best is not None:
            trial, outcome = self.best, Outcome.DECREASE
        else:
            trial = self.start
            outcome = Outcome.NO_DECREASE if self.any_finite else Outcome.NOT_FINITE
        return LineSearch(trial.t, trial.value, trial.slope, trial.gradient, self.used, outcome)

    def _bracket(self, t: float) -> None:
        """Expand until an interval holds an acceptable step (algorithm 3.5)."""
        previous = self.start
        while self.used < self.budget:
            trial = self._evaluate(t)
            if self.accepted is not None:
                return
            if self._too_high(trial, previous):
                return self._zoom(previous, trial)
            if trial.slope >= 0:
                return self._zoom(trial, previous)
            previous, t = trial, _extrapolate(previous, trial)

    def _zoom(self, low: _Trial, high: _Trial) -> None:
        """Shrink the interval between the best trial and a bound on the minimum (algorithm 3.6)."""
        widths = [math.inf, math.inf]
        while self.used < self.budget:
            width = abs(high.t - low.t)
            if width <= (1e-15 * low.t or self.shortest):
                return
            # Two trials that leave more than half of the interval: bisect, so that it shrinks geometrically.
            bisect = width > 0.5 * widths[0] and high.finite
            t = 0.5 * (low.t + high.t) if bisect else _interpolate(low, high, self._close(low, high))
            widths = [widths[1], width]
            trial = self._evaluate(t)
            if self.accepted is not None:
                return
            if self._too_high(trial, low):
                high = trial
            else:
                if trial.slope * (high.t - low.t) >= 0:
                    high = low
                low = trial

    def _evaluate(self, t: float) -> _Trial:
        value, slope, gradient = self.phi(t)
        self.used += 1
        if not (math.isfinite(value) and math.isfinite(slope)):
            return _Trial(t, math.inf, math.inf)
        self.any_finite = True
        trial = _Trial(t, value, slope, gradient)
        if value < self.f0 and (self.best is None or value < self.best.value):
            self.best = trial
        if value <= self.f0 + self.c1 * t * self.g0 and abs(slope) <= -self.c2 * self.g0:
            self.accepted = trial, Outcome.WOLFE
        elif self._close(trial, self.start) and (2 * self.c1 - 1) * self.g0 >= slope >= self.c2 * self.g0:
            self.accepted = trial, Outcome.APPROXIMATE
        return trial

    def _close(self, a: _Trial, b: _Trial) -> bool:
        """Whether the values differ by rounding: then slopes alone say on which side of the minimum a trial is."""
        size = max(abs(a.value), abs(b.value), abs(self.f0))
        return math.isfinite(size) and abs(a.value - b.value) <= self.rounding * size

    def _too_high(self, trial: _Trial, low: _Trial) -> bool:
        if trial.value > self.f0 + self.c1 * trial.t * self.g0 and not self._close(trial, self.start):
            return True
        return low.t > 0 and trial.value >= low.value and not self._close(trial, low)


def _cubic_minimizer(a: _Trial, b: _Trial) -> float:
    """Minimize the cubic through two values and slopes; nan where it has no minimum (Nocedal and Wright, (3.59))."""
    d1 = a.slope + b.slope - 3.0 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), b.t - a.t)
    denominator = b.slope - a.slope + 2.0 * d2
    return b.t - (b.t - a.t) * (b.slope + d2 - d1) / denominator if denominator != 0 else math.nan


def _secant_root(a: _Trial, b: _Trial) -> float:
    difference = b.slope - a.slope
    return a.t - a.slope * (b.t - a.t) / difference if difference != 0 else math.nan


def _extrapolate(previous: _Trial, trial: _Trial) -> float:
    step = trial.t - previous.t
    near, far = trial.t + _EXPAND_MIN * step, trial.t + _EXPAND_MAX * step
    t = _cubic_minimizer(previous, trial)
    # A cubic that points backwards or nowhere says that the minimum is far.
    return min(max(t, near), far) if t > trial.t else far


def _interpolate(low: _Trial, high: _Trial, close: bool) -> float:
    width = high.t - low.t
    if not high.finite:
        return low.t + _SHRINK_INTO_FINITE * width
    # Of values that differ by rounding a cubic would make noise: the secant of the slopes does not see them.
    t = _secant_root(low, high) if close else _cubic_minimizer(low, high)
    left, right = sorted((low.t + _MARGIN * width, high.t - _MARGIN * width))
    return min(max(t, left), right) if math.isfinite(t) else 0.5 * (low.t + high.t)


def grid_search(phi: Callable[[float], float], f0: float, halvings: int = 20, rises: int = 2) -> LineSearch:
    """Take the lowest value on the grid ``t = 2^-i``, ``i = 0..halvings``.

    The search ends early once a value below `f0` is known and the values have risen `rises` times in a row. Values that
    are not finite count as infinitely high. `evaluations` is at most ``halvings + 1``; slopes are not known.

    Args:
        phi: ``t -> value``.
        f0: Value at zero.
        halvings: Number of halvings of the full step.
        rises: Rises in a row that end the search.

    >>> found = grid_search(lambda t: (t - 0.3) ** 2, f0=0.09)
    >>> found.step, found.evaluations
    (0.25, 5)
    """
    best_t, best, previous, rising, any_finite, used = 0.0, f0, math.inf, 0, False, 0
    for i in range(halvings + 1):
        t = 2.0**-i
        value = phi(t)
        used += 1
        value = value if math.isfinite(value) else math.inf
        any_finite |= math.isfinite(value)
        rising = rising + 1 if value > previous else 0
        if value < best:
            best_t, best = t, value
        if best_t > 0 and rising >= rises:
            break
        previous = value
    failure = Outcome.NO_DECREASE if any_finite else Outcome.NOT_FINITE
    outcome = Outcome.DECREASE if best_t > 0 else failure
    return LineSearch(best_t, best, math.nan, None, used, outcome)


def backtracking(
    phi: Callable[[float], float], f0: float, slope: float, c1: float = 1e-4, halvings: int = 20
) -> LineSearch:
    """Take the first of ``t = 2^-i``, ``i = 0..halvings``, that lowers the value as the slope promises (Armijo).

    ``phi(t) <= f0 + c1 t slope`` and ``phi(t) < f0``. Where none does, the lowest value below `f0` is taken: close to
    a minimum rounding hides what the slope promises. Values that are not finite count as infinitely high.

    Args:
        phi: ``t -> value``.
        f0: Value at zero.
        slope: Derivative at zero, negative.
        c1: Part of the promised decrease that is asked for.
        halvings: Number of halvings of the full step.

    Ref: Nocedal and Wright, *Numerical Optimization*, 2006, algorithm 3.1.

    >>> found = backtracking(lambda t: (t - 0.3) ** 2, f0=0.09, slope=-0.6)
    >>> found.step, found.evaluations
    (0.5, 2)
    """
    if not slope < 0:
        return LineSearch(0.0, f0, slope, None, 0, Outcome.NOT_DESCENT)
    best_t, best, any_finite = 0.0, f0, False
    for i in range(halvings + 1):
        t = 2.0**-i
        value = phi(t)
        any_finite |= math.isfinite(value)
        if value < f0 and value <= f0 + c1 * t * slope:
            return LineSearch(t, value, math.nan, None, i + 1, Outcome.DECREASE)
        if value < best:
            best_t, best = t, value
    failure = Outcome.NO_DECREASE if any_finite else Outcome.NOT_FINITE
    return LineSearch(best_t, best, math.nan, None, halvings + 1, Outcome.DECREASE if best_t > 0 else failure)
