"""Gauss-Newton (energy natural gradient) along curved paths with adaptive damping, and SPRING, its momentum version."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..typing import Float, Tensor
from .gram import Direction, Factor, Linearization, Space, linearize
from .line_search import LineSearch, Outcome, grid_search
from .objective import Objective, State, Step, require
from .progress import rounding_level, stopped, track

__all__ = ["GaussNewton"]

_DIFFERENCE = 0.1  # of the full step, to measure how the residual bends along it
_FAILURE_FACTOR = 30.0
_MAX_DAMPING = 1e6


@dataclass(frozen=True)
class GaussNewton:
    """Gauss-Newton steps for sums of squares: the method of choice wherever a Jacobian can be afforded.

    The direction ``d`` minimizes ``|r - J d|^2 + lambda |d|^2``, and ``theta - t d + t^2 a`` is taken with ``t`` the
    best of ``2^-i``. The loss never rises.

    The second-order term is the geodesic acceleration. Along ``d`` the residual bends, ``r(theta - t d) = r - t J d +
    t^2 r''/2``, and ``a`` undoes that: it minimizes ``|r''/2 + J a|^2 + lambda |a|^2``, by the factorization that is
    there already and one more residual. Losses of networks are narrow curved valleys: straight steps have to be short
    in them, and their damping large. On the problems of the zoo errors are 10 to 100 times lower after equal work, and
    the long plateau of transport and reaction at the start is left within seconds.

    The damping is relative, ``lambda = damping * trace(J J^T) / min(r, p)``, so that
    the units of the equation do not matter. It follows success: divided by 5 after a full step, by 2 after
    ``t >= 1/4``, times 3 after a shorter one, times 30 after a failure (then 900, ...: within the same step, on the
    same Gram matrix). A far smaller start stays longer on the plateau of a transport-dominated problem, a far
    larger one wastes the first dozen steps on an elliptic one.

    With `momentum` this is SPRING: ``zeta = r - mu J phi``, ``phi <- solve(zeta) + mu phi``, ``d = phi`` over the bias
    correction ``sqrt(1 - mu^(2 k))``; momentum is dropped when the line search fails or is left with ``t < 1/4``.

    A step costs one Jacobian, ``r p min(r, p)`` for the Gram matrix, ``min(r, p)^3 / 3`` and some five losses; the
    acceleration adds one residual and ``r p``.

    Attributes:
        damping: Relative damping of the first step.
        adaptive: Whether the damping follows success.
        damping_floor: Least damping.
        space: ``"residual"`` (r x r), ``"parameter"`` (p x p) or ``"auto"``, the smaller.
        acceleration: Whether steps follow the bend of the residual.
        momentum: ``mu`` in [0, 1); 0.9 with points that are drawn anew each step.
        halvings: Shortest step tried is ``2^-halvings``.
        tolerance: Relative decrease that counts as progress.
        patience: Steps in a row without progress before the status is ``STALLED``.

    Raises:
        ConfigError: If a value is out of range.

    Ref: Mueller and Zeinhofer, *Achieving high accuracy with PINNs via energy natural gradients*, 2023; Guzman-Cordero
    et al., *Improving energy natural gradient descent through Woodbury, momentum, and randomization*, 2025;
    Goldshlager, Abrahamsen, Lin, *A Kaczmarz-inspired approach to accelerate the optimization of neural network
    wavefunctions*, 2024 (SPRING); Transtrum and Sethna, *Improvements to the Levenberg-Marquardt algorithm for
    nonlinear least-squares minimization*, 2012 (geodesic acceleration).

    >>> GaussNewton(damping=-1.0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: GaussNewton: damping = -1.0; expected a positive number. Start from 1e-5.
    """

    damping: float = 1e-5
    adaptive: bool = True
    damping_floor: float = 1e-12
    space: Space = "auto"
    acceleration: bool = True
    momentum: float = 0.0
    halvings: int = 20
    tolerance: float = 1e-10
    patience: int = 10

    def __post_init__(self) -> None:
        name = type(self).__name__
        require(self.damping > 0, name, "damping", self.damping, "a positive number", "Start from 1e-5.")
        floor = self.damping_floor
        require(0 < floor <= self.damping, name, "damping_floor", floor, "a number in (0, damping]", "Use 1e-12.")
        spaces = ("auto", "residual", "parameter")
        require(self.space in spaces, name, "space", self.space, f"one of {', '.join(spaces)}", 'Use "auto".')
        require(0 <= self.momentum < 1, name, "momentum", self.momentum, "a number in [0, 1)", "Use 0, or 0.9.")
        require(0 <= self.halvings <= 50, name, "halvings", self.halvings, "an integer from 0 to 50", "Use 20.")
        require(self.tolerance >= 0, name, "tolerance", self.tolerance, "a number from 0", "Use 1e-10.")
        require(self.patience >= 1, name, "patience", self.patience, "a positive integer", "Use 10.")

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step."""
        state: State = {"damping": self.damping, "steps": 0, "slow": 0}
        if self.momentum > 0:
            state |= {"momentum": torch.zeros_like(theta), "momentum_steps": 0}
        return state

    def resample_every(self, state: State) -> int:
        """Draw points anew each step if there are fewer residuals than parameters, which overfit them at once."""
        return int(state.get("resample_every", 10))

    def refresh(self, state: State) -> State:
        """Drop the cached loss; keep damping and momentum."""
        return {key: value for key, value in state.items() if key != "loss"} | {"slow": 0}

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Take one damped Gauss-Newton step.

        Raises:
            DivergenceError: If the residual, the Jacobian or the loss at `theta` is not finite.
        """
        model = linearize(objective, theta, state, self.space)
        overfits = model.rows < theta.numel()
        state = state | {"resample_every": 1 if overfits else 10}
        return _Search(self, objective, theta, model, state).run(model.evaluations)


@dataclass
class _Search:
    """One step: directions of growing damping, without momentum once it failed, until one lowers the loss."""

    method: GaussNewton
    objective: Objective
    theta: Tensor
    model: Linearization
    state: State
    attempts: int = 0

    def run(self, evaluations: int) -> Step:
        given = self.state.copy()
        raises = 0
        while True:
            factor, solved, d = self._direction()
            if self.attempts == 1 and not self._resolvable(solved):
                return self._stop(given, "the linear model predicts no decrease above rounding", evaluations)
            bend = self._acceleration(factor, d) if self.method.acceleration else None
            found = grid_search(self._loss_along(d, bend), self.model.loss, self.method.halvings)
            evaluations += found.evaluations + self.method.acceleration
            if found.step > 0:
                return self._accept(d, bend, found, evaluations)
            if self._drop_momentum():
                continue
            raises += 1
            if not self.method.adaptive or float(self.state["damping"]) >= _MAX_DAMPING:
                cause = f"no step of 1 to 2^-{self.method.halvings} lowers the loss, at any damping tried"
                return self._stop(given, cause, evaluations, found.outcome is not Outcome.NOT_FINITE)
            self.state["damping"] = min(float(self.state["damping"]) * _FAILURE_FACTOR**raises, _MAX_DAMPING)

    def _direction(self) -> tuple[Factor, Direction, Tensor]:
        self.attempts += 1
        mu, old, dtype = self.method.momentum, self.state.get("momentum"), self.theta.dtype
        residual = self.model.residual
        factor = self.model.gram.factor(float(self.state["damping"]))
        self.state["damping"] = factor.damping
        if not isinstance(old, Tensor):
            solved = factor.solve(residual)
            return factor, solved, solved.vector.to(dtype)
        solved = factor.solve(residual - mu * self.model.gram.apply(old))
        phi = solved.vector.to(dtype) + mu * old
        k = int(self.state["momentum_steps"]) + 1
        self.state |= {"momentum": phi, "momentum_steps": k}
        return factor, solved, phi / math.sqrt(1.0 - mu ** (2 * k))

    def _acceleration(self, factor: Factor, d: Tensor) -> Tensor | None:
        """Second-order term of the path; None where the residual cannot be evaluated along it."""
        h, gram, residual = _DIFFERENCE, self.model.gram, self.model.residual
        ahead = self.objective.residual(self.theta - h * d)
        bend = (ahead - residual + h * gram.apply(d).to(residual.dtype)) / h**2  # half of r''
        bad = (~bend.isfinite()).sum().to(residual.dtype)
        if bool(bad if gram.spread is None else gram.spread.total(bad)):
            return None
        return -factor.solve(bend).vector.to(self.theta.dtype)

    def _along(self, d: Tensor, bend: Tensor | None, t: float) -> Tensor:
        straight = self.theta - t * d
        return straight if bend is None else straight + t**2 * bend

    def _loss_along(self, d: Tensor, bend: Tensor | None) -> Callable[[float], float]:
        return lambda t: float(self.objective.loss(self._along(d, bend, t)))

    def _resolvable(self, solved: Direction) -> bool:
        # With momentum the model was solved for another residual and promises nothing for this one.
        plain = int(self.state.get("momentum_steps", 1)) == 1
        return not plain or solved.decrease > rounding_level(self.theta.dtype) * self.model.loss

    def _drop_momentum(self) -> bool:
        """Forget the momentum; false where the failed attempt used none."""
        used = int(self.state.get("momentum_steps", 0)) > 1
        if "momentum" in self.state:
            self.state |= {"momentum": torch.zeros_like(self.theta), "momentum_steps": 0}
        return used

    def _info(self) -> dict[str, float]:
        half = self.model.gram.gradient(self.model.residual)
        return {
            "damping": float(self.state["damping"]),
            "gradient_norm": 2.0 * float(half.norm()),
            "attempts": float(self.attempts),
        }

    def _accept(self, d: Tensor, bend: Tensor | None, found: LineSearch, evaluations: int) -> Step:
        method, info = self.method, self._info() | {"step_length": found.step}
        # With momentum a short step blames the old direction first: raising the damping would keep it and spoil both.
        dropped = found.step < 0.25 and self._drop_momentum()
        if method.adaptive and not dropped:
            factor = 1 / 5 if found.step == 1 else 1 / 2 if found.step >= 0.25 else 3.0
            self.state["damping"] = min(max(info["damping"] * factor, method.damping_floor), _MAX_DAMPING)
        self.state |= {"loss": found.value, "steps": int(self.state["steps"]) + 1}
        status, reason = track(
            self.state, self.model.loss, found.value, self.theta.dtype, method.tolerance, method.patience
        )
        theta = self._along(d, bend, found.step)
        return Step(theta, found.value, self.state, status, evaluations, info, reason)

    def _stop(self, given: State, cause: str, evaluations: int, evaluable: bool = True) -> Step:
        status, reason = stopped(self.theta.dtype, cause, evaluable=evaluable)
        # The points may be drawn anew: go on from the damping that was given, not from the largest one tried.
        state = given | {"loss": self.model.loss}
        return Step(self.theta, self.model.loss, state, status, evaluations, self._info(), reason)
