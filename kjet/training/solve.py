"""Solve a problem: the one path that notebooks and ``train.py`` share."""

from __future__ import annotations

import dataclasses
import logging
import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..constraints import Draw
from ..errors import ConfigError, RunError, unknown
from ..operators import NetworkConfig
from ..optim import LBFGS, Auto, GaussNewton, LevenbergMarquardt, Optimizer, SelfScaledBroyden
from ..optim.balance import Balance, Unbalanced, balanced
from ..optim.objective import label
from ..problem import Problem
from ..registry import resolve
from .checkpoint import load_checkpoint
from .chunking import ChunkedGradient
from .compiling import CompiledGradient
from .estimation import Estimation, estimation
from .loggers import Logger
from .loop import Trainer
from .objective import ResidualObjective
from .precision import Accuracy, LoweredGradient, check_optimizer, measure
from .progress import Progress
from .reference import ErrorMeter
from .run_directory import RunDirectory
from .settings import ConstraintConfig, SamplerConfig, TrainerConfig
from .setup import build_model, build_objective
from .solution import Solution

__all__ = ["solve"]

_logger = logging.getLogger(__name__)
_CURVATURE = (GaussNewton, LevenbergMarquardt, SelfScaledBroyden, LBFGS)


def solve(
    problem: Problem,
    *,
    network: NetworkConfig | nn.Module | str | None = None,
    optimizer: Optimizer | str = "auto",
    sampler: SamplerConfig | None = None,
    constraint: ConstraintConfig | str = "auto",
    estimator: Any = "exact",
    balance: Balance | Unbalanced | str = "none",
    trainer: TrainerConfig | None = None,
    seed: int = 0,
    run_dir: str | Path | None = None,
    resume: bool = False,
    loggers: Sequence[Logger] = (),
    progress: bool = True,
    **limits: Any,
) -> Solution:
    """Train a network to satisfy an equation and its conditions.

    Args:
        problem: What to solve.
        network: Configuration such as ``MLPConfig(width=32)``, its name, or a module of your own; None takes the
            problem's suggestion.
        optimizer: An optimizer or its name; ``"auto"`` tries and picks.
        sampler: How points are drawn.
        constraint: ``"soft"``, ``"hard"``, ``"auto"``, or a configuration.
        estimator: How ``lap(u)`` and ``bilap(u)`` over very many coordinates are taken: ``"exact"``, ``"stde"``,
            ``"hutchinson"``, ``"auto"``, a configuration, or an estimator such as ``STDE(samples=16)``.
        balance: How the terms of the loss are weighed as training goes on, for first-order methods: ``"none"``,
            ``"config"``, ``"ntk"``, ``"grad_norm"`` and others, or one of :mod:`kjet.optim.balance`.
        trainer: When to stop and how to compute.
        seed: Seed of the weights and of the points.
        run_dir: Directory for logs and checkpoints; None writes nothing.
        resume: Continue the run in ``run_dir``.
        loggers: Receive each logged step.
        progress: Whether to show a progress bar.
        **limits: Fields of :class:`TrainerConfig`, for short: ``max_seconds=30``.

    Raises:
        ConfigError: If parts of the problem or the settings do not fit.
        RunError: If the run directory cannot be used.
        DivergenceError: If the residual becomes not finite.

    >>> from kjet.problems import Poisson2DProblem
    >>> solution = solve(Poisson2DProblem().build(), max_steps=2, progress=False)
    >>> solution.status, sorted(solution.predict({"x": [0.5], "y": [0.5]}))
    ('completed', ['u'])
    """
    begun = time.perf_counter()
    if resume and run_dir is None:
        raise RunError("resume=True needs the run_dir of the run to continue")
    estimating = estimation(estimator)
    settings = _settings(problem, trainer, limits, estimating)
    sampling = sampler or SamplerConfig()
    imposing = ConstraintConfig(constraint) if isinstance(constraint, str) else constraint
    config = _network(problem, network)
    weighing = resolve("balance", balance)() if isinstance(balance, str) else balance
    chosen = balanced(resolve("optimizer", optimizer)() if isinstance(optimizer, str) else optimizer, weighing)
    generator = torch.Generator(device=settings.device).manual_seed(seed)
    dtype = settings.torch_dtype
    model, soft = build_model(problem, config, imposing, generator=generator, dtype=dtype, device=settings.device)
    draw = Draw(sampling.sampler(problem.domain.dim), generator, dtype, settings.device)
    objective = build_objective(problem, model, soft, sampling, draw, imposing.weight, estimating)
    _check_method(chosen, objective, settings.memory_mb is not None)
    check_optimizer(settings.precision, chosen, objective)
    error = ErrorMeter(problem, model, settings.test_points, dtype, settings.device)
    trivial = error.trivial()
    if trivial is not None:
        _logger.info("best predictor without a network: %s, error %.2e", *trivial)
    run = (
        None if run_dir is None else RunDirectory.open(Path(run_dir)) if resume else RunDirectory.create(Path(run_dir))
    )
    try:
        bar = None if trivial is None else trivial[1]
        loop = Trainer(problem, objective, chosen, sampling, settings, draw, error, bar, run, tuple(loggers))
        if resume and run is not None:
            loop.restore(load_checkpoint(run.path))
            run.truncate_metrics(loop.step)
        accuracy = _differentiated(loop.objective, settings)
        solution = Solution(
            loop.objective.model,
            problem,
            network=None if isinstance(config, nn.Module) else config,
            objective=loop.objective,
        )
        try:
            _fit(loop, progress)
        finally:
            own = {
                "constraint": dataclasses.asdict(imposing), "estimator": dict(estimating.plain), "seed": seed,
                "precision": accuracy.plain(),
            }  # fmt: skip
            _close(solution, loop, error, own, begun)
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


def _settings(
    problem: Problem, trainer: TrainerConfig | None, limits: dict[str, Any], estimating: Estimation
) -> TrainerConfig:
    names = {f.name for f in dataclasses.fields(TrainerConfig)}
    for name in limits:
        if name not in names:
            raise ConfigError(unknown("argument", name, names, "solve()"))
    settings = dataclasses.replace(trainer or TrainerConfig(), **limits)
    if estimating.unbiased and settings.tolerance is not None:
        raise ConfigError(
            "trainer.tolerance cannot be combined with estimator.unbiased, whose loss of a single draw may be zero or "
            "less by chance; limit the run by trainer.max_steps"
        )
    suggested = "float64" if estimating.source is None else problem.dtype
    return dataclasses.replace(settings, dtype=settings.dtype or suggested)


def _check_method(optimizer: Optimizer, objective: ResidualObjective, chunked: bool) -> None:
    """Refuse methods that need more than a gradient where that is not to be had."""
    if chunked and isinstance(optimizer, GaussNewton | LevenbergMarquardt):
        raise ConfigError(
            f"trainer.memory_mb takes gradients in chunks of points, and {type(optimizer).__name__} needs the whole "
            "Jacobian; use optimizer=soap, lbfgs or adam, or fewer points without trainer.memory_mb"
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


def _network(problem: Problem, network: NetworkConfig | nn.Module | str | None) -> NetworkConfig | nn.Module:
    if network is None or isinstance(network, str):
        kind = resolve("operator", network or "mlp")
        names = {f.name for f in dataclasses.fields(kind)}
        return kind(**{key: value for key, value in problem.network.items() if key in names})
    return network


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
