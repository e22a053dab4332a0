"""Error against time: kjet beside DeepXDE on the same problem, network size, points, threads and time.

    python -m benchmarks.solve --problems burgers poisson2d --seconds 60 --out benchmarks/results/solve.json
    python -m benchmarks.solve --draw --out benchmarks/results/solve.json

kjet runs as ``kjet.solve(problem)`` does, with nothing chosen by hand; DeepXDE (torch backend, float64) with Adam, then
L-BFGS, on the loss with which kjet starts: the same points, targets, weights, network sizes and map of the inputs. One
after the other; errors are measured at the same points outside the training clock of each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

import kjet
from kjet.constraints import Draw, Periodic
from kjet.operators import MLPConfig
from kjet.pde import call_with_names
from kjet.registry import resolve
from kjet.training import ConstraintConfig, SamplerConfig
from kjet.training.reference import reference_values
from kjet.training.setup import build_model, build_objective

from ._record import document, write

PROBLEMS = ("burgers", "allen_cahn", "kdv", "poisson2d", "helmholtz", "poisson5d", "heat_inverse", "cavity")
TEST_POINTS = 10000


def main(arguments: list[str] | None = None) -> None:
    """Run both sides of each problem, store the curves and draw them."""
    typed = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=["burgers"])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--draw", action="store_true", help="only draw what is stored")
    options = parser.parse_args(typed)
    if options.draw:
        draw(json.loads(options.out.read_text(encoding="utf-8")), options.out.with_suffix(".png"))
        return
    torch.set_num_threads(options.threads)
    content = document("solve", typed, options.threads, "deepxde")
    content["runs"] = []
    for name in options.problems:
        for seed in options.seeds:
            content["runs"].append(compare(name, seed, options.seconds, options.threads))
            write(options.out, content)
            last = {side: f"{run['curve'][-1][1]:.2e}" for side, run in content["runs"][-1]["sides"].items()}
            print(name, seed, f"{options.seconds:g} s", last, flush=True)
    draw(content, options.out.with_suffix(".png"))


def compare(name: str, seed: int, seconds: float, threads: int) -> dict[str, Any]:
    """Run both sides of one problem."""
    with tempfile.TemporaryDirectory() as folder:
        task, result = Path(folder) / "task.npz", Path(folder) / "result.json"
        np.savez(task, **describe(name, seed, seconds, threads))
        # DeepXDE writes a configuration into the home folder when it is imported.
        environment = os.environ | {"DDE_BACKEND": "pytorch", "HOME": folder, "OMP_NUM_THREADS": str(threads)}
        words = [sys.executable, "-m", "benchmarks._deepxde", str(task), str(result)]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"DeepXDE ended with {done.returncode}: {done.stderr[-2000:]}")
        other = json.loads(result.read_text(encoding="utf-8"))
    return {
        "problem": name,
        "seed": seed,
        "seconds": seconds,
        "sides": {"kjet": ours(name, seed, seconds), "deepxde": other},
    }


def ours(name: str, seed: int, seconds: float) -> dict[str, Any]:
    """Solve with kjet."""
    problem = resolve("problem", name)().build()
    solution = kjet.solve(
        problem, seed=seed, max_seconds=seconds, log_seconds=seconds / 60, test_points=TEST_POINTS, progress=False
    )
    curve = [(round(line["seconds"], 3), line["error"]) for line in solution.history]
    info = solution.summary()
    kept = {"seconds": info["seconds"], "ended": info["reason"], "found": info["found"]}
    return {"curve": curve, **kept, "steps": info["steps"], "optimizer": info["optimizer"]}


def describe(name: str, seed: int, seconds: float, threads: int) -> dict[str, Any]:
    """Collect what the other side needs: points, targets, weights, network sizes, test points and reference values."""
    problem = resolve("problem", name)().build()
    network, imposing = problem.network, ConstraintConfig()
    hidden = list(network.get("hidden") or [network["width"]] * network["depth"])
    # As kjet.solve does it, so that the seed gives the very points on which it starts.
    generator, double = torch.Generator().manual_seed(seed), {"dtype": torch.float64, "device": "cpu"}
    model, soft = build_model(problem, MLPConfig(hidden=hidden), imposing, generator=generator, **double)  # type: ignore
    sampling = SamplerConfig()
    draw_ = Draw(sampling.sampler(problem.domain.dim), generator)
    equation, *terms = build_objective(problem, model, soft, sampling, draw_, imposing.weight).terms
    test = problem.domain.interior(
        TEST_POINTS, sampler="uniform", generator=torch.Generator().manual_seed(20240229), dtype=torch.float64
    ).x
    expected = reference_values(problem, test)
    task: dict[str, Any] = {
        "problem": name, "seed": seed, "seconds": seconds, "threads": threads, "bounds": problem.domain.bounds.numpy(),
        "inside": equation.points.x.numpy(), "hidden": np.array(hidden), "outputs": len(problem.fields),
        "periodic": any(isinstance(c, Periodic) for c in problem.conditions),
        "test": test.numpy(), "expected": torch.stack(list(expected.values()), -1).numpy(),
        "tested": np.array([problem.fields.index(field) for field in expected]),
    }  # fmt: skip
    targets = [(t, field, value) for t in terms for field, value in t.condition.values.items()]  # type: ignore[union-attr]
    for i, (term, field, value) in enumerate(targets):
        points = term.points
        named = {coord: points.column(coord) for coord in points.coords}
        values = torch.as_tensor(call_with_names(value, named) if callable(value) else value, dtype=torch.float64)
        task[f"points_{i}"], task[f"values_{i}"] = points.x.numpy(), values.expand(len(points)).numpy()
        task[f"field_{i}"], task[f"weight_{i}"] = problem.fields.index(field), term.weight
    return task


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw error against seconds, one panel for each problem."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(run["problem"] for run in content["runs"]))
    figure = Figure(figsize=(4 * len(names), 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
        for run in (run for run in content["runs"] if run["problem"] == name):
            for side, colour in (("kjet", "#0072B2"), ("deepxde", "#D55E00")):
                seconds, errors = zip(*run["sides"][side]["curve"], strict=True)
                axes.semilogy(
                    seconds, errors, color=colour, label=side if run["seed"] == content["runs"][0]["seed"] else None
                )
        axes.set(title=name, xlabel="seconds of training", ylabel="relative L2 error")
        axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
