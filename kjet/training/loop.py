"""The training loop: step, draw points anew, log, save."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..constraints import Draw
from ..data import Points
from ..errors import DivergenceError
from ..optim import NEVER, Auto, FirstOrder, Optimizer, Scheduled, State, Status
from ..optim.objective import label
from ..problem import Problem
from ..typing import Tensor
from .checkpoint import Checkpoint, pack_generator, save_checkpoint, unpack_generator
from .curriculum import Curriculum
from .directions import adaptive_source, compared, pack_term, replanned, unpack_term
from .loggers import Logger
from .objective import ResidualObjective
from .progress import Progress
from .resuming import check_checkpoint, packed_state, unpacked_state
from .run_directory import RunDirectory
from .settings import SamplerConfig, TrainerConfig
from .setup import with_values
from .signals import StopRequest
from .weighing import PointWeighing

__all__ = ["Trainer"]

_logger = logging.getLogger(__name__)
_DRAWS_WITHOUT_PROGRESS = 3
_BRIEF, _REPORTS = 0.5, 0.1  # seconds of a report that do not matter; beyond, the part of the time that all may take


@dataclass
class Trainer:
    """Trains one model; everything that changes is in its attributes, and all of it is in a checkpoint.

    Args:
        problem: What is solved.
        objective: Residuals at the first points.
        optimizer: Any optimizer of :mod:`kjet.optim`.
        sampler: How points are drawn anew.
        settings: When to stop and report.
        draw: Sampler and generator of the points.
        error: Measures the error against a reference, or None.
        trivial: Error of the best predictor without a network, for comparison.
        run: Where to write; None writes nothing.
        loggers: Receive each logged step.
        weighing: Weighs the points of the equation; None for equal weights.
        curriculum: Moves parameters; None for the values of the problem.
    """

    problem: Problem
    objective: ResidualObjective
    optimizer: Optimizer
    sampler: SamplerConfig
    settings: TrainerConfig
    draw: Draw
    error: Callable[[], float | None] = lambda: None
    trivial: float | None = None
    run: RunDirectory | None = None
    loggers: tuple[Logger, ...] = ()
    weighing: PointWeighing | None = None
    curriculum: Curriculum | None = None
    theta: Tensor = field(init=False)
    state: State = field(init=False)
    step: int = 0
    seconds: float = 0.0
    loss: float = math.inf
    status: str = "running"
    reason: str = ""
    history: list[dict[str, Any]] = field(default_factory=list)
    _last_draw: int = 0
    _last_comparison: int = 0
    _stalls: int = 0
    _cause: str = ""
    _phase: str = ""
    _weights: State = field(default_factory=dict)
    _last_weighing: int = 0
    _stage: int = 0

    def __post_init__(self) -> None:
        self.theta = self.objective.model.flat()
        if isinstance(self.optimizer, Scheduled):
            self.optimizer = self.optimizer.for_steps(self.max_steps)
        self.state = self.optimizer.init(self.theta)
        if self.curriculum is not None:
            self.curriculum.check(self.problem, self.max_steps)
            self._enter(0)

    @property
    def max_steps(self) -> int | None:
        """Limit of steps: the setting; where directions are random and no time is set, the problem's suggestion."""
        if self.settings.max_seconds is None and self.settings.max_steps is None and self.objective.stochastic:
            return self.problem.steps
        return self.settings.max_steps

    @property
    def max_seconds(self) -> float | None:
        """Time limit: the setting, else the problem's suggestion unless steps are limited."""
        if self.settings.max_seconds is None and self.max_steps is None:
            return self.problem.seconds
        return self.settings.max_seconds

    @property
    def best(self) -> tuple[Tensor, float]:
        """Parameters to use if training ends now, and their loss."""
        return self.theta, self.loss

    def fit(self, progress: Progress | None = None) -> None:
        """Train until a limit, a signal or the end of progress; sets ``status`` and ``reason``.

        Raises:
            DivergenceError: If the residual is not finite; the last good checkpoint stays.
        """
        self.status = "running"
        with StopRequest() as stop:
            clock = time.perf_counter()
            logged = saved = self.seconds
            pause = self.settings.log_seconds
            try:
                while not self._finished(stop):
                    self._advance()
                    self.seconds += time.perf_counter() - clock
                    if self.seconds - logged >= pause or self.step == 1:
                        logged, clock = self.seconds, time.perf_counter()
                        self._report(progress)
                        spent = time.perf_counter() - clock
                        pause = max(self.settings.log_seconds, spent / _REPORTS if spent > _BRIEF else 0.0)
                    if self.seconds - saved >= self.settings.checkpoint_seconds:
                        saved = self.seconds
                        self.save()
                    clock = time.perf_counter()
            except DivergenceError as error:
                self.status, self.reason = "failed", str(error)
                raise
        self.objective.model.load_flat(self.theta)
        self._report(progress)
        self.save()
        self._leave_curriculum()

    def _finished(self, stop: StopRequest) -> bool:
        if stop.requested:
            self.status, self.reason = "stopped", f"{stop.requested} after step {self.step}"
        elif self.max_steps is not None and self.step >= self.max_steps:
            self.status, self.reason = "completed", f"{self.max_steps} steps"
        elif self.max_seconds is not None and self.seconds >= self.max_seconds:
            self.status, self.reason = "completed", f"{self.max_seconds:g} seconds"
        elif self._tolerable():
            self._conclude(f"loss below {self.settings.tolerance:g}")
        elif self._stalls > _DRAWS_WITHOUT_PROGRESS:
            self._conclude(f"no further decrease: {self._cause}")
        return self.status != "running"

    def _tolerable(self) -> bool:
        """Tell whether the loss is as low as it has to be, that without weights of points as well."""
        limit = self.settings.tolerance
        if limit is None or not self.loss <= limit:
            return False
        return self.weighing is None or float(self.objective.weighed(None).loss(self.theta)) <= limit

    def _conclude(self, reason: str) -> None:
        """End training, or the stage of a curriculum."""
        if self.curriculum is not None and self._stage < self.curriculum.stages:
            _logger.info("step %d: %s", self.step, reason)
            self._stalls = 0
            self._enter(self._stage + 1)
        else:
            self.status, self.reason = "completed", reason

    def _advance(self) -> None:
        self._follow_curriculum()
        if self.weighing is not None and (self.objective.terms[0].factors is None or self._weighs_each_step):
            self._weigh()
        done = self.optimizer.step(self.objective, self.theta, self.state)
        self.theta, self.state, self.loss = done.theta, done.state, done.loss
        self.step += 1
        asked = self.optimizer.resample_every(self.state)
        every = asked if self.sampler.every is None or asked >= NEVER else self.sampler.every
        moving = self._redrawn != "none" or self.objective.stochastic or self.weighing is not None
        due = moving and self.step - self._last_draw >= every
        if done.status is Status.OK:
            self._stalls = 0
        else:
            self._stalls += 1
            self._cause = done.reason
            _logger.info("step %d: %s (%s)", self.step, done.status, done.reason)
            if done.status is Status.NOISE_FLOOR and self.settings.dtype == "float32":
                _logger.warning("float32 resolves no further decrease of the loss; use trainer.dtype=float64")
            due = moving
            if not due:
                self._stalls = _DRAWS_WITHOUT_PROGRESS + 1
        if due:
            self.resample()

    @property
    def _redrawn(self) -> str:
        return self.sampler.redrawn(self.objective.stochastic, self._attached)

    @property
    def _attached(self) -> bool:
        return self.weighing is not None and self.weighing.attached

    @property
    def _weighs_each_step(self) -> bool:
        """Whether the method takes each step by itself; curvature that was learnt is that of fixed weights."""
        chosen = isinstance(self.optimizer, Auto) and self.state.get("method") in ("soap", "adam", "warm_up")
        return self._last_weighing < self.step and (chosen or isinstance(self.optimizer, FirstOrder))

    def _weigh(self) -> None:
        """Weigh the points of the equation anew."""
        if self.weighing is None:
            return
        self.objective.model.load_flat(self.theta)
        steps, self._last_weighing = self.step - self._last_weighing, self.step
        self.objective, self._weights = self.weighing.step(self.objective, self._weights, steps)

    def _follow_curriculum(self) -> None:
        """Go to the stage that is due."""
        if self.curriculum is None or self._stage == self.curriculum.stages:
            return
        done = [self.seconds / self.max_seconds] if self.max_seconds else []
        done += [self.step / self.max_steps] if self.max_steps else []
        due = self.curriculum.stage(self.step, max(done, default=0.0))
        if due > self._stage:
            self._enter(due)

    def _enter(self, stage: int) -> None:
        """Train with the parameters of a stage from now on."""
        if self.curriculum is None:
            return
        self._stage, self.loss = stage, math.inf
        values = self.curriculum.values(self.problem, stage)
        self.objective = with_values(self.objective, self.problem, values)
        if self.step:
            told = self.optimizer.begin_anew if isinstance(self.optimizer, Auto) else self.optimizer.refresh
            self.state = told(self.state)
        words = ", ".join(f"{name} = {value:.4g}" for name, value in values.items())
        last = "; training goes on with the values of the problem" if stage == self.curriculum.stages else ""
        _logger.info("step %d: %s%s", self.step, words, last)

    def _leave_curriculum(self) -> None:
        """Give the model the parameters of the problem; say so if it was not trained with them."""
        if self.curriculum is None or self._stage == self.curriculum.stages:
            return
        values = self.curriculum.values(self.problem, self._stage)
        _logger.warning(
            "training ended in stage %d of %d of the curriculum, at %s, before the values of the problem; resume it "
            "with a higher limit, or lower curriculum.share or curriculum.steps",
            self._stage + 1, self.curriculum.stages, ", ".join(f"{k} = {v:.4g}" for k, v in values.items()),
        )  # fmt: skip
        targets = self.curriculum.values(self.problem, self.curriculum.stages)
        self.objective = with_values(self.objective, self.problem, targets)

    def curriculum_summary(self) -> dict[str, Any] | None:
        """Tell how far the curriculum went."""
        if self.curriculum is None:
            return None
        at = self.curriculum.values(self.problem, self._stage)
        return {"stage": self._stage, "stages": self.curriculum.stages, "parameters": at}

    def resample(self) -> None:
        """Draw new points for every term, with targets, normals and weights, and new directions."""
        self._last_draw = self.step
        self.objective.model.load_flat(self.theta)
        points = {} if self._redrawn == "none" else self._new_points()
        self.objective = self.objective.with_points(points).drawn(self.draw.generator)
        self._compare()
        self._weigh()
        self.state = self.optimizer.refresh(self.state)

    def _new_points(self) -> dict[str, Points]:
        domain, terms = self.problem.domain, self.objective.terms
        new: dict[str, Points] = {}
        rule = self.sampler.renewal(self._redrawn, self.sampler.points or self.problem.points)
        if rule is not None:
            scores, generator = self.objective.scores, self.draw.generator
            new["equation"] = rule.renew(scores, terms[0].points, self._fresh, generator=generator)
        for term in terms[1:]:
            if term.condition is not None and not term.condition.fixed:
                new[term.name] = term.condition.sample(domain, len(term.points), self.draw)
        return new

    def _fresh(self, n: int) -> Points:
        return self.draw.boundary(self.problem.domain, n, "interior")

    def _compare(self) -> None:
        """Let an adaptive estimator compare its candidates from time to time."""
        source = adaptive_source(self.objective)
        if source is None or self.step - self._last_comparison < source.every:
            return
        self._last_comparison = self.step
        before, self.objective = self.objective, compared(self.objective, self.draw.generator)
        if self.objective is not before:
            chosen = "; ".join(line for line in source.explain().splitlines() if not line.startswith(" "))
            _logger.info("step %d: other directions vary less: %s", self.step, chosen)

    def _report(self, progress: Progress | None) -> None:
        if self.history and self.history[-1]["step"] == self.step:
            return
        self.objective.model.load_flat(self.theta)
        error = self.error()
        phase = str(self.state.get("phase", label(self.optimizer)))
        line: dict[str, Any] = {
            "step": self.step, "seconds": self.seconds, "loss": self.loss, "error": error,
            "terms": self.objective.parts(self.theta), "phase": phase,
        }  # fmt: skip
        if self.trivial is not None:
            line["trivial_error"] = self.trivial
        if self.weighing is not None:
            factors = self.objective.terms[0].factors
            line["least_weight"] = None if factors is None else float(factors.min())
        if self.curriculum is not None:
            line["curriculum"] = self.curriculum.values(self.problem, self._stage)
        if self.objective.model.unknowns:
            line["parameters"] = self.objective.model.found()
        self.history.append(line)
        if phase != self._phase:
            self._phase = phase
            _logger.info("step %d: %s", self.step, self.state.get("why", phase))
        if self.run is not None:
            self.run.log(line)
        for logger in self.loggers:
            logger.log(self.step, {k: v for k, v in line.items() if v is not None and not isinstance(v, str)})
        if progress is not None:
            rate = self.step / self.seconds if self.seconds else None
            progress.update(self.step, self.loss, error, rate, self.seconds, phase)

    def save(self) -> None:
        """Write a checkpoint, if there is a run directory."""
        if self.run is None:
            return
        tensors: dict[str, Tensor] = {"theta": self.theta, "generator": pack_generator(self.draw.generator)}
        own, scalars = packed_state("optimizer.", self.state)
        more, weights = packed_state("weighing.", self._weights)
        tensors |= own | more
        for term in self.objective.terms:
            tensors |= pack_term(term)
        source = adaptive_source(self.objective)
        meta = {
            "optimizer": scalars, "method": label(self.optimizer), "seconds": self.seconds,
            "precision": self.settings.precision,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "last_draw": self._last_draw, "stalls": self._stalls, "cause": self._cause, "history": self.history,
            "estimator": None if source is None else source.state_dict(), "last_comparison": self._last_comparison,
            "measures": {t.name: t.points.measure for t in self.objective.terms},
            "weighing": weights, "last_weighing": self._last_weighing, "stage": self._stage,
            "course": self._course(),
        }  # fmt: skip
        save_checkpoint(self.run.checkpoints, self.step, tensors, meta)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint, bit for bit.

        Raises:
            RunError: If it belongs to another model, optimizer or other conditions.
        """
        tensors, meta = checkpoint.tensors, checkpoint.meta
        check_checkpoint(
            checkpoint,
            self.theta,
            precision=self.settings.precision,
            method=label(self.optimizer),
            course=self._course(),
            terms=[term.name for term in self.objective.terms],
        )
        device = self.theta.device
        self.theta = tensors["theta"].to(device)
        self.objective.model.load_flat(self.theta)
        unpack_generator(self.draw.generator, tensors["generator"])
        self.state = unpacked_state("optimizer.", tensors, meta["optimizer"], device)
        self._weights = unpacked_state("weighing.", tensors, meta.get("weighing", {}), device)
        if self.curriculum is not None:
            self._stage = int(meta["stage"])
            values = self.curriculum.values(self.problem, self._stage)
            self.objective = with_values(self.objective, self.problem, values)
        source = adaptive_source(self.objective)
        if source is not None and meta.get("estimator") is not None:
            source.load_state_dict(meta["estimator"])
            self.objective = replanned(self.objective)
        measures = meta["measures"]
        terms = [unpack_term(term, tensors, measures[term.name], device) for term in self.objective.terms]
        self.objective = self.objective.with_terms(terms)
        self.step, self.seconds = checkpoint.step, float(meta["seconds"])
        self.loss = math.inf if meta["loss"] is None else float(meta["loss"])
        self._last_draw, self._stalls, self.history = meta["last_draw"], meta["stalls"], list(meta["history"])
        self._cause, self._last_comparison = meta.get("cause", ""), int(meta.get("last_comparison", 0))
        self._last_weighing = int(meta.get("last_weighing", 0))

    def _course(self) -> dict[str, str | None]:
        """Tell what changes the loss on the way."""
        return {
            "weighing": None if self.weighing is None else type(self.weighing).__name__,
            "curriculum": None if self.curriculum is None else repr(self.curriculum),
        }
