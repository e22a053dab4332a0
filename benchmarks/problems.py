"""Solve problems of the zoo with nothing chosen by hand, and store what came out.

    python -m benchmarks.problems --out benchmarks/results/problems.json
    python -m benchmarks.problems --problems burgers cavity --seeds 0 1 2 --out benchmarks/results/problems_seeds.json

Each problem runs for its own suggested time with the default network, sampler and optimizer.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch

import kjet
from kjet.registry import names, resolve


def main() -> None:
    """Run the problems one after the other; what is stored already for a problem and seed is replaced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--problems",
        nargs="+",
        default=list(names("problem")),
        help="names, with options after a colon: cavity:reynolds=1000",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--seconds", type=float, default=None, help="time of training; by default the problem's own")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    stored = json.loads(options.out.read_text())["runs"] if options.out.exists() else []
    for name in options.problems:
        for seed in options.seeds:
            entry = run(name, seed, options.seconds)
            stored = [e for e in stored if (e["problem"], e["seed"]) != (name, seed)] + [entry]
            document = {"machine": machine(), "command": "python -m benchmarks.problems " + " ".join(sys.argv[1:])}
            options.out.write_text(json.dumps({**document, "runs": stored}, indent=1) + "\n")
            errors = {field: f"{e['rel_l2']:.2e}" for field, e in entry["errors"].items()}
            print(name, seed, f"{entry['seconds']:.0f} s", errors, entry["found"], entry.get("ghia", ""), flush=True)


def run(name: str, seed: int, seconds: float | None) -> dict[str, Any]:
    """Solve one problem and keep its summary and the error against time."""
    kind, _, words = name.partition(":")
    options = {key: float(value) for key, value in (word.split("=") for word in words.split(",") if word)}
    problem = resolve("problem", kind)(**options).build()
    solution = kjet.solve(problem, seed=seed, max_seconds=seconds, progress=False)
    curve = [(round(line["seconds"], 2), line["error"]) for line in solution.history]
    entry = {**solution.summary(), "problem": name, "seed": seed, "error_against_seconds": curve}
    if kind == "cavity":
        entry["ghia"] = centreline(solution, options.get("reynolds", 100.0))
    return entry


def centreline(solution: Any, reynolds: float) -> dict[str, float]:
    """Largest deviation from the published centreline velocities, relative to the lid's."""
    from kjet.data.solvers import ghia_centreline

    y, u, x, v = ghia_centreline(reynolds)
    vertical = solution.predict({"x": torch.full_like(y, 0.5), "y": y})["u"]
    horizontal = solution.predict({"x": x, "y": torch.full_like(x, 0.5)})["v"]
    return {"u": float((vertical - u).abs().max()), "v": float((horizontal - v).abs().max())}


def machine() -> dict[str, Any]:
    """Describe the machine."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {
        "cpu": model,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
