"""Solve a problem: the one path that notebooks and ``train.py`` share."""

from __future__ import annotations

import dataclasses
import platform
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..constraints import Draw
from ..data import make_sampler
from ..errors import ConfigError, RunError
from ..operators import NetworkConfig
from ..optim import Optimizer
from ..problem import Problem
from ..registry import resolve
from .checkpoint import load_checkpoint
from .loggers import Logger
from .loop import Trainer
from .progress import Progress
from .reference import measure_errors, reference_values
from .run_directory import RunDirectory
from .settings import ConstraintConfig, SamplerConfig, TrainerConfig
from .setup import build_model, build_objective
from .solution import Solution

__all__ = ["solve"]


def solve(
    problem: Problem,
    *,
    network: NetworkConfig | nn.Module | str | None = None,
    optimizer: Optimizer | str = "auto",
    sampler: SamplerConfig | None = None,
    constraint: ConstraintConfig | str = "auto",
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
    settings = _settings(trainer, limits)
    sampling = sampler or SamplerConfig()
    imposing = ConstraintConfig(constraint) if isinstance(constraint, str) else constraint
    config = _network(problem, network)
    generator = torch.Generator(device=settings.device).manual_seed(seed)
    dtype = settings.torch_dtype
    model, soft = build_model(problem, config, imposing, generator=generator, dtype=dtype, device=settings.device)
    draw = Draw(make_sampler(sampling.name), generator, dtype, settings.device)
    objective = build_objective(problem, model, soft, sampling, draw, imposing.weight)
    chosen = resolve("optimizer", optimizer)() if isinstance(optimizer, str) else optimizer
    error = _ErrorMeter(problem, model, settings)
    run = (
        None if run_dir is None else RunDirectory.open(Path(run_dir)) if resume else RunDirectory.create(Path(run_dir))
    )
    try:
        loop = Trainer(problem, objective, chosen, sampling, settings, draw, error, run, tuple(loggers))
        if resume and run is not None:
            loop.restore(load_checkpoint(run.path))
            run.truncate_metrics(loop.step)
        solution = Solution(
            loop.objective.model,
            problem,
            network=None if isinstance(config, nn.Module) else config,
            objective=loop.objective,
        )
        try:
            _fit(loop, progress)
        finally:
            _close(solution, loop, error, settings, imposing, seed, begun)
            if run is not None:
                run.write_summary(solution.summary())
        if run is not None:
            solution.save(run.path / "solution")
        return solution
    finally:
        if run is not None:
            run.close()


def _fit(loop: Trainer, progress: bool) -> None:
    if not progress:
        loop.fit()
        return
    with Progress(loop.max_seconds, loop.settings.max_steps) as bar:
        loop.fit(bar)


def _settings(trainer: TrainerConfig | None, limits: dict[str, Any]) -> TrainerConfig:
    names = {f.name for f in dataclasses.fields(TrainerConfig)}
    for name in limits:
        if name not in names:
            from ..errors import unknown

            raise ConfigError(unknown("argument", name, names, "solve()"))
    return dataclasses.replace(trainer or TrainerConfig(), **limits)


def _network(problem: Problem, network: NetworkConfig | nn.Module | str | None) -> NetworkConfig | nn.Module:
    if network is None or isinstance(network, str):
        kind = resolve("operator", network or "mlp")
        names = {f.name for f in dataclasses.fields(kind)}
        return kind(**{key: value for key, value in problem.network.items() if key in names})
    return network


class _ErrorMeter:
    """Relative L2 error of all fields together, at fixed test points that do not depend on the seed."""

    def __init__(self, problem: Problem, model: Any, settings: TrainerConfig) -> None:
        self.model, self.expected = model, {}
        if problem.reference is None:
            return
        generator = torch.Generator(device=settings.device).manual_seed(20240229)
        points = problem.domain.interior(
            settings.test_points, sampler="uniform", generator=generator, dtype=torch.float64, device=settings.device
        )
        self.expected = reference_values(problem, points.x)
        self.x = points.x.to(settings.torch_dtype)

    def found(self) -> dict[str, Any]:
        with torch.no_grad():
            values = self.model(self.x)
        return {name: values[:, i].to(torch.float64) for i, name in enumerate(self.model.fields)}

    def __call__(self) -> float | None:
        if not self.expected:
            return None
        found = self.found()
        difference = sum((found[k] - v).square().sum() for k, v in self.expected.items())
        return float((difference / sum(v.square().sum() for v in self.expected.values())) ** 0.5)


def _close(
    solution: Solution,
    loop: Trainer,
    error: _ErrorMeter,
    settings: TrainerConfig,
    constraint: ConstraintConfig,
    seed: int,
    begun: float,
) -> None:
    """Fill in the solution from the loop's last state."""
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
        "errors": measure_errors(error.found(), error.expected) if error.expected else {},
        "loss": loss,
        "terms": loop.history[-1]["terms"] if loop.history else {},
        "found": model.found(),
        "parameters": int(loop.theta.numel()),
        "optimizer": str(loop.state.get("why", type(loop.optimizer).__name__)),
        "constraint": dataclasses.asdict(constraint),
        "device": settings.device,
        "dtype": settings.dtype,
        "world_size": 1,
        "iterations_per_second": round(loop.step / loop.seconds, 3) if loop.seconds else None,
        "peak_memory_mb": round(peak, 1),
        "seed": seed,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    from importlib.metadata import version

    names = ("kjet", "torch", "numpy", "scipy")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
