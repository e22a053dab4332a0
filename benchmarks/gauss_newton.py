"""Time and memory of a Gauss-Newton step by residuals, parameters and processes.

    python -m benchmarks.gauss_newton --out benchmarks/results/gauss_newton.json

Each size runs in a process of its own, which gives its peak memory; several ranks are processes of one thread that each
have a share of the points. A step is Jacobian, Gram matrix, factorization, acceleration and line search on Poisson's
equation in the square. Exponents are least-squares slopes of log time over the sizes of one row of the table.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

from kjet.constraints import Draw
from kjet.data import make_sampler
from kjet.distributed import Mesh, connected
from kjet.operators import MLPConfig
from kjet.optim import GaussNewton
from kjet.problems import Poisson2DProblem
from kjet.training import ConstraintConfig, SamplerConfig, ShardedObjective
from kjet.training.setup import build_model, build_objective

from ._record import document, write

_WALLS = 400  # residuals of the conditions
RESIDUALS = [(r, 2000, 1) for r in (1000, 2000, 4000, 8000)]
PARAMETERS = [(2000, p, 1) for p in (500, 1000, 2000, 4000, 8000)]
RANKS = [(8000, 2000, 1), (8000, 2000, 2), (2000, 8000, 1), (2000, 8000, 2)]
BAR = (20_000, 10_000, 1)
BAR_GB = 8.0


def main(arguments: list[str] | None = None) -> None:
    """Measure all sizes and store them."""
    typed = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--steps", type=int, default=5, help="steps that are timed, after one that is not")
    parser.add_argument("--worker", nargs=3, type=int, metavar=("RESIDUALS", "PARAMETERS", "THREADS"))
    options = parser.parse_args(typed)
    if options.worker is not None:
        found = worker(*options.worker, steps=options.steps)
        if found:
            sys.stdout.write(json.dumps(found) + "\n")
        return
    content = document("gauss_newton", typed, 1)
    content["cases"] = {}
    for name, cases in (("residuals", RESIDUALS), ("parameters", PARAMETERS), ("ranks", RANKS)):
        rows = [measured(*case, options.steps) for case in cases]
        content["cases"][name] = rows
        if name != "ranks":
            content[f"exponent_of_{name}"] = _exponent([(row[name], row["seconds"]) for row in rows])
        print(name, *rows, sep="\n  ", flush=True)
    largest = measured(*BAR, steps=1, threads=os.cpu_count() or 1)
    content["bar"] = largest | {"gigabytes": BAR_GB, "reached": largest["peak_mb"] <= 1024 * BAR_GB}
    print("bar", content["bar"], flush=True)
    if options.out is not None:
        write(options.out, content)


def measured(residuals: int, parameters: int, ranks: int, steps: int, threads: int = 1) -> dict[str, Any]:
    """Run one size in processes of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "benchmarks.gauss_newton", "--steps", str(steps)]
    words += ["--worker", str(residuals), str(parameters), str(threads)]
    processes = [
        subprocess.Popen(words, env=_environment(rank, ranks, port, threads), stdout=subprocess.PIPE, text=True)
        for rank in range(ranks)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError(f"{' '.join(words)} ended with {[process.returncode for process in processes]}")
    found: dict[str, Any] = json.loads(outputs[0])
    return found


def _environment(rank: int, ranks: int, port: int, threads: int) -> dict[str, str]:
    places = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank, "MASTER_PORT": port, "OMP_NUM_THREADS": threads}
    return os.environ | {key: str(value) for key, value in places.items()} | {"MASTER_ADDR": "127.0.0.1"}


def worker(residuals: int, parameters: int, threads: int, *, steps: int) -> dict[str, Any]:
    """Take steps; the first rank returns what it measured."""
    torch.set_num_threads(threads)
    problem = Poisson2DProblem().build()
    generator, double = torch.Generator().manual_seed(0), {"dtype": torch.float64, "device": "cpu"}
    # two hidden matrices of width^2 and 6 * width others
    network = MLPConfig(width=round(math.sqrt(parameters / 2 + 2.25) - 1.5), depth=3)
    model, soft = build_model(problem, network, ConstraintConfig(), generator=generator, **double)  # type: ignore
    sampling = SamplerConfig(points=residuals - _WALLS, boundary_points=_WALLS)
    whole = build_objective(problem, model, soft, sampling, Draw(make_sampler("sobol"), generator))
    theta, method = model.flat(), GaussNewton()
    state, seconds = method.init(theta), []
    with connected():
        mesh = Mesh.build()
        objective = ShardedObjective(whole, mesh.data)
        for _ in range(steps + 1):
            begun = time.perf_counter()
            done = method.step(objective, theta, state)
            theta, state = done.theta, done.state
            seconds.append(time.perf_counter() - begun)
    if mesh.data.rank:
        return {}
    timed = sorted(seconds[1:])
    return {
        "residuals": whole.size,
        "parameters": theta.numel(),
        "ranks": mesh.data.size,
        "threads": threads,
        "seconds": round(timed[len(timed) // 2], 4),
        "spread": [round(timed[0], 4), round(timed[-1], 4)],
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def _exponent(rows: list[tuple[int, float]]) -> float:
    x, y = (torch.tensor(column, dtype=torch.float64).log() for column in zip(*rows, strict=True))
    return round(float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()), 2)


if __name__ == "__main__":
    main()
