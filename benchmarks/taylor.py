"""The Taylor core at its limits: very many dimensions, high orders, beside jax.experimental.jet.

    python -m benchmarks.taylor                                              # everything, about an hour
    python -m benchmarks.taylor --quick                                      # tiny sizes
    python -m benchmarks.taylor --cases step --dims 100 1000 10000 100000 1000000
    python -m benchmarks.taylor --device cuda --out benchmarks/results/taylor_cuda.json
    python -m benchmarks.taylor --draw                                       # the figure of what is stored

All sides run on one thread, in turn: those of training steps each in a process of its own, so that its memory is known,
the rest together in one. JAX is left out where it is not installed: ``pip install kjet[benchmark]``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from . import derivatives
from ._cases import FAMILIES
from ._record import document, write
from ._taylor_accuracy import case_direction, rounding, saturation
from ._taylor_bars import judged
from ._taylor_figure import draw
from ._taylor_problem import Step
from ._taylor_processes import ONE_THREAD
from ._taylor_sides import compare, layers
from ._taylor_step import Settings, measure_step

RESULTS = Path(__file__).parent / "results" / "taylor.json"
DIMS = (100, 1_000, 10_000, 100_000)
ALLOCATORS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "THP_MEM_ALLOC_ENABLE", "LD_PRELOAD")
"""Environment that changes how memory is taken from the system, which large arrays feel."""


def main(arguments: list[str] | None = None) -> None:
    """Run the cases, store what was found and draw it."""
    typed = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(typed)
    if options.draw:
        draw(json.loads(options.out.read_text(encoding="utf-8")), options.out.with_suffix(".png"))
        return
    if options.device == "cpu":
        os.environ.update(ONE_THREAD)  # read by JAX when it is imported
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision(options.precision)
    try:
        _run(options, typed)
    finally:
        torch.set_num_threads(before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--dims", nargs="+", type=int, default=list(DIMS), help="coordinates of the training steps")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--quick", action="store_true", help="tiny sizes and three rounds")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each training step")
    parser.add_argument("--repetitions", type=int, default=21, help="turns of everything else")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--no-jax", action="store_true", help="leave JAX out")
    parser.add_argument("--mode", default=None, help="mode of torch.compile, such as reduce-overhead for CUDA graphs")
    parser.add_argument("--precision", choices=("highest", "high"), default="highest", help="of products; high is TF32")
    parser.add_argument("--limit", type=float, default=900.0, help="seconds after which a compilation is given up")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--draw", action="store_true", help="draw what is stored, and run nothing")
    return parser


def _run(options: argparse.Namespace, typed: list[str]) -> None:
    options.jax = not options.no_jax and importlib.util.find_spec("jax") is not None
    options.compile_limit = None if options.no_compile else options.limit
    if options.quick:
        options.rounds, options.repetitions = 2, 3
    packages = ("jax", "jaxlib") if options.jax else ()
    content = document("taylor", typed, torch.get_num_threads(), *packages)
    if options.device == "cuda":
        content["machine"]["gpu"] = torch.cuda.get_device_name()
    content |= {
        "seed": options.seed,
        "dtype": "float32",
        "device": options.device,
        "precision": options.precision,
        "mode": options.mode or "default",
        "environment": {name: os.environ[name] for name in ALLOCATORS if name in os.environ},
        "clock": "process CPU time, ms" if options.device == "cpu" else "wall time, ms",
        "cases": {},
    }
    for name in options.cases:
        entries = content["cases"].setdefault(name, [])
        for entry in CASES[name](options):
            entries.append(entry)
            content["bars"] = [] if options.quick or options.device == "cuda" else judged(content["cases"])
            write(options.out, content)
            _say(name, entry)
    for bar in content.get("bars", ()):
        print(f"{'reached' if bar['reached'] else 'MISSED ':8s}{bar['what']}: {bar['found']:g}, bar {bar['bar']:g}")
    draw(content, options.out.with_suffix(".png"))


# --- cases -----------------------------------------------------------------------------------------------------------


def _steps(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The training step, by all sides."""
    for step in _sizes(options):
        yield measure_step([(side, side, step) for side in _sides(options)], _settings(options))


def _factors(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The training step, with and without the factor."""
    for step in _sizes(options):
        without = replace(step, factor=False)
        sides = [
            (f"{side}{label}", side, each)
            for side in _sides(options)
            for label, each in (("", step), (" without", without))
        ]
        yield measure_step(sides, _settings(options))


def _laplacians(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Exact Laplacians beside nested autograd."""
    for case in FAMILIES["laplacian"](options.quick):
        if case.dim >= 100 or options.quick:
            yield compare(case, **_turns(options))


def _orders(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Directional derivatives of rising order, beside nested autograd and JAX."""
    for case in FAMILIES["directional"](options.quick):
        others = {}
        if _jax_here(options):
            from ._jax_directional import step

            net, x = case.network(torch.float32, options.seed), case.inputs(torch.float32, options.seed)
            others["jax"] = step(layers(net), x.numpy(), case_direction(case).float().numpy(), case.order)
        yield compare(case, others=others, **_turns(options))


def _low_dimensions(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Burgers' residual, as in the benchmark of derivatives."""
    for case in FAMILIES["burgers"](options.quick):
        if options.device == "cpu":
            limit = None if options.quick else options.compile_limit
            yield derivatives.measure(case, torch.float32, options.seed, options.repetitions, limit)
        else:
            yield compare(case, **_turns(options))


def _accuracies(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rounding by order, and saturated activations."""
    cases = list(FAMILIES["directional"](options.quick))
    with_compiler = not (options.quick or options.no_compile)
    for case in cases:
        yield rounding(case, options.seed, options.device, with_compiler, _jax_here(options))
    yield saturation(cases[0], options.seed, options.device)


CASES: dict[str, Callable[[argparse.Namespace], Iterator[dict[str, Any]]]] = {
    "step": _steps,
    "factor": _factors,
    "laplacian": _laplacians,
    "order": _orders,
    "lowdim": _low_dimensions,
    "accuracy": _accuracies,
}


def _sizes(options: argparse.Namespace) -> Iterator[Step]:
    if options.quick:
        yield Step(dim=20, points=5, samples=3, width=8, seed=options.seed)
        return
    for dim in options.dims:
        yield Step(dim=dim, seed=options.seed)


def _sides(options: argparse.Namespace) -> list[str]:
    left_out = {"kjet compiled"} if options.no_compile else set()
    return [side for side in ("kjet", "kjet compiled", *(["jax"] if options.jax else [])) if side not in left_out]


def _jax_here(options: argparse.Namespace) -> bool:
    """Whether JAX can work in this process, on the same device."""
    if not options.jax or options.device == "cpu":
        return bool(options.jax)
    import jax

    return jax.default_backend() == "gpu"


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(options.device, options.rounds, options.mode, options.precision, options.limit)


def _turns(options: argparse.Namespace) -> dict[str, Any]:
    limit = None if options.quick else options.compile_limit
    return {"device": options.device, "seed": options.seed, "repetitions": options.repetitions, "limit": limit}


def _say(name: str, entry: dict[str, Any]) -> None:
    print(name, entry.get("name", f"d = {entry.get('dim')}"))
    for side, found in entry.get("sides", {}).items():
        memory = f"{found['peak_mb']:9.1f} MB" if "peak_mb" in found else ""
        times = f"{found['median_ms']:9.3f} ms  min {found['min_ms']:9.3f}" if "median_ms" in found else found["error"]
        print(f"  {side:24s}{times}{memory}")
    for key in ("errors", "not_finite"):
        if key in entry:
            print("  ", entry[key])
    sys.stdout.flush()


if __name__ == "__main__":
    main()
