"""Time derivatives of networks: Taylor jets against nested autograd and torch.func, eager and compiled.

    python -m benchmarks.derivatives                                      # everything, some 40 minutes
    python -m benchmarks.derivatives --quick                              # tiny sizes, no compiler
    python -m benchmarks.derivatives --cases burgers laplacian --dtype float64
    python -m benchmarks.derivatives --draw                               # the figure of what is stored

A step evaluates the expression at all points, its mean square, and the gradient of that in the parameters. All sides
run in one process on one thread, in turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ._cases import FAMILIES, Case, Expression
from ._record import document, write
from ._timing import alternate, ratio, spread, time_limit

RESULTS = Path(__file__).parent / "results" / "derivatives.json"
DTYPES = {"float32": torch.float32, "float64": torch.float64}
TOLERANCE = {torch.float32: 2e-3, torch.float64: 1e-8}
"""Largest difference allowed, relative to the largest entry: eight derivatives amplify roundings a thousandfold."""

Step = Callable[[], tuple[Tensor, tuple[Tensor, ...]]]


def main(arguments: list[str] | None = None) -> None:
    """Run the cases, store the times and draw them."""
    typed = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(typed)
    if options.draw:
        draw(json.loads(options.out.read_text(encoding="utf-8")), options.out.with_suffix(".png"))
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _run(options, typed)
    finally:
        torch.set_num_threads(before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--quick", action="store_true", help="tiny sizes, three repetitions, no compiler")
    parser.add_argument("--repetitions", type=int, default=21)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which a compilation is given up")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--draw", action="store_true", help="draw what is stored, and run nothing")
    return parser


def _run(options: argparse.Namespace, typed: list[str]) -> None:
    repetitions = 3 if options.quick else options.repetitions
    compile_limit = None if options.quick or options.no_compile else options.limit
    content = document("derivatives", typed, torch.get_num_threads())
    content |= {
        "seed": options.seed,
        "dtype": options.dtype,
        "clock": "process CPU time, ms",
        "repetitions": repetitions,
        "cases": [],
    }
    for family in options.cases:
        for case in FAMILIES[family](options.quick):
            entry = measure(case, DTYPES[options.dtype], options.seed, repetitions, compile_limit)
            content["cases"].append(entry)
            write(options.out, content)
            _say(entry)
    draw(content, options.out.with_suffix(".png"))


def measure(
    case: Case, dtype: torch.dtype, seed: int, repetitions: int, compile_limit: float | None = None
) -> dict[str, Any]:
    """Check that all sides agree, then time them in turn.

    Args:
        case: What is computed.
        dtype: Floating type of the timed runs; agreement is checked in float64, of compiled code in this type.
        seed: Seed of weights and points.
        repetitions: Rounds.
        compile_limit: Seconds that a compilation may take; None for eager sides only.
    """
    torch.compiler.reset()
    agreement = _agreement(case, torch.float64, seed)
    net, x = case.network(dtype, seed), case.inputs(dtype, seed)
    steps: dict[str, Step] = {name: _step(side, net, x) for name, side in case.sides.items()}
    sides: dict[str, dict[str, Any]] = {name: {} for name in steps}
    with _autograd_traced():
        if compile_limit is not None:
            _add_compiled(case, net, x, compile_limit, steps, sides, agreement)
        taken = alternate(steps, repetitions)
    for name, values in taken.items():
        sides[name] |= {f"{key}_ms": value for key, value in spread(values).items()}
    return {
        **{key: getattr(case, key) for key in ("family", "name", "dim", "points", "width", "depth", "order")},
        "agreement": agreement,
        "sides": sides,
        "ratios": _ratios(taken),
    }


def _add_compiled(
    case: Case,
    net: nn.Module,
    x: Tensor,
    limit: float,
    steps: dict[str, Step],
    sides: dict[str, dict[str, Any]],
    agreement: dict[str, dict[str, float]],
) -> None:
    """Compile each side, and keep the error of one that cannot be."""
    expected = steps["jets"]()
    for name, side in case.sides.items():
        label = f"{name} compiled"
        begun = time.perf_counter()
        try:
            step = _compiled(side, net, x, limit, whole=False)
        except Exception as error:  # noqa: BLE001  (whatever stops a compiler is a result, and is recorded as one)
            sides[label] = {"error": _first_line(error)}
            continue
        seconds = time.perf_counter() - begun
        sides[label] = {"compiled": "derivatives"}
        if seconds < limit / 6:  # else the step would not compile within the limit
            try:
                begun = time.perf_counter()
                step = _compiled(side, net, x, limit, whole=True)
                sides[label], seconds = {"compiled": "step"}, time.perf_counter() - begun
            except Exception as error:  # noqa: BLE001
                sides[label] |= {"error of the step": _first_line(error)}
        sides[label] |= {"first_call_s": round(seconds, 1)}
        agreement[label] = _check(label, step(), expected, TOLERANCE[x.dtype])
        steps[label] = step


def _step(side: Expression, net: nn.Module, x: Tensor) -> Step:
    parameters = list(net.parameters())

    def step() -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = side(net, x).square().mean()
        return loss.detach(), torch.autograd.grad(loss, parameters, allow_unused=True)

    return step


def _compiled(side: Expression, net: nn.Module, x: Tensor, limit: float, whole: bool = True) -> Step:
    """Compile the step: whole, or all but the gradient in the parameters."""
    points = x.detach().clone().requires_grad_()
    step = (
        torch.compile(_step(side, net, points), fullgraph=True, dynamic=False)
        if whole
        else _step(torch.compile(side, fullgraph=True, dynamic=False), net, points)
    )
    with time_limit(limit):
        step()
    return step


def _autograd_traced() -> Any:
    """Give Dynamo leave to trace ``torch.autograd.grad``, without which nested autograd does not compile at all."""
    config = torch._dynamo.config
    known = hasattr(config, "patch") and hasattr(config, "trace_autograd_ops")
    return config.patch(trace_autograd_ops=True) if known else nullcontext()


def _agreement(case: Case, dtype: torch.dtype, seed: int) -> dict[str, dict[str, float]]:
    """Compare every side with nested autograd."""
    net, x = case.network(dtype, seed), case.inputs(dtype, seed)
    expected = _step(case.sides["autograd"], net, x)()
    others = {name: side for name, side in case.sides.items() if name != "autograd"}
    return {
        f"{name} float64": _check(name, _step(side, net, x)(), expected, TOLERANCE[dtype])
        for name, side in others.items()
    }


def _check(
    name: str,
    found: tuple[Tensor, tuple[Tensor, ...]],
    expected: tuple[Tensor, tuple[Tensor, ...]],
    tolerance: float,
) -> dict[str, float]:
    value = float((found[0] - expected[0]).abs() / expected[0].abs())
    scale = max(float(g.abs().max()) for g in expected[1] if g is not None)
    pairs = list(zip(found[1], expected[1], strict=True))
    gradient = max(float((_dense(a, b) - _dense(b, a)).abs().max()) for a, b in pairs if a is not b) / scale
    if not max(value, gradient) < tolerance:
        raise RuntimeError(f"{name} differs: value by {value:.1e}, gradient by {gradient:.1e}; allowed {tolerance:g}")
    return {"value": float(f"{value:.2g}"), "gradient": float(f"{gradient:.2g}")}


def _dense(gradient: Tensor | None, other: Tensor | None) -> Tensor:
    """A parameter that does not matter has no gradient: the bias of the last layer, say."""
    if gradient is not None:
        return gradient
    return torch.zeros(()) if other is None else torch.zeros_like(other)


def _ratios(taken: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """How many times longer each other side takes: eager against eager, compiled against compiled, and across."""
    pairs = [(slow, fast) for fast in ("jets", "jets compiled") for slow in taken if not slow.startswith("jets")]
    wanted = [(a, b) for a, b in pairs if b in taken and ("compiled" in b or "compiled" not in a)]
    return {f"{slow} / {fast}": ratio(taken[slow], taken[fast]) for slow, fast in wanted}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def _say(entry: dict[str, Any]) -> None:
    print(entry["name"])
    for name, side in entry["sides"].items():
        print(f"  {name:18s}", f"{side['median_ms']:9.3f} ms" if "median_ms" in side else side["error"])
    for name, found in entry["ratios"].items():
        print(f"  {name:36s} {found['median']:6.2f}  [{found['q25']:.2f}, {found['q75']:.2f}]", flush=True)


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw how many times longer the other sides take, with quartiles."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    series = (
        ("autograd / jets", "nested autograd, eager", "#0072B2", "o"),
        ("func / jets", "torch.func, eager", "#56B4E9", "s"),
        ("autograd compiled / jets compiled", "nested autograd, both compiled", "#D55E00", "^"),
        ("func compiled / jets compiled", "torch.func, both compiled", "#E69F00", "v"),
        ("autograd / jets compiled", "nested autograd eager, jets compiled", "#009E73", "D"),
    )
    cases = content["cases"]
    figure, axes = plt.subplots(figsize=(8.0, 1.2 + 0.42 * len(cases)), layout="constrained")
    for shift, (key, label, colour, marker) in enumerate(series):
        rows = [(i, case["ratios"][key]) for i, case in enumerate(cases) if key in case["ratios"]]
        if rows:
            middle = [found["median"] for _, found in rows]
            reach = [[f["median"] - f["q25"] for _, f in rows], [f["q75"] - f["median"] for _, f in rows]]
            height = [i + 0.15 * (shift - 2) for i, _ in rows]
            axes.errorbar(middle, height, xerr=reach, fmt=marker, color=colour, label=label, markersize=4)
    axes.axvline(1.0, color="0.4", linewidth=0.8)
    axes.set(xscale="log", xlabel="time relative to jets (median of rounds, quartiles); right of 1 jets are faster")
    axes.set_yticks(range(len(cases)), [case["name"] for case in cases])
    axes.invert_yaxis()
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    machine = content["machine"]
    axes.set_title(f"{machine['cpu']}, 1 thread, {content['dtype']}, torch {content['versions']['torch']}", fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


if __name__ == "__main__":
    main()
