"""One side of the comparison of training steps, in a process of its own.

    python -m benchmarks._taylor_worker kjet '{"dim": 100, "device": "cpu", "mode": null, "precision": "highest"}'

Reads one command on each line of its input, a JSON object, and answers with one on its output:

- ``{"do": "first"}`` takes the step that compiles,
- ``{"do": "steps", "count": 3}`` times steps,
- ``{"do": "peak"}`` tells the peak of memory,
- ``{"do": "evaluate", "file": ...}`` writes loss and gradient on fixed inputs.

Imports what its side needs, and no more: memory is measured, too.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ._taylor_problem import Step

__all__ = ["SIDES"]

SIDES = ("kjet", "kjet compiled", "jax")


def make(side: str, options: dict[str, Any]) -> Any:
    """Make a side by its name."""
    device, mode, precision = (options.pop(key) for key in ("device", "mode", "precision"))
    step = Step(**options)
    if side == "jax":
        from ._jax_sine_gordon import JaxStep

        return JaxStep(step, device, precision)
    import torch

    from ._taylor_kjet import KjetStep

    torch.set_num_threads(1)
    torch.set_float32_matmul_precision(precision)
    return KjetStep(step, device, compiled=side == "kjet compiled", mode=mode)


def first(side: Any) -> dict[str, float]:
    """Take a step, and tell its seconds."""
    begun = time.perf_counter()
    side()
    return {"seconds": time.perf_counter() - begun}


def steps(side: Any, count: int, cpu: bool) -> dict[str, Any]:
    """Time steps, in milliseconds: of CPU time, or on a GPU of wall time; on a CPU their stages as well.

    No garbage is collected meanwhile.
    """
    gc.collect()
    gc.disable()
    try:
        return _timed(side, count, cpu)
    finally:
        gc.enable()


def _timed(side: Any, count: int, cpu: bool) -> dict[str, Any]:
    clock = time.process_time if cpu else time.perf_counter
    total: list[float] = []
    stages: dict[str, list[float]] = {name: [] for name, _ in side.stages}
    for _ in range(count):
        begun = marked = clock()
        if cpu:
            for name, stage in side.stages:
                stage()
                now = clock()
                stages[name].append(1e3 * (now - marked))
                marked = now
        else:
            side()
        total.append(1e3 * (clock() - begun))
    return {"ms": total, "stages": stages if cpu else {}}


def peak_mb(side: Any) -> float:
    """Peak memory in MB: of the GPU where there is one, else resident memory of this process."""
    found = side.peak_mb()
    if found is None:
        status = Path("/proc/self/status")
        if status.exists():  # what getrusage tells may be the peak of the process that started this one
            line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
            found = int(line.split()[1]) / 1024
        else:
            found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return float(found)


def main() -> None:
    """Answer commands until there are no more."""
    options = json.loads(sys.argv[2])
    cpu = options["device"] == "cpu"
    side = make(sys.argv[1], options)

    def evaluate(file: str) -> dict[str, Any]:
        loss, gradient = side.evaluate()
        np.savez(file, *gradient)
        return {"loss": loss}

    answers: dict[str, Callable[..., dict[str, Any]]] = {
        "first": lambda: first(side),
        "steps": lambda count: steps(side, count, cpu),
        "peak": lambda: {"mb": peak_mb(side), "versions": side.versions()},
        "evaluate": evaluate,
    }
    answer, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    for line in sys.stdin:
        command = json.loads(line)
        found = answers[command.pop("do")](**command)
        print(json.dumps(found), file=answer, flush=True)


if __name__ == "__main__":
    main()
