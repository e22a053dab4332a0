"""Time marching: windows of time are solved one after the other, each from the end of the one before.

A network that sees all times at once may settle late times before the initial state has arrived there. Windows keep the
order: each has a network of its own, which starts from the weights of the one before, and an initial condition made of
that network's values at the end of its window, with velocities where the equation is of second order in time. The
result is one solution for all times.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import ConfigError, RunError
from ..problem import Problem
from .checkpoint import load_checkpoint, save_checkpoint
from .diagnosis import brief
from .job import Job, run_job
from .loading import load
from .loggers import Logger
from .model import Model
from .reference import ErrorMeter
from .run_directory import RunDirectory
from .settings import TrainerConfig
from .setup import build_model, build_objective
from .solution import Solution
from .weighing import point_weighing
from .windows import check_windows, joined, window_edges, window_problem

__all__ = ["march", "window_limits"]

_logger = logging.getLogger(__name__)


def march(job: Job, run_dir: Path | None, resume: bool) -> Solution:
    """Solve a problem window by window; ``job.settings.windows`` tells how many.

    The directory of the run holds that of each window, ``window_01`` and so on. Resuming goes on in the window that was
    not completed; completed ones stay, but for the last one, which a raised limit continues.

    Args:
        job: What to do, for all times.
        run_dir: Directory for logs and checkpoints; None writes nothing.
        resume: Continue the run in it.

    Raises:
        ConfigError: If the problem cannot be divided in time, or the settings do not fit.
        RunError: If the run directory cannot be used, or holds a run of other windows.
        DivergenceError: If the residual becomes not finite.
    """
    begun = time.perf_counter()
    check_windows(job.problem)
    if job.curriculum is not None:
        raise ConfigError(
            "a curriculum would lead each window of time through its easy values again, from a state of the problem's "
            "own; use trainer.windows=1, or leave out the curriculum"
        )
    limits = window_limits(job)
    edges = window_edges(job.problem, job.settings.windows or 1)
    run = None if run_dir is None else RunDirectory.open(run_dir) if resume else RunDirectory.create(run_dir)
    try:
        course = _Course(job, edges, run)
        course.begin(resume)
        status, reason = "failed", "an error ended the run"
        try:
            for k, settings in enumerate(limits):
                solution = course.window(k, settings)
                status, reason = solution.status, solution.reason
                if status != "completed":
                    break
        finally:
            if run is not None and status == "failed":
                run.write_summary({"problem": job.problem.name, "status": status, "reason": reason})
        whole = course.solution(begun)
        if run is not None:
            run.write_summary(whole.summary())
            whole.save(run.path / "solution")
        return whole
    finally:
        if run is not None:
            run.close()


def window_limits(job: Job) -> list[TrainerConfig]:
    """Return the settings of each window, which share the time and the steps.

    Raises:
        ConfigError: If a window would have no step.
    """
    settings, problem = job.settings, job.problem
    seconds, steps = settings.max_seconds, settings.max_steps
    if seconds is None and steps is None:
        steps = problem.steps if job.estimating.source is not None else None
        seconds = problem.seconds if steps is None else None
    shares = settings.window_shares or (1.0,) * (settings.windows or 1)
    marks = [total / sum(shares) for total in itertools.accumulate(shares, initial=0.0)]
    found = []
    for (before, after), name in zip(itertools.pairwise(marks), itertools.count(1)):
        own = None if steps is None else round(steps * after) - round(steps * before)
        if own == 0:
            raise ConfigError(
                f"window {name} of {settings.windows} has no step of the {steps} of trainer.max_steps; raise it, or "
                "lower trainer.windows"
            )
        time_limit = None if seconds is None else seconds * (after - before)
        found.append(dataclasses.replace(settings, windows=1, window_shares=(), max_steps=own, max_seconds=time_limit))
    return found


@dataclass
class _Course:
    """How far a run has come: its windows so far."""

    job: Job
    edges: list[float]
    run: RunDirectory | None
    done: list[Solution] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    seconds: float = 0.0
    _finished: int = 0
    _resumed: bool = False

    def begin(self, resume: bool) -> None:
        """Make or read the record of completed windows."""
        if self.run is None:
            return
        if not resume:
            self._record()
            return
        stored = load_checkpoint(self.run.path)
        if "edges" not in stored.tensors or stored.tensors["edges"].tolist() != self.edges:
            raise RunError(
                f"{self.run.path} holds a run of other windows of time; resume it with the trainer.windows of the "
                "first run"
            )
        # The last window is always gone on with, so that a raised limit is of use.
        self._finished = min(int(stored.meta["windows"]), len(self.edges) - 2)
        self._resumed = True

    def window(self, k: int, settings: TrainerConfig) -> Solution:
        """Solve a window, or read what was found."""
        start, end = self.edges[k], self.edges[k + 1]
        before = self.done[-1].model if self.done else None
        problem = window_problem(self.job.problem, start, end, before)
        folder = None if self.run is None else self.run.path / f"window_{k + 1:02d}"
        if folder is not None and k < self._finished:
            solution = load(folder, problem=problem, network=self._network(), estimator=None)
            solution.model.to(device=self.job.settings.device)
        else:
            if k == self._finished and self._resumed and self.run is not None:
                self.run.truncate_metrics(self.steps)
            _logger.info("window %d of %d: from time %.4g to %.4g", k + 1, len(self.edges) - 1, start, end)
            solution = run_job(self._part(problem, settings, before), folder, self._resumed and _can_resume(folder))
        solution.model.requires_grad_(False)
        self._add(k, solution)
        return solution

    def _part(self, problem: Problem, settings: TrainerConfig, before: Model | None) -> Job:
        job = self.job
        weighing = None if job.weighing is None else point_weighing(job.weighing.rule, problem)
        loggers = tuple(_Shifted(logger, self.steps) for logger in job.loggers)
        return dataclasses.replace(
            job, problem=problem, network=self._network(), settings=settings, weighing=weighing, loggers=loggers,
            start=before,
        )  # fmt: skip

    def _network(self) -> Any:
        network = self.job.network
        return copy.deepcopy(network) if isinstance(network, nn.Module) else network

    def _add(self, k: int, solution: Solution) -> None:
        self.done.append(solution)
        for line in solution.history:
            shifted = {**line, "step": line["step"] + self.steps, "seconds": line["seconds"] + self.seconds}
            shifted["window"] = k + 1
            self.history.append(shifted)
            if self.run is not None and k >= self._finished:
                self.run.log(shifted)
        self.steps += int(solution.info["steps"])
        self.seconds += float(solution.info["seconds"])
        if solution.status == "completed" and k >= self._finished:
            self._record()

    def _record(self) -> None:
        """Write how many windows are completed."""
        if self.run is not None:
            tensors = {"edges": torch.tensor(self.edges, dtype=torch.float64)}
            save_checkpoint(self.run.checkpoints, self.steps, tensors, {"windows": len(self.done)})

    def solution(self, begun: float) -> Solution:
        """Join the windows; beyond the last one that was begun, its network goes on."""
        job, problem, settings = self.job, self.job.problem, self.job.settings
        for part in self.done:
            part.model.requires_grad_(True)
        model = joined(problem, [part.model for part in self.done], self.edges[: len(self.done) + 1])
        generator, dtype, device = job.generator(), settings.torch_dtype, settings.device
        _, soft = build_model(problem, self._network(), job.imposing, generator=generator, dtype=dtype, device=device)
        draw = job.draw(generator)
        objective = build_objective(problem, model, soft, job.sampling, draw, job.imposing.weight, job.estimating)
        last = self.done[-1]
        counted = f"{len(self.done)} windows of time, the last one after {last.reason}"
        reason = counted if last.status == "completed" else last.reason
        whole = Solution(model, problem, last.status, reason, self.history, network=last.network)
        whole.objective = objective
        error = ErrorMeter(problem, model, settings.test_points, dtype, device)
        trivial = error.trivial()
        whole.info = last.info | self._sums() | {
            "problem": problem.name, "seconds_total": round(time.perf_counter() - begun, 3), "errors": error.errors(),
            "trivial_error": None if trivial is None else trivial[1], "test_points": error.count,
            "parameters": int(model.flat().numel()),
        }  # fmt: skip
        whole.info["diagnosis"] = brief(whole)
        return whole

    def _sums(self) -> dict[str, Any]:
        told = ("steps", "seconds", "loss", "errors", "optimizer")
        windows = [
            {"start": start, "end": end, "status": part.status, "reason": part.reason}
            | {name: part.info[name] for name in told}
            for part, (start, end) in zip(self.done, itertools.pairwise(self.edges), strict=False)
        ]
        lost = [part.info["causality"]["lost"] for part in self.done if "causality" in part.info]
        least = [part.info["causality"]["least_weight"] for part in self.done if "causality" in part.info]
        return {
            "steps": self.steps, "seconds": round(self.seconds, 3), "windows": windows,
            "loss": max(float(part.info["loss"]) for part in self.done),
            "iterations_per_second": round(self.steps / self.seconds, 3) if self.seconds else None,
            **({"causality": {"lost": any(lost), "least_weight": min(least)}} if lost else {}),
        }  # fmt: skip


def _can_resume(folder: Path | None) -> bool:
    """Tell whether a window has something to go on from; what a killed run left before that is removed."""
    if folder is None or not folder.is_dir():
        return False
    if any((folder / "checkpoints").glob("step_*")):
        return True
    shutil.rmtree(folder)
    return False


@dataclass(frozen=True)
class _Shifted:
    """A logger that counts the steps of all windows."""

    logger: Logger
    steps: int

    def log(self, step: int, values: Mapping[str, Any]) -> None:
        """Pass values on."""
        self.logger.log(step + self.steps, values)

    def figure(self, name: str, path: Path) -> None:
        """Pass a figure on."""
        self.logger.figure(name, path)

    def close(self) -> None:
        """Leave closing to whoever opened it."""
