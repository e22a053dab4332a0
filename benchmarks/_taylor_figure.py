"""Figure of the results of ``benchmarks.taylor``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ._taylor_bars import STEP_MB, STEP_MS

__all__ = ["draw"]

STYLES = {
    "kjet": ("#56B4E9", "o", "kjet, eager"),
    "kjet compiled": ("#0072B2", "s", "kjet, compiled"),
    "jax": ("#D55E00", "^", "jax.experimental.jet, compiled"),
    "autograd": ("#E69F00", "v", "nested autograd, eager"),
}

Entries = Sequence[Mapping[str, Any]]


def draw(content: Mapping[str, Any], path: Path) -> None:
    """Draw times and memory of the training step by dimension, the cost of the factor, and times by order."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    cases = content["cases"]
    panels: list[tuple[str, Callable[[Any, Entries], None]]] = [
        ("step", _times), ("step", _memory), ("factor", _factors), ("order", _orders)
    ]  # fmt: skip
    present = [(name, panel) for name, panel in panels if cases.get(name)]
    if not present:
        return
    figure, axes = plt.subplots(1, len(present), figsize=(3.8 * len(present), 3.4), layout="constrained", squeeze=False)
    for ax, (name, panel) in zip(axes[0], present, strict=True):
        panel(ax, cases[name])
        ax.legend(fontsize=7)
    machine = content["machine"]
    where = machine["gpu"] if content["device"] == "cuda" else f"{machine['cpu']}, 1 thread"
    figure.suptitle(f"{where}, {content['dtype']}, torch {content['versions']['torch']}", fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _lines(ax: Any, entries: Entries, along: str, value: str) -> None:
    for side, (colour, marker, label) in STYLES.items():
        points = [(e[along], e["sides"][side][value]) for e in entries if value in e["sides"].get(side, {})]
        if points:
            ax.plot(*zip(*points, strict=True), color=colour, marker=marker, label=label, markersize=4)
    ax.set(yscale="log")


def _bars(ax: Any, entries: Entries, bars: Mapping[int, float]) -> None:
    known = [e["dim"] for e in entries if e["dim"] in bars]
    if known:
        ax.plot(known, [bars[d] for d in known], color="0.5", linestyle=":", marker="_", label="bar")


def _times(ax: Any, entries: Entries) -> None:
    _lines(ax, entries, "dim", "median_ms")
    _bars(ax, entries, STEP_MS)
    ax.set(xscale="log", xlabel="dimensions", ylabel="ms per training step")


def _memory(ax: Any, entries: Entries) -> None:
    _lines(ax, entries, "dim", "peak_mb")
    _bars(ax, entries, STEP_MB)
    ax.set(xscale="log", xlabel="dimensions", ylabel="peak memory of the process, MB")


def _factors(ax: Any, entries: Entries) -> None:
    for side, (colour, marker, label) in STYLES.items():
        key = f"{side} / {side} without"
        points = [(e["dim"], e["ratios"][key]["median"]) for e in entries if key in e["ratios"]]
        if points:
            ax.plot(*zip(*points, strict=True), color=colour, marker=marker, label=label, markersize=4)
    ax.axhline(1.2, color="0.5", linestyle=":", label="bar")
    ax.set(xscale="log", xlabel="dimensions", ylabel=r"time with / without the factor $1 - |x|^2$")


def _orders(ax: Any, entries: Entries) -> None:
    _lines(ax, entries, "order", "median_ms")
    ax.set(xlabel="order of the derivative", ylabel="ms with parameter gradients")
    ax.set_xticks([e["order"] for e in entries])
