"""What the stored runs of ``benchmarks.zoo`` say: medians, ratios, a table for the documentation, and a figure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "check", "disturbed", "draw", "final", "inserted", "key", "table", "unequal"]

BEGIN, END = "<!-- table: python -m benchmarks.zoo --table -->", "<!-- end of the table -->"
NAMES = {"kjet": "kjet", "deepxde": "DeepXDE", "jinns": "jinns"}
COLOURS = {"kjet": "#0072B2", "deepxde": "#D55E00", "jinns": "#009E73"}  # Okabe and Ito
DASHES: dict[str, Any] = {"kjet": "-", "deepxde": "--", "jinns": "-."}
EQUAL = 1e-10
CORES = 0.9


def key(run: dict[str, Any]) -> tuple[str, str, int]:
    """What a run is known by."""
    return run["problem"], run["side"], run["seed"]


def final(run: dict[str, Any]) -> float | None:
    """Error at the end of a run: infinite where training diverged, None where the side could not be run at all.

    >>> final({"curve": [[0.0, 1.0], [1.0, 0.5]]}), final({"curve": [[0.0, None]]}), final({"failed": "no memory"})
    (0.5, inf, None)
    """
    if "failed" in run:
        return None
    error = run["curve"][-1][1]
    return math.inf if error is None else error


def disturbed(runs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """List the runs that had less than a core, since other programs were at work: their errors are too large."""
    return [run for run in runs if run.get("cores", 1.0) < CORES]


def unequal(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Name the problems and seeds at which sides started from different losses, or were given different times."""
    found = []
    for name, seed in dict.fromkeys((run["problem"], run["seed"]) for run in runs):
        mine = [run for run in runs if (run["problem"], run["seed"]) == (name, seed)]
        losses = [run["start_loss"] for run in mine if "start_loss" in run]
        if losses and max(losses) - min(losses) > EQUAL * max(losses):
            found.append(f"{name}, seed {seed}: sides start from the losses {losses}")
        if len({(run["seconds"], run["threads"]) for run in mine}) > 1:
            found.append(f"{name}, seed {seed}: sides ran for different times or on different numbers of threads")
    return found


def table(content: dict[str, Any] | None) -> str:
    """Write the stored results as Markdown."""
    runs = content["runs"] if content else []
    if not content or not runs:
        return "No results are stored yet."
    sides = [side for side in NAMES if any(run["side"] == side for run in runs)]
    others = [side for side in sides if side != "kjet"]
    head = ["problem", "equation", "s", *(NAMES[s] for s in sides), *(f"{NAMES[s]} / kjet" for s in others)]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    ratios: dict[str, list[float]] = {side: [] for side in others}
    for name in sorted({run["problem"] for run in runs}):
        errors = {side: _finals(runs, name, side) for side in sides}
        about = next(run for run in runs if run["problem"] == name)
        cells = [f"`{about['title']}`", about["statement"].replace("|", "\\|"), f"{about['seconds']:g}"]
        cells += [_errors(errors[side]) for side in sides]
        for side in others:
            ratio = _ratio(errors[side], errors["kjet"]) if "kjet" in sides else None
            cells.append("" if ratio is None else _multiple(ratio))
            if ratio is not None:
                ratios[side].append(ratio)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [*lines, "", *(_verdict(side, ratios[side]) for side in others if ratios[side]), "", _origin(content)]
    )


def _finals(runs: Sequence[dict[str, Any]], name: str, side: str) -> list[float] | None:
    """Errors of a side's runs; None where one of them could not be run, which says nothing of the others."""
    found = [final(run) for run in runs if (run["problem"], run["side"]) == (name, side)]
    return None if None in found else [error for error in found if error is not None]


def _errors(errors: Sequence[float] | None) -> str:
    if not errors:
        return "could not be run" if errors is None else ""
    middle = _number(statistics.median(errors))
    return middle if len(errors) == 1 else f"{middle} [{_number(min(errors))}, {_number(max(errors))}]"


def _number(value: float) -> str:
    return "diverged" if math.isinf(value) else f"{value:.1e}" if value < 0.1 or value >= 1000 else f"{value:.2g}"


def _multiple(ratio: float) -> str:
    return (
        "diverged"
        if math.isinf(ratio)
        else "kjet diverged"
        if ratio == 0
        else f"{ratio:.2g}"
        if ratio < 100
        else f"{ratio:.0f}"
    )


def _ratio(other: Sequence[float] | None, ours: Sequence[float] | None) -> float | None:
    """Ratio of medians; zero where kjet diverged alone, None where a side was not run or both diverged.

    >>> _ratio([0.2], [0.1]), _ratio([math.inf], [0.1]), _ratio([0.2], [math.inf]), _ratio(None, [0.1])
    (2.0, inf, 0.0, None)
    """
    if not other or not ours:
        return None
    theirs, mine = statistics.median(other), statistics.median(ours)
    return None if math.isinf(theirs) and math.isinf(mine) else theirs / mine


def _verdict(side: str, ratios: Sequence[float]) -> str:
    finite = [ratio for ratio in ratios if 0 < ratio < math.inf]
    wins = sum(ratio > 1 for ratio in ratios)
    mean = f"{math.exp(statistics.fmean(map(math.log, finite))):.3g}" if finite else "none"
    lost = (
        f" ({len(ratios) - len(finite)} with a side that diverged, left out of it)" if len(finite) < len(ratios) else ""
    )
    return (
        f"- kjet beside {NAMES[side]}: smaller error in {wins} of {len(ratios)} problems; "
        f"geometric mean of the ratios {mean}{lost}."
    )


def _origin(content: dict[str, Any]) -> str:
    seeds = sorted({run["seed"] for run in content["runs"]})
    machine = content["machine"]
    named = ", ".join(f"{name} {number}" for name, number in _versions(content["runs"]).items())
    plural = "seeds" if len(seeds) > 1 else "seed"
    slowed = len(disturbed(content["runs"]))
    note = f" {slowed} runs were slowed down by other programs and say little." if slowed else ""
    return (
        f"Relative L2 error, all fields together, after `s` seconds of training: median [least, largest] over the "
        f"{plural} {', '.join(map(str, seeds))}. {machine['cpu']}, {machine['threads']} thread(s); {named}.{note}"
    )


def _versions(runs: Iterable[dict[str, Any]]) -> dict[str, str]:
    return {name: number for run in runs for name, number in sorted(run.get("versions", {}).items())}


def inserted(page: str, text: str) -> str:
    """Put a table between the marks of a page.

    Raises:
        ValueError: If the page has no such marks.
    """
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (mark and end):
        raise ValueError(f"the page has no lines {BEGIN} and {END} between which a table could stand")
    return f"{before}{BEGIN}\n\n{text}\n\n{END}{after}"


def check(page: str, content: dict[str, Any] | None) -> list[str]:
    """Say what of a page is not that of the stored results; nothing where all is."""
    stale = inserted(page, table(content)) != page
    wrong = ["the table is not that of the stored results; run python -m benchmarks.zoo --table"] if stale else []
    return wrong + (unequal(content["runs"]) if content else [])


def draw(content: dict[str, Any], path: Path) -> None:
    """Draw error against seconds: a panel for each problem, a line for each seed, colours that all can tell apart."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    names = sorted({run["problem"] for run in content["runs"]})
    columns = min(5, len(names))
    rows = math.ceil(len(names) / columns)
    figure = Figure(figsize=(3.0 * columns, 2.3 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, name in zip(panels, names, strict=False):
        for run in (run for run in content["runs"] if run["problem"] == name):
            points = [(t, error) for t, error in run.get("curve", ()) if error is not None]
            if points:
                axes.semilogy(
                    *zip(*points, strict=True), DASHES[run["side"]], color=COLOURS[run["side"]], linewidth=1.1
                )
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
    for axes in list(panels):
        axes.set_visible(False)
    shown = [side for side in NAMES if any(run["side"] == side for run in content["runs"])]
    handles = [Line2D([], [], linestyle=DASHES[s], color=COLOURS[s], label=NAMES[s]) for s in shown]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    figure.supxlabel("seconds of training")
    figure.supylabel("relative L2 error")
    figure.savefig(path, dpi=120)
