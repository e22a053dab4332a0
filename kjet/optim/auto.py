"""The default optimizer: a curvature method that the size allows, changed when it stalls; else a first-order one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from ..errors import DivergenceError
from ..typing import Float, Tensor
from .adam import Adam
from .broyden import SelfScaledBroyden
from .first_order import FirstOrder
from .gauss_newton import GaussNewton
from .lbfgs import LBFGS
from .objective import NEVER, Objective, Optimizer, State, Status, Step, is_stochastic, require
from .soap import SOAP

__all__ = ["Auto"]

_METHODS: dict[str, Optimizer] = {
    "gauss_newton": GaussNewton(),
    "ssbroyden": SelfScaledBroyden(),
    "lbfgs": LBFGS(history=100),
    "warm_up": SOAP(learning_rate=3e-3, schedule="constant"),
}
_JACOBIAN = 2**28  # entries of the greatest Jacobian that is formed: 2 GiB in float64
_TINY = 1e-300
_WARM_UP = 300  # first-order steps that are worth looking back at
_FIRST_ORDER: dict[str, FirstOrder] = {
    "soap": SOAP(learning_rate=3e-3, decay_steps=10_000, decay_rate=0.1),
    "adam": Adam(learning_rate=1e-3, decay_steps=10_000, decay_rate=0.1),
}


@dataclass(frozen=True)
class Auto:
    """Pick the method by the size of the problem, and change it when it stalls.

    - Gauss-Newton along curved paths, where its Jacobian can be afforded: with at most ``max_dense`` residuals or
      parameters. Nothing else came near it on the problems of the zoo, elliptic or transport.
    - Self-scaled Broyden where residuals are too many for a Jacobian and parameters at most ``max_dense``.
    - For larger networks SOAP, which needs no line search and leaves the plateaus of the start, then L-BFGS.

    When twice in a row, over a quarter of the work done so far, the loss has not fallen by a factor of
    ``10**stagnation``, the other curvature method takes over, Broyden for Gauss-Newton and Gauss-Newton for Broyden,
    for the work of ``trial_steps`` steps or for as long as it gains more. SOAP hands over to L-BFGS in the same way,
    for good. Where points are drawn anew, it is the loss at new points that counts, before the first step on them: that
    at the points of a step falls on while the network does nothing but fit those.

    Where directions are random, losses of different draws cannot be compared and the curvature of one draw says little
    of the next: SOAP averages it. Beyond ``max_curvature`` parameters that costs more than it gains, and Adam is left.
    Their rates, 3e-3 and 1e-3, fall linearly to zero in the steps of the run; where only its seconds are limited, to a
    tenth every 10,000 steps, since a rate by the clock would never repeat itself.

    Work is counted by a fixed model of the operations, never by the clock, so that a run repeats itself and a resumed
    run goes on bit for bit.

    Attributes:
        trial_steps: Steps of a method before it is judged.
        max_dense: Most rows of a dense matrix that is factorized or updated at each step.
        stagnation: Least decrease of log10(loss), between two looks, that counts as progress.
        max_curvature: Most parameters for any curvature method.
        steps: Steps of the run, for the rate of SOAP and Adam; None takes the limit of the run, if it has one.

    Raises:
        ConfigError: If a value is out of range.

    >>> Auto(trial_steps=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: Auto: trial_steps = 0; expected a positive integer. Use 25.
    """

    trial_steps: int = 25
    max_dense: int = 5000
    stagnation: float = 0.1
    max_curvature: int = 500_000
    steps: int | None = None

    def __post_init__(self) -> None:
        require(self.trial_steps >= 1, "Auto", "trial_steps", self.trial_steps, "a positive integer", "Use 25.")
        require(self.max_dense >= 1, "Auto", "max_dense", self.max_dense, "a positive integer", "Use 5000.")
        require(self.stagnation >= 0, "Auto", "stagnation", self.stagnation, "a number from 0", "Use 0.1.")
        most, steps = self.max_curvature, self.steps
        require(most >= 1, "Auto", "max_curvature", most, "a positive integer", "Use 500000.")
        require(steps is None or steps >= 1, "Auto", "steps", steps, "a positive integer", "Use 10000.")

    def for_steps(self, steps: int | None) -> Auto:
        """Return the method for a run of so many steps, unless it has been given its own number."""
        return self if steps is None or self.steps is not None else replace(self, steps=steps)

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step."""
        return {"phase": "start", "method": "", "why": "starting", "work": 0.0, "parameters": theta.numel()}

    def refresh(self, state: State) -> State:
        """Tell the method in use that the objective changed."""
        own, inner = _split(state)
        if not own["method"]:
            return state
        return _join(own | {"fresh": True, "moving": True}, self._method(own["method"]).refresh(inner))

    def begin_anew(self, state: State) -> State:
        """Tell that the objective is another one, whose losses cannot be compared with those before."""
        told = self.refresh(state)
        if "mark_loss" not in told:
            return told
        for key in ("seen", "views"):
            told.pop(key, None)
        return told | {"mark_loss": math.inf, "best": math.inf, "idle": 0}

    def resample_every(self, state: State) -> int:
        """Steps between two draws of points: what the method in use asks for."""
        own, inner = _split(state)
        return self._method(own["method"]).resample_every(inner) if own["method"] else NEVER

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Take one step with the method in use.

        Raises:
            DivergenceError: If the residual at `theta` is not finite.
        """
        if state["phase"] == "start":
            state = self._start(objective, theta, state)
        own, inner = _split(state)
        done = self._method(own["method"]).step(objective, theta, inner)
        if own["method"] in _FIRST_ORDER:
            return _replace(done, _join(own, done.state), done.status)
        if own.pop("fresh", False):
            decades = math.log10(max(float(objective.loss(theta)), _TINY))
            own |= {"seen": float(own.get("seen", 0.0)) + decades, "views": int(own.get("views", 0)) + 1}
        own["work"] = float(own["work"]) + self._work(own, done)
        return self._watch(_replace(done, _join(own, done.state), done.status))

    def _method(self, name: object) -> Optimizer:
        if name not in _FIRST_ORDER:
            return _METHODS[str(name)]
        method = _FIRST_ORDER[str(name)]
        return method if self.steps is None else replace(method, schedule="linear", total_steps=self.steps)

    def _start(self, objective: Objective, theta: Tensor, state: State) -> State:
        p = theta.numel()
        if p > self.max_curvature:
            return self._first_order("adam", state, theta, f"{p} parameters are too many for their curvature")
        if is_stochastic(objective):
            return self._first_order("soap", state, theta, "random directions give no curvature that lasts")
        residual = objective.residual(theta)
        if not bool(residual.isfinite().all()):
            bad = int((~residual.isfinite()).sum())
            raise DivergenceError(
                f"{bad} of {residual.numel()} residuals are not finite at the start; look for a division by zero, a "
                "logarithm of a negative number or an overflow in the equation, or lower the range of the coordinates"
            )
        r, loss = residual.numel(), float(residual.square().sum())
        own: State = state | {"residuals": r, "mark_loss": loss, "best": math.inf, "look": math.inf, "count": 0}
        size = f"{r} residuals of {p} parameters"
        if self._factorizable(own):
            megabytes = 1e-6 * r * p * theta.element_size()
            return self._use(own, "gauss_newton", theta, f"gauss_newton: {size}, a Jacobian of {megabytes:.0f} MB")
        if p <= self.max_dense:
            return self._use(own, "ssbroyden", theta, f"ssbroyden: {size} are too many for a Jacobian")
        why = f"soap, then lbfgs: {size} are too many for a Jacobian and for a dense inverse Hessian"
        return self._use(own, "warm_up", theta, why)

    def _factorizable(self, own: State) -> bool:
        p, r = int(own["parameters"]), int(own["residuals"])
        return min(r, p) <= self.max_dense and r * p <= _JACOBIAN

    def _first_order(self, method: str, own: State, theta: Tensor, reason: str) -> State:
        fall = "to a tenth every 10000 steps" if self.steps is None else f"linearly to 0 at step {self.steps}"
        rate = f"{_FIRST_ORDER[method].learning_rate:g}"
        return self._use(own, method, theta, f"{method}: {reason}; rate {rate}, falling {fall}")

    def _use(self, own: State, method: str, theta: Tensor, why: str) -> State:
        return _join(own | {"method": method, "phase": method, "why": why}, self._method(method).init(theta))

    def _work(self, own: State, done: Step) -> float:
        """Seconds that the step takes in a fixed model of a CPU: gradient, Jacobian, products and factorisation."""
        p, r = int(own["parameters"]), int(own["residuals"])
        if own["method"] == "gauss_newton":
            small = min(p, r)
            linear = 8e-9 * r * p + 2.0 * r * p * small / 1.5e11 + small**3 / 2.4e11
            return linear + 6e-10 * r * p * max(done.evaluations - 1, 0)
        dense = 2.4e-9 * p * p if own["method"] == "ssbroyden" else 0.0
        return 1.5e-9 * r * p * done.evaluations + dense

    def _watch(self, done: Step) -> Step:
        """Look back from time to time; change the method where too little was gained."""
        state = done.state
        count, work, stuck = int(state["count"]) + 1, float(state["work"]), done.status is not Status.OK
        first = state["method"] == "warm_up"
        state |= {"count": count, "best": min(done.loss, float(state["best"]))}
        if "trial" not in state and count == (_WARM_UP if first else self.trial_steps):
            state |= {"trial": work, "look": work}
        unseen = bool(state.get("moving", False)) and "seen" not in state
        if (work < float(state["look"]) or unseen) and not stuck:
            return done
        best = float(state["best"])
        if "seen" in state:  # losses at new points scatter: their geometric mean
            best = 10.0 ** (float(state.pop("seen")) / int(state.pop("views")))
        gained = math.log10(max(float(state["mark_loss"]), _TINY) / max(best, _TINY))
        trial = float(state.get("trial", work))
        state |= {"mark_loss": best, "best": math.inf, "look": work + max(trial, 0.25 * work)}
        other = self._other(state)
        before, state["stuck"] = bool(state.get("stuck", False)), stuck
        idle = int(state.get("idle", 0)) + 1 if gained < self.stagnation else 0
        state["idle"] = idle
        if other is None or (idle < 2 and not stuck):
            return done
        if stuck and before and gained < self.stagnation:
            state["stuck"] = False  # neither can go on here: only new points can help
            return done
        state["idle"] = 1  # one look is enough for the other one
        # The other one proves itself within the work of a trial, or hands back what was put aside for it here.
        state |= {"look": work + trial}
        state["why"] = f"{other}: {state['phase']} gained {max(gained, 0.0):.2f} decades since the last look"
        return _replace(done, self._hand_over(state, other, done.theta), Status.OK)

    def _other(self, state: State) -> str | None:
        if state["method"] == "warm_up":
            return "lbfgs"
        if state["method"] == "lbfgs" or int(state["parameters"]) > self.max_dense or not self._factorizable(state):
            return None
        return "ssbroyden" if state["method"] == "gauss_newton" else "gauss_newton"

    def _hand_over(self, state: State, method: str, theta: Tensor) -> State:
        """Put the state of the method in use aside and go on with another, where that left off."""
        own, inner = _split(state)
        aside = {key: value for key, value in own.items() if key.startswith(f"aside.{method}.")}
        own = {key: value for key, value in own.items() if key not in aside}
        if own["method"] != "warm_up":
            own |= {f"aside.{own['method']}.{key}": value for key, value in inner.items()}
        known = {key.removeprefix(f"aside.{method}."): value for key, value in aside.items()}
        inner = _METHODS[method].refresh(known) if known else _METHODS[method].init(theta)
        return _join(own | {"method": method, "phase": method}, inner)


def _split(state: State) -> tuple[State, State]:
    """Separate what is Auto's own from the state of the method in use."""
    inner = {key.removeprefix("inner."): value for key, value in state.items() if key.startswith("inner.")}
    return {key: value for key, value in state.items() if not key.startswith("inner.")}, inner


def _join(own: State, inner: State) -> State:
    return own | {f"inner.{key}": value for key, value in inner.items()}


def _replace(done: Step, state: State, status: Status) -> Step:
    return Step(done.theta, done.loss, state, status, done.evaluations, done.info, done.reason)
