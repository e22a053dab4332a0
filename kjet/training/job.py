"""One run: from the parts of a problem to its solution."""

from __future__ import annotations

import dataclasses
import logging
import platform
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..constraints import Draw
from ..errors import ConfigError
from ..operators import NetworkConfig
from ..optim import (
    LBFGS,
    Auto,
    DampedDescent,
    GaussNewton,
    GaussNewtonBlock,
    GaussNewtonCG,
    LevenbergMarquardt,
    NysNewtonCG,
    Optimizer,
    SelfScaledBroyden,
)
from ..optim.objective import label
from ..problem import Problem
from .causality import causality
from .checkpoint import load_checkpoint
from .chunking import ChunkedGradient
from .compiling import CompiledGradient
from .curriculum import Curriculum
from .diagnosis import brief
from .estimation import Estimation
from .loggers import Logger
from .loop import Trainer
from .model import Model
from .objective import ResidualObjective
from .precision import Accuracy, LoweredGradient, check_optimizer, measure
from .progress import Progress
from .reference import ErrorMeter
from .run_directory import RunDirectory
from .settings import ConstraintConfig, SamplerConfig, TrainerConfig
from .setup import build_model, build_objective
from .solution import Solution
from .starting import fit_start
from .weighing import PointWeighing

__all__ = ["Job", "run_job"]

_logger = logging.getLogger(__name__)
_CURVATURE = (GaussNewton, LevenbergMarquardt, SelfScaledBroyden, LBFGS, GaussNewtonBlock, DampedDescent)


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that a run depends on, its names resolved.

    Attributes:
        problem: What is solved.
        network: Configuration, or a module.
        optimizer: Method, with its balance.
        sampling: How points are drawn.
        imposing: How conditions are imposed.
        estimating: How sums over coordinates are taken.
        settings: When to stop and how to compute.
        weighing: Weighs the points of the equation; None for equal weights.
        curriculum: Moves parameters; None for the values of the problem.
        seed: Seed of the weights and of the points.
        loggers: Receive each logged step.
        progress: Whether to show a progress bar.
        start: Model whose weights the network starts from; None for random ones.
    """

    problem: Problem
    network: NetworkConfig | nn.Module
    optimizer: Optimizer
    sampling: SamplerConfig
    imposing: ConstraintConfig
    estimating: Estimation
    settings: TrainerConfig
    weighing: PointWeighing | None = None
    curriculum: Curriculum | None = None
    seed: int = 0
    loggers: tuple[Logger, ...] = ()
    progress: bool = True
    start: Model | None = None

    def draw(self, generator: torch.Generator) -> Draw:
        """Return how points are drawn."""
        sampler = self.sampling.sampler(self.problem.domain.dim)
        return Draw(sampler, generator, self.settings.torch_dtype, self.settings.device)

    def generator(self) -> torch.Generator:
        """Return the source of all random numbers, at its start."""
        return torch.Generator(device=self.settings.device).manual_seed(self.seed)

    def own(self) -> dict[str, Any]:
        """Return what a summary says of the settings."""
        plain = dict(self.estimating.plain)
        return {
            "constraint": dataclasses.asdict(self.imposing), "sampler": dataclasses.asdict(self.sampling),
            "estimator": plain, "seed": self.seed,
        }  # fmt: skip


def run_job(job: Job, run_dir: Path | None, resume: bool) -> Solution:
    """Train one network on one problem.

    Args:
        job: What to do.
        run_dir: Directory for logs and checkpoints; None writes nothing.
        resume: Continue the run in it.

    Raises:
        ConfigError: If parts of the problem or the settings do not fit.
        RunError: If the run directory cannot be used.
        DivergenceError: If the residual becomes not finite.
    """
    begun = time.perf_counter()
    problem, settings, generator = job.problem, job.settings, job.generator()
    dtype, device = settings.torch_dtype, settings.device
    model, soft = build_model(problem, job.network, job.imposing, generator=generator, dtype=dtype, device=device)
    if job.start is not None:
        with torch.no_grad():
            for own, given in zip(model.parameters(), job.start.parameters(), strict=True):
                own.copy_(given)
    draw, moving = job.draw(generator), () if job.curriculum is None else tuple(job.curriculum.start)
    objective = build_objective(problem, model, soft, job.sampling, draw, job.imposing.weight, job.estimating, moving)
    if job.start is None and not resume:
        fit_start(problem, objective)
    _check_method(job.optimizer, objective, settings.memory_mb is not None)
    _check_course(job, objective)
    check_optimizer(settings.precision, job.optimizer, objective)
    error = ErrorMeter(problem, model, settings.test_points, dtype, device)
    trivial = error.trivial()
    if trivial is not None:
        _logger.info("best predictor without a network: %s, error %.2e", *trivial)
    run = None if run_dir is None else RunDirectory.open(run_dir) if resume else RunDirectory.create(run_dir)
    try:
        bar = None if trivial is None else trivial[1]
        loop = Trainer(
            problem, objective, job.optimizer, job.sampling, settings, draw, error, bar, run, job.loggers,
            job.weighing, job.curriculum,
        )  # fmt: skip
        if resume and run is not None:
            loop.restore(load_checkpoint(run.path))
            run.truncate_metrics(loop.step)
        accuracy = _differentiated(loop.objective, settings)
        config = None if isinstance(job.network, nn.Module) else job.network
        solution = Solution(loop.objective.model, problem, network=config, objective=loop.objective)
        try:
            _fit(loop, job.progress)
        finally:
            _close(solution, loop, error, {**job.own(), "precision": accuracy.plain()}, begun)
            if solution.status != "failed":
                _warn_of_lost_causality(solution)
                solution.info["diagnosis"] = brief(solution)
            if run is not None:
                run.write_summary(solution.summary())
        if run is not None:
            solution.save(run.path / "solution")
        return solution
    finally:
        if run is not None:
            run.close()


def _differentiated(objective: ResidualObjective, settings: TrainerConfig) -> Accuracy:
    """Give an objective the means to its gradient that the settings ask for; say what their precision costs."""
    eager = None if settings.memory_mb is None else ChunkedGradient(settings.memory_mb * 2**20)
    accuracy = measure(settings.precision, objective, eager)
    objective.gradient = eager
    if settings.compile:
        objective.gradient = CompiledGradient(tolerance=None if settings.precision == "full" else accuracy.tolerance)
    if settings.precision != "full":
        objective.gradient = LoweredGradient(settings.precision, objective.gradient)
    return accuracy


def _fit(loop: Trainer, progress: bool) -> None:
    if not progress:
        loop.fit()
        return
    with Progress(loop.max_seconds, loop.max_steps) as bar:
        loop.fit(bar)


def _check_method(optimizer: Optimizer, objective: ResidualObjective, chunked: bool) -> None:
    """Refuse methods that need more than a gradient where that is not to be had."""
    if chunked and isinstance(optimizer, GaussNewton | LevenbergMarquardt | GaussNewtonBlock | DampedDescent):
        what = "graph of all residuals" if isinstance(optimizer, GaussNewtonCG | NysNewtonCG) else "Jacobian"
        raise ConfigError(
            f"trainer.memory_mb takes gradients in chunks of points, and {type(optimizer).__name__} needs the whole "
            f"{what}; use optimizer=soap, lbfgs or adam, or fewer points without trainer.memory_mb"
        )
    if chunked and isinstance(optimizer, Auto):
        _logger.warning(
            "trainer.memory_mb does not bound the Jacobian of Gauss-Newton, which optimizer=auto may choose"
        )
    if objective.unbiased and objective.stochastic and isinstance(optimizer, _CURVATURE):
        raise ConfigError(
            f"{type(optimizer).__name__} cannot minimise the unbiased loss: a mean of products of two residuals is no "
            "sum of squares, and with directions that are held fixed it has no lower bound. Use optimizer=soap, adam "
            "or auto, or estimator.unbiased=false"
        )


def _check_course(job: Job, objective: ResidualObjective) -> None:
    """Refuse ways to draw points, and curricula, that do not go with what else is asked for."""
    how = job.sampling.redrawn(objective.stochastic, job.weighing is not None and job.weighing.attached)
    if job.weighing is not None and job.weighing.attached and how != "none":
        raise ConfigError(
            f"self-adaptive weights belong to points, and sampler.adaptive={how} draws others; use "
            "sampler.adaptive=none or auto, or balance=causal"
        )
    if how == "rar_d" and job.settings.compile:
        raise ConfigError(
            "trainer.compile makes a program for a number of points, and sampler.adaptive=rar_d adds to them; use "
            "sampler.adaptive=rad, or trainer.compile=false"
        )
    if job.curriculum is None:
        return
    limited = job.settings.max_steps is not None or job.settings.max_seconds is not None
    suggested = job.problem.steps if objective.stochastic and not limited else None
    job.curriculum.check(job.problem, job.settings.max_steps or suggested)
    if job.settings.compile:
        raise ConfigError(
            "trainer.compile makes a program for the values of the parameters, which a curriculum moves; leave out one "
            "of them"
        )


def _warn_of_lost_causality(solution: Solution) -> None:
    """Say if late times were fitted before early ones; a look at the last points costs no more than a step."""
    problem, objective = solution.problem, solution.objective
    if problem is None or objective is None or problem.domain.time is None or objective.stochastic:
        return
    found = causality(solution)
    solution.info["causality"] = {"lost": found.lost, "least_weight": found.least}
    if found.lost:
        _logger.warning("%s", found.explain())


def _close(
    solution: Solution,
    loop: Trainer,
    error: ErrorMeter,
    own: Mapping[str, Any],
    begun: float,
) -> None:
    """Fill in the solution from the loop's last state, with settings of its own."""
    model = loop.objective.model
    theta, loss = loop.best
    model.load_flat(theta)
    if loop.status == "running":
        loop.status, loop.reason = "failed", loop.reason or "an error ended the run"
    solution.status, solution.reason = loop.status, loop.reason
    solution.history, solution.objective = loop.history, loop.objective
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    solution.info = {
        "problem": loop.problem.name,
        "steps": loop.step,
        "seconds": round(loop.seconds, 3),
        "seconds_total": round(time.perf_counter() - begun, 3),
        "errors": error.errors(),
        "trivial_error": loop.trivial,
        "test_points": error.count,
        "loss": loss,
        "terms": loop.history[-1]["terms"] if loop.history else {},
        "found": model.found(),
        "parameters": int(loop.theta.numel()),
        **({} if loop.curriculum is None else {"curriculum": loop.curriculum_summary()}),
        "optimizer": str(loop.state.get("why", label(loop.optimizer))),
        **own,
        "stochastic": loop.objective.stochastic,
        "device": loop.settings.device,
        "dtype": loop.settings.dtype,
        "world_size": 1,
        "iterations_per_second": round(loop.step / loop.seconds, 3) if loop.seconds else None,
        "peak_memory_mb": round(peak, 1),
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    from importlib.metadata import version

    names = ("kjet", "torch", "numpy", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
