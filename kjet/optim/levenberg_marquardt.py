"""Levenberg-Marquardt: damped Gauss-Newton steps whose damping follows the gain ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..typing import Float, Tensor
from .gram import Direction, Linearization, Space, linearize
from .objective import Objective, State, Step, require
from .progress import rounding_level, stopped, track

__all__ = ["LevenbergMarquardt"]

_MAX_DAMPING = 1e12


@dataclass(frozen=True)
class LevenbergMarquardt:
    """Full damped Gauss-Newton steps, accepted or rejected by the gain ratio.

    ``rho = (loss(theta) - loss(theta - d)) / (|r|^2 - |r - J d|^2)``. With ``rho > 0`` the step is taken and the
    damping multiplied by ``max(1/3, 1 - (2 rho - 1)^3)``; else it is multiplied by ``nu``, ``nu`` is doubled, and the
    step is tried again on the same Gram matrix. The loss never rises. The damping is relative, as in `GaussNewton`.

    A step costs one Jacobian, ``r p min(r, p)`` for the Gram matrix, and a factorization and a loss for each trial.

    Attributes:
        damping: Relative damping of the first step.
        damping_floor: Least damping.
        space: ``"residual"`` (r x r), ``"parameter"`` (p x p) or ``"auto"``, the smaller.
        max_trials: Rejections in one step before it stalls.
        tolerance: Relative decrease that counts as progress.
        patience: Steps in a row without progress before the status is ``STALLED``.

    Raises:
        ConfigError: If a value is out of range.

    Ref: Nielsen, *Damping parameter in Marquardt's method*, 1999.

    >>> LevenbergMarquardt(max_trials=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: LevenbergMarquardt: max_trials = 0; expected a positive integer. Use 20.
    """

    damping: float = 1e-4
    damping_floor: float = 1e-12
    space: Space = "auto"
    max_trials: int = 20
    tolerance: float = 1e-10
    patience: int = 10

    def __post_init__(self) -> None:
        name = type(self).__name__
        require(self.damping > 0, name, "damping", self.damping, "a positive number", "Start from 1e-4.")
        floor = self.damping_floor
        require(0 < floor <= self.damping, name, "damping_floor", floor, "a number in (0, damping]", "Use 1e-12.")
        spaces = ("auto", "residual", "parameter")
        require(self.space in spaces, name, "space", self.space, f"one of {', '.join(spaces)}", 'Use "auto".')
        require(self.max_trials >= 1, name, "max_trials", self.max_trials, "a positive integer", "Use 20.")
        require(self.tolerance >= 0, name, "tolerance", self.tolerance, "a number from 0", "Use 1e-10.")
        require(self.patience >= 1, name, "patience", self.patience, "a positive integer", "Use 10.")

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step."""
        return {"damping": self.damping, "growth": 2.0, "steps": 0, "slow": 0}

    def resample_every(self, state: State) -> int:
        """Draw points anew every 10 steps."""
        return 10

    def refresh(self, state: State) -> State:
        """Drop the cached loss; keep the damping."""
        return {key: value for key, value in state.items() if key != "loss"} | {"slow": 0}

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Try dampings until a full step lowers the loss.

        Raises:
            DivergenceError: If the residual, the Jacobian or the loss at `theta` is not finite.
        """
        model = linearize(objective, theta, state, self.space)
        damping, growth = float(state["damping"]), float(state["growth"])
        evaluations, evaluable = model.evaluations, False
        for trial in range(1, self.max_trials + 1):
            solved = model.gram.solve(model.residual, damping)
            info = {"damping": solved.damping, "trials": float(trial), "predicted_decrease": solved.decrease}
            if solved.decrease <= rounding_level(theta.dtype) * model.loss:
                cause = "the linear model predicts no decrease above rounding"
                return self._stop(theta, model, state, evaluations, info, cause)
            candidate = theta - solved.vector.to(theta.dtype)
            loss = float(objective.loss(candidate))
            evaluations += 1
            evaluable |= math.isfinite(loss)
            if loss < model.loss:
                return self._accept(candidate, loss, model, solved, state, evaluations, info)
            damping, growth = solved.damping * growth, 2.0 * growth
            if damping > _MAX_DAMPING:
                break
        cause = f"no damping up to {solved.damping:.0e} lowers the loss"
        return self._stop(theta, model, state, evaluations, info, cause, evaluable=evaluable)

    def _accept(
        self,
        theta: Tensor,
        loss: float,
        model: Linearization,
        solved: Direction,
        state: State,
        evaluations: int,
        info: dict[str, float],
    ) -> Step:
        rho = (model.loss - loss) / solved.decrease
        damping = max(solved.damping * max(1 / 3, 1.0 - (2.0 * rho - 1.0) ** 3), self.damping_floor)
        new = state | {"damping": damping, "growth": 2.0, "loss": loss, "steps": int(state["steps"]) + 1}
        status, reason = track(new, model.loss, loss, theta.dtype, self.tolerance, self.patience)
        return Step(theta, loss, new, status, evaluations, info | {"gain_ratio": rho}, reason)

    def _stop(
        self,
        theta: Tensor,
        model: Linearization,
        state: State,
        evaluations: int,
        info: dict[str, float],
        cause: str,
        *,
        evaluable: bool = True,
    ) -> Step:
        status, reason = stopped(theta.dtype, cause, evaluable=evaluable)
        # The damping given is kept for the case that the points are drawn anew.
        return Step(theta, model.loss, state | {"loss": model.loss}, status, evaluations, info, reason)
