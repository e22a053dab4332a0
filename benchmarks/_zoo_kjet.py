"""kjet's side of the comparison: ``kjet.solve`` with nothing chosen by hand."""

from __future__ import annotations

from typing import Any

import kjet

from ._zoo_task import Task

__all__ = ["run"]


def run(name: str, seed: int, seconds: float) -> dict[str, Any]:
    """Solve, and return the error against seconds of training."""
    task = Task.of(name, seed)
    start_loss = float(task.objective.loss(task.model.flat()))
    solution = kjet.solve(task.problem, seed=seed, max_seconds=seconds, log_seconds=seconds / 60, progress=False)
    info = solution.summary()
    task.model.load_flat(solution.model.flat())
    curve = [(line["seconds"], line["error"]) for line in solution.history]
    return {
        "curve": [*curve, (info["seconds"], task.meter())],
        "start_loss": start_loss,
        "steps": info["steps"],
        "optimizer": info["optimizer"],
        "ended": info["reason"],
        "found": info["found"],
    }
