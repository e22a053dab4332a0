"""The default optimizer: tries the curvature methods and keeps the better one; first-order where none is of use."""

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
from .objective import NEVER, Objective, Optimizer, State, Status, Step, is_stochastic, require, tensor_of
from .soap import SOAP

__all__ = ["Auto", "best_so_far"]

_METHODS: dict[str, Optimizer] = {
    "gauss_newton": GaussNewton(),
    "ssbroyden": SelfScaledBroyden(),
    "lbfgs": LBFGS(history=100),
}
_JACOBIAN = 2**27  # entries of the greatest Jacobian that is formed: 1 GiB in float64
_FIRST_ORDER: dict[str, FirstOrder] = {
    "soap": SOAP(learning_rate=3e-3, decay_steps=10_000, decay_rate=0.1),
    "adam": Adam(learning_rate=1e-3, decay_steps=10_000, decay_rate=0.1),
}


@dataclass(frozen=True)
class Auto:
    """Pick a curvature method by trying, and change it when it stalls; SOAP or Adam where none is of use.

    No method wins everywhere: Gauss-Newton is unbeaten on smooth elliptic problems and stalls for long on transport,
    where a dense self-scaled Broyden method goes on. So both start from the same parameters on the same points with
    the same amount of work. Gauss-Newton goes on if its loss is three times lower (a hundred times, if there are more
    residuals than parameters), else the other, which gains speed as it learns the curvature. When, over a quarter of
    the work done so far, the loss has not fallen by a factor of ``10**stagnation``, the other one takes over, for the
    work of a trial or for as long as it does better.

    Networks with more than ``max_dense`` parameters cannot afford a dense inverse Hessian: they get Gauss-Newton in
    residual space, or L-BFGS where the residuals are too many for that as well.

    Where directions are random, losses of different draws cannot be compared and the curvature of one draw says little
    of the next: SOAP averages it. Beyond ``max_curvature`` parameters that costs more than it gains, and Adam is left.
    Their rates, 3e-3 and 1e-3, fall linearly to zero in the steps of the run; where only its seconds are limited, to a
    tenth every 10,000 steps, since a rate by the clock would never repeat itself.

    Work is counted by a fixed model of the operations, never by the clock, so that a run repeats itself and a resumed
    run goes on bit for bit.

    Attributes:
        trial_steps: Gauss-Newton steps of the trial, half of them with more residuals than parameters; the other
            method gets as much work.
        max_dense: Most parameters for a dense inverse Hessian, and most residuals for Gauss-Newton beyond that.
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
        return _join(own, self._method(own["method"]).refresh(inner)) if own["method"] else state

    def resample_every(self, state: State) -> int:
        """Steps between two draws of points: none during the trial, then what the method in use asks for."""
        own, inner = _split(state)
        return self._method(own["method"]).resample_every(inner) if own["phase"] == "main" else NEVER

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
        own["work"] = float(own["work"]) + self._work(own, done)
        joined = _replace(done, _join(own, done.state), done.status)
        return _trial(self, joined) if own["phase"] == "trial" else self._watch(joined)

    def _method(self, name: object) -> Optimizer:
        if name not in _FIRST_ORDER:
            return _METHODS[str(name)]
        method = _FIRST_ORDER[str(name)]
        return method if self.steps is None else replace(method, schedule="linear", total_steps=self.steps)

    def _start(self, objective: Objective, theta: Tensor, state: State) -> State:
        if theta.numel() > self.max_curvature:
            return self._first_order(
                "adam", state, theta, f"{theta.numel()} parameters are too many for their curvature"
            )
        if is_stochastic(objective):
            return self._first_order("soap", state, theta, "random directions give no curvature that lasts")
        residual = objective.residual(theta)
        if not bool(residual.isfinite().all()):
            bad = int((~residual.isfinite()).sum())
            raise DivergenceError(
                f"{bad} of {residual.numel()} residuals are not finite at the start; look for a division by zero, a "
                "logarithm of a negative number or an overflow in the equation, or lower the range of the coordinates"
            )
        p, r, loss = theta.numel(), residual.numel(), float(residual.square().sum())
        own: State = state | {"residuals": r, "start_loss": loss, "mark_loss": loss, "best": math.inf, "look": 0.0}
        if p > self.max_dense:
            method = "gauss_newton" if r <= self.max_dense and r * p <= _JACOBIAN else "lbfgs"
            why = f"{method}: {p} parameters are too many for a dense inverse Hessian"
            return self._use(own, method, theta, "main", why)
        own["start"] = theta.clone()
        return self._use(own, "gauss_newton", theta, "trial", "trying gauss_newton")

    def _first_order(self, method: str, own: State, theta: Tensor, reason: str) -> State:
        fall = "to a tenth every 10000 steps" if self.steps is None else f"linearly to 0 at step {self.steps}"
        rate = f"{_FIRST_ORDER[method].learning_rate:g}"
        return self._use(own, method, theta, "main", f"{method}: {reason}; rate {rate}, falling {fall}")

    def _use(self, own: State, method: str, theta: Tensor, phase: str, why: str) -> State:
        return _join(own | {"method": method, "phase": phase, "why": why}, self._method(method).init(theta))

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
        work, stuck = float(state["work"]), done.status is not Status.OK
        best = min(done.loss, float(state["best"]))
        state["best"] = best
        if work < float(state["look"]) and not stuck:
            return done
        gained = math.log10(max(float(state["mark_loss"]), 1e-300) / max(best, 1e-300))
        trial = float(state.get("trial_work", 0.0))
        state |= {"mark_loss": best, "best": math.inf, "look": work + max(trial, 0.25 * work)}
        other = self._other(state)
        before, state["stuck"] = bool(state.get("stuck", False)), stuck
        if other is None or (gained >= self.stagnation and not stuck):
            return done
        if stuck and before and gained < self.stagnation:
            state["stuck"] = False  # neither can go on here: only new points can help
            return done
        # The other one proves itself within the work of a trial, or hands back what was put aside for it here.
        state |= {"look": work + trial}
        state["why"] = f"{other}: {state['method']} gained {max(gained, 0.0):.2f} decades since the last look"
        return _replace(done, _hand_over(state, other, done.theta), Status.OK)

    def _other(self, state: State) -> str | None:
        if int(state["parameters"]) > self.max_dense:
            return None
        return "ssbroyden" if state["method"] == "gauss_newton" else "gauss_newton"


def best_so_far(theta: Float[Tensor, " p"], loss: float, state: State) -> tuple[Float[Tensor, " p"], float]:
    """Return the better of the present parameters and those that an unfinished trial has put aside.

    >>> import torch
    >>> kept = {"kept_theta": torch.zeros(2), "kept_loss": 0.5}
    >>> best_so_far(torch.ones(2), 1.0, kept), best_so_far(torch.ones(2), 0.1, kept)
    ((tensor([0., 0.]), 0.5), (tensor([1., 1.]), 0.1))
    """
    kept = state.get("kept_theta")
    if isinstance(kept, Tensor) and float(state["kept_loss"]) < loss:
        return kept, float(state["kept_loss"])
    return theta, loss


def _trial(auto: Auto, done: Step) -> Step:
    """Count the trial's steps; hand over to the second method, then to the better one."""
    state = done.state
    count = int(state.get("trial_count", 0)) + 1
    state["trial_count"] = count
    work = float(state["work"])
    stuck = done.status is not Status.OK
    if state["method"] == "gauss_newton":
        steps = (auto.trial_steps + 1) // 2 if _overdetermined(state) else auto.trial_steps
        if count < steps and not stuck:
            return done
        own, inner = _split(state)
        own |= {"trial_work": work, "kept_loss": done.loss, "kept_theta": done.theta.clone()}
        own |= {f"kept.{key}": value for key, value in inner.items()}
        start = tensor_of(own, "start")
        following = auto._use(own, "ssbroyden", start, "trial", "trying ssbroyden")
        return Step(start.clone(), float(own["start_loss"]), following, Status.OK, done.evaluations, done.info)
    if work < 2.0 * float(state["trial_work"]) and not stuck:
        return done
    return _decide(done)


def _overdetermined(state: State) -> bool:
    return int(state["residuals"]) > int(state["parameters"])


def _decide(done: Step) -> Step:
    own, inner = _split(done.state)
    kept = {key.removeprefix("kept."): own.pop(key) for key in list(own) if key.startswith("kept.")}
    theta, loss = tensor_of(own, "kept_theta"), float(own["kept_loss"])
    for key in ("kept_theta", "kept_loss", "start"):
        own.pop(key)
    words = f"loss {loss:.1e} by gauss_newton, {done.loss:.1e} by ssbroyden after equal work"
    work = float(own["work"])
    own |= {"phase": "main", "mark_loss": min(loss, done.loss), "best": math.inf, "look": 1.5 * work}
    # Broyden's method is slow while it learns the curvature and gains speed later; Gauss-Newton starts at full speed.
    # With more residuals than parameters it is slowed down by its damping and by the size of its systems.
    margin = 0.01 if _overdetermined(own) else 0.3
    if margin * done.loss <= loss:
        own |= {"method": "ssbroyden", "why": f"ssbroyden: {words}"}
        return _replace(done, _join(own, inner), Status.OK)
    own |= {"method": "gauss_newton", "why": f"gauss_newton: {words}"}
    return Step(theta, loss, _join(own, kept), Status.OK, done.evaluations, done.info)


def _hand_over(state: State, method: str, theta: Tensor) -> State:
    """Put the state of the method in use aside and go on with another, where that left off."""
    own, inner = _split(state)
    aside = {key: value for key, value in own.items() if key.startswith(f"aside.{method}.")}
    own = {key: value for key, value in own.items() if key not in aside}
    own |= {f"aside.{own['method']}.{key}": value for key, value in inner.items()}
    known = {key.removeprefix(f"aside.{method}."): value for key, value in aside.items()}
    return _join(own | {"method": method}, _METHODS[method].refresh(known) if known else _METHODS[method].init(theta))


def _split(state: State) -> tuple[State, State]:
    """Separate what is Auto's own from the state of the method in use."""
    inner = {key.removeprefix("inner."): value for key, value in state.items() if key.startswith("inner.")}
    return {key: value for key, value in state.items() if not key.startswith("inner.")}, inner


def _join(own: State, inner: State) -> State:
    return own | {f"inner.{key}": value for key, value in inner.items()}


def _replace(done: Step, state: State, status: Status) -> Step:
    return Step(done.theta, done.loss, state, status, done.evaluations, done.info, done.reason)
