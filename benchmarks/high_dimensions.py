r"""Train on problems in very many dimensions, over draws of the solution and ways to estimate the Laplacian.

    python -m benchmarks.high_dimensions --dims 100 1000 --draws 0 1 2 --out benchmarks/results/high_dimensions.json
    python -m benchmarks.high_dimensions --interactions zero_mean --sides kjet hutchinson sdgd --seconds 60 \
        --out benchmarks/results/high_dimensions_harder.json

Each run reports its error beside that of the best predictor without a network on the same draw, which becomes good by
itself as the dimension grows. With ``--seconds`` every side gets as many steps as it makes in that time, by its rate
measured beforehand, so that falling rates end where they should.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import kjet
from kjet.operators import MLPConfig
from kjet.optim import Adam
from kjet.pde import best_trivial_predictor
from kjet.problem import Problem
from kjet.registry import resolve
from kjet.training import HutchinsonConfig, STDEConfig

from .problems import machine

_PLAIN = MLPConfig(width=128, depth=3)
SIDES: dict[str, Callable[[], dict[str, Any]]] = {
    "kjet": lambda: {"estimator": HutchinsonConfig(per_point=True)},
    "kjet_shared": lambda: {"estimator": HutchinsonConfig()},
    "kjet_stde": lambda: {"estimator": STDEConfig()},
    # as published: directions that all points share, Adam at 1e-3 falling linearly, inputs as they are
    "hutchinson": lambda: {"estimator": HutchinsonConfig(), "optimizer": _adam(), "network": _PLAIN},
    "sdgd": lambda: {"estimator": STDEConfig(), "optimizer": _adam(), "network": _PLAIN},
}
"""Settings by name; what is not given is kjet's own choice."""


def _adam() -> Adam:
    return Adam(learning_rate=1e-3, schedule="linear")


def main() -> None:
    """Run all combinations; what is stored already for one of them is replaced."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problem", default="sine_gordon_hd")
    parser.add_argument("--dims", nargs="+", type=int, default=[100])
    parser.add_argument("--interactions", nargs="+", default=["two_body"])
    parser.add_argument("--draws", nargs="+", type=int, default=[0], help="seeds of the solution's coefficients")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="seeds of training")
    parser.add_argument("--sides", nargs="+", default=["kjet"], choices=SIDES)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=None, help="time of training instead of steps")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    stored = json.loads(options.out.read_text())["runs"] if options.out.exists() else []
    for case in cases(options):
        entry = case | run(case, options)
        stored = [e for e in stored if any(e[key] != value for key, value in case.items())] + [entry]
        document = {"machine": machine(), "command": "python -m benchmarks.high_dimensions " + " ".join(sys.argv[1:])}
        options.out.write_text(json.dumps({**document, "runs": stored}, indent=1) + "\n")
        told = {key: entry[key] for key in ("error", "over_constant", "over_linear", "steps", "seconds")}
        print(case, {key: float(f"{value:.3g}") for key, value in told.items()}, flush=True)


def cases(options: argparse.Namespace) -> list[dict[str, Any]]:
    """List what is run, sides in turn."""
    return [
        {"problem": options.problem, "dim": dim, "interaction": interaction, "draw": draw, "seed": seed, "side": side}
        for dim in options.dims
        for interaction in options.interactions
        for draw in options.draws
        for seed in options.seeds
        for side in options.sides
    ]


def run(case: dict[str, Any], options: argparse.Namespace) -> dict[str, Any]:
    """Train once, and measure the predictors without a network on the same draw."""
    source = resolve("problem", case["problem"])(dim=case["dim"], interaction=case["interaction"], seed=case["draw"])
    problem: Problem = source.build()
    settings = {
        **SIDES[case["side"]](), "seed": case["seed"], "progress": False, "compile": options.compile,
        "device": options.device,
    }  # fmt: skip
    steps = options.steps if options.seconds is None else round(options.seconds * rate(problem, settings))
    solution = kjet.solve(problem, **settings, max_steps=steps, max_seconds=3600.0)
    summary = solution.summary()
    error, trivial = summary["errors"]["u"]["rel_l2"], predictors(source, problem)
    return {
        "error": error,
        **{f"over_{name}": error / value for name, value in trivial.items()},
        "predictors": trivial,
        **{key: summary[key] for key in ("steps", "seconds", "optimizer", "estimator", "peak_memory_mb")},
        "error_against_steps": [(x["step"], round(x["seconds"], 2), x["error"]) for x in solution.history],
    }


def predictors(source: Any, problem: Problem) -> dict[str, float]:
    """Return relative errors of ``a (1 - |x|^2)`` and of ``(1 - |x|^2) (a + b . x)``."""
    count = max(16, min(4000, 10**8 // source.dim))
    generator = torch.Generator().manual_seed(0)
    fit, test = (problem.domain.interior(count, sampler="uniform", generator=generator).x for _ in range(2))
    errors = best_trivial_predictor(source.solution().value, fit, test).errors
    return {"constant": errors["constant"], "linear": min(errors["linear"], errors["tangent"])}


def rate(problem: Problem, settings: dict[str, Any]) -> float:
    """Measure steps in a second, once all that is compiled has been."""
    history = kjet.solve(problem, **settings, max_steps=300, max_seconds=600.0, log_seconds=0.2).history
    middle, last = history[len(history) // 2], history[-1]
    return (last["step"] - middle["step"]) / (last["seconds"] - middle["seconds"])


if __name__ == "__main__":
    main()
