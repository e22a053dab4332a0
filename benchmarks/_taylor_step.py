"""Training steps of the sides of ``_taylor_worker``, in turn, with their memory."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ._taylor_problem import Step
from ._taylor_processes import SideError, Worker, available_gb
from ._taylor_sides import judge_errors
from ._timing import ratio, spread

__all__ = ["Settings", "measure_step"]

TOGETHER_TO = 200_000
"""Up to so many coordinates all sides are held in memory and take turns; beyond, one follows the other."""
CHECKED_TO = 100_000
"""Up to so many coordinates results are compared with float64."""


@dataclass(frozen=True)
class Settings:
    """How steps are measured.

    Attributes:
        device: ``"cpu"`` or ``"cuda"``.
        rounds: How often the sides take turns.
        mode: Mode of torch.compile.
        precision: Of float32 matrix products: ``"highest"``, or ``"high"`` for TF32.
        seconds: What a side may take for an answer, compilation included.
        share: Share of the free memory that a side may take.
    """

    device: str = "cpu"
    rounds: int = 9
    mode: str | None = None
    precision: str = "highest"
    seconds: float = 900.0
    share: float = 0.9

    def worker(self, side: str, step: Step) -> Worker:
        """Start a side."""
        options = step.options() | {"device": self.device, "mode": self.mode, "precision": self.precision}
        arguments = [side, json.dumps(options)]
        return Worker("benchmarks._taylor_worker", arguments, self.share * available_gb(), self.seconds)


def measure_step(sides: Sequence[tuple[str, str, Step]], settings: Settings) -> dict[str, Any]:
    """Time steps in rounds, A B C B C A ..., each side in a fresh process; then compare their results.

    Args:
        sides: Label, side and sizes of each.
        settings: How.

    Returns:
        Times, memory, errors relative to float64 and ratios; for a side that failed, why.
    """
    dim = max(step.dim for _, _, step in sides)
    found: dict[str, dict[str, Any]] = {label: {} for label, _, _ in sides}
    together = dim <= TOGETHER_TO
    for group in [sides] if together else [[side] for side in sides]:
        with contextlib.ExitStack() as stack:
            workers = {label: stack.enter_context(settings.worker(side, step)) for label, side, step in group}
            _take_turns(workers, found, _burst(dim), settings.rounds)
            if dim <= CHECKED_TO:
                _compare(workers, {label: step for label, _, step in group}, found, settings)
    taken = {label: side.pop("ms") for label, side in found.items() if "error" not in side}
    for label, values in taken.items():
        found[label] |= {f"{key}_ms": value for key, value in spread(values).items()}
    return {"dim": dim, "in_turn": together, "sides": found, "ratios": _ratios(taken)}


def _burst(dim: int) -> int:
    """Steps that a side takes in a row."""
    return 5 if dim <= 10_000 else 2 if dim <= 100_000 else 1


def _take_turns(workers: dict[str, Worker], found: dict[str, dict[str, Any]], burst: int, rounds: int) -> None:
    order = list(workers)
    for round_ in range(-1, rounds):
        for label in list(order):
            try:
                _turn(workers[label], found[label], burst, round_)
            except SideError as error:
                found[label] = {"error": str(error)}
                order.remove(label)
        order = order[1:] + order[:1]
    for label in order:
        answer = workers[label].ask(do="peak")
        found[label] |= {"peak_mb": round(answer["mb"], 1), "versions": answer["versions"]}
        found[label]["stages_ms"] = {name: spread(v)["median"] for name, v in found[label].pop("stages").items()}


def _turn(worker: Worker, side: dict[str, Any], burst: int, round_: int) -> None:
    """Take some steps, the first of which finds other data in the caches."""
    if round_ < 0:
        side |= {"first_step_s": round(worker.ask(do="first")["seconds"], 1), "ms": [], "stages": {}}
    answer = worker.ask(do="steps", count=burst + (burst > 1))
    if round_ < 0:
        return
    drop = slice(1 if burst > 1 else 0, None)
    side["ms"] += answer["ms"][drop]
    for name, values in answer["stages"].items():
        side["stages"].setdefault(name, []).extend(values[drop])


def _compare(
    workers: dict[str, Worker], steps: dict[str, Step], found: dict[str, dict[str, Any]], settings: Settings
) -> None:
    """Note how far loss and gradient on equal inputs are from those of kjet in float64."""
    with tempfile.TemporaryDirectory() as folder:
        references = {}
        for step in dict.fromkeys(replace(step, dtype="float64") for step in steps.values()):
            with settings.worker("kjet", step) as worker:
                references[step] = _evaluate(worker, Path(folder) / "reference.npz")
        for label, worker in workers.items():
            if "error" in found[label]:
                continue
            loss, gradient = references[replace(steps[label], dtype="float64")]
            try:
                value, own = _evaluate(worker, Path(folder) / "side.npz")
            except SideError as error:
                found[label]["error_unknown"] = str(error)
                continue
            size = max(float(np.abs(part).max()) for part in gradient)
            furthest = max(float(np.abs(a - b).max()) for a, b in zip(own, gradient, strict=True)) / size
            found[label]["error_to_float64"] = judge_errors(label, abs(value - loss) / abs(loss), furthest)


def _evaluate(worker: Worker, file: Path) -> tuple[float, list[np.ndarray]]:
    loss = worker.ask(do="evaluate", file=str(file))["loss"]
    with np.load(file) as parts:
        return loss, [parts[name] for name in parts.files]


def _ratios(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """How many times longer a side takes than each that was measured in the same rounds."""
    return {f"{slow} / {fast}": ratio(taken[slow], taken[fast]) for slow in taken for fast in taken if slow != fast}
