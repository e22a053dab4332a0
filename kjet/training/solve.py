"""Solve a problem: the one path that notebooks and ``train.py`` share."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..errors import ConfigError, RunError, unknown
from ..operators import NetworkConfig
from ..optim import Optimizer
from ..optim.balance import Balance, Causal, SelfAdaptive, Unbalanced, balanced
from ..problem import Problem
from ..registry import resolve
from .curriculum import Curriculum, NoCurriculum, curriculum_of
from .estimation import Estimation, estimation
from .job import Job, run_job
from .loggers import Logger
from .marching import march
from .settings import ConstraintConfig, SamplerConfig, TrainerConfig
from .solution import Solution
from .weighing import point_weighing

__all__ = ["solve"]


def solve(
    problem: Problem,
    *,
    network: NetworkConfig | nn.Module | str | None = None,
    optimizer: Optimizer | str = "auto",
    sampler: SamplerConfig | None = None,
    constraint: ConstraintConfig | str = "auto",
    estimator: Any = "exact",
    balance: Balance | Unbalanced | Causal | SelfAdaptive | str = "none",
    curriculum: Curriculum | NoCurriculum | Mapping[str, float] | None = None,
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
            ``"config"``, ``"ntk"``, ``"grad_norm"`` and others, or one of :mod:`kjet.optim.balance`; or how the
            points of the equation are, for all methods: ``"causal"``, ``"self_adaptive"``.
        curriculum: Parameters that move from an easy value to that of the problem: ``{"nu": 0.1}``, or a
            :class:`kjet.training.GeometricCurriculum` or ``LinearCurriculum``.
        trainer: When to stop and how to compute.
        seed: Seed of the weights and of the points.
        run_dir: Directory for logs and checkpoints; None writes nothing.
        resume: Continue the run in ``run_dir``.
        loggers: Receive each logged step.
        progress: Whether to show a progress bar.
        **limits: Fields of :class:`TrainerConfig`, for short: ``max_seconds=30``, ``windows=5``.

    Raises:
        ConfigError: If parts of the problem or the settings do not fit.
        RunError: If the run directory cannot be used.
        DivergenceError: If the residual becomes not finite.

    >>> from kjet.problems import Poisson2DProblem
    >>> solution = solve(Poisson2DProblem().build(), max_steps=2, progress=False)
    >>> solution.status, sorted(solution.predict({"x": [0.5], "y": [0.5]}))
    ('completed', ['u'])
    """
    if not isinstance(problem, Problem):
        told = "call its build()" if hasattr(problem, "build") else "make one with kjet.Problem(...)"
        raise ConfigError(f"solve() takes a Problem; got {type(problem).__name__}; {told}")
    if resume and run_dir is None:
        raise RunError("resume=True needs the run_dir of the run to continue")
    estimating = estimation(estimator)
    rule = resolve("balance", balance)() if isinstance(balance, str) else balance
    method = resolve("optimizer", optimizer)() if isinstance(optimizer, str) else optimizer
    job = Job(
        problem,
        _network(problem, network),
        method if isinstance(rule, Causal | SelfAdaptive) else balanced(method, rule),
        sampler or SamplerConfig(),
        ConstraintConfig(constraint) if isinstance(constraint, str) else constraint,
        estimating,
        _settings(problem, trainer, limits, estimating),
        point_weighing(rule, problem),
        curriculum_of(curriculum),
        seed,
        tuple(loggers),
        progress,
    )
    directory = None if run_dir is None else Path(run_dir)
    return (run_job if job.settings.windows == 1 else march)(job, directory, resume)


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
    windows = settings.windows or len(settings.window_shares) or problem.windows
    return dataclasses.replace(settings, dtype=settings.dtype or suggested, windows=windows)


def _network(problem: Problem, network: NetworkConfig | nn.Module | str | None) -> NetworkConfig | nn.Module:
    if network is None or isinstance(network, str):
        kind = resolve("operator", network or "mlp")
        names = {f.name for f in dataclasses.fields(kind)}
        return kind(**{key: value for key, value in problem.network.items() if key in names})
    return network
