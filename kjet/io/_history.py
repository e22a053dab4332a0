"""Figures of a training run: loss, terms, error and inferred parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._canvas import BLACK, BLUE, CYCLE, VERMILLION, frame, new_figure, note_figure, plain
from ._lines import log_if_positive
from ._samples import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["history_figure", "parameters_figure"]

Records = Sequence[Mapping[str, Any]]

_AXES = (("step", "step"), ("seconds", "training time in seconds"))
_LONG = 500  # records from which lines are thin, for they are noisy
_MAX_LABELS = 6  # phases beyond this are marked, not named


def history_figure(history: Records) -> Figure:
    """Draw loss, its terms and the error against steps and against seconds.

    The vertical axes are logarithmic; phase changes are dotted lines.

    Args:
        history: Records with ``step``, ``seconds`` and ``loss``; where they have them, ``error`` (None where it was
            not measured), ``terms`` {name: value} and ``phase``.

    Returns:
        A figure that pyplot does not know of; one that says so if nothing was recorded.

    >>> history = [{"step": i, "seconds": 0.1 * i, "loss": 0.5**i} for i in range(9)]
    >>> [axes.get_yscale() for axes in history_figure(history).axes]
    ['log', 'log']
    """
    if not history:
        return note_figure("no steps were recorded")
    loss = _series(history, lambda record: record.get("loss"))
    error = _series(history, lambda record: record.get("error"))
    terms = _named(history, "terms")
    rows = 2 if np.isfinite(error).any() else 1
    figure = new_figure(12.0, 3.8 * rows)
    grid = figure.subplots(rows, 2, squeeze=False, sharex="col", sharey="row")
    for column, (key, label) in enumerate(_AXES):
        at = _series(history, lambda record, key=key: record.get(key))
        _draw_loss(grid[0, column], at, loss, terms)
        title = "" if column or np.isfinite(loss[-1]) else "the last loss is not finite"
        frame(grid[0, column], label if rows == 1 else "", "loss" if column == 0 else "", title)
        if rows == 2:
            known = np.isfinite(error)
            grid[1, column].plot(at[known], error[known], color=VERMILLION, linewidth=1.8, marker=_marker(known))
            log_if_positive(grid[1, column], error, decades=16)
            frame(grid[1, column], label, "relative L² error" if column == 0 else "")
        for axes in grid[:, column]:
            _fit(axes, at)
            _mark_phases(axes, at, history, named=axes is grid[0, column])
    if terms:
        handles, labels = grid[0, 1].get_legend_handles_labels()
        grid[0, 1].legend(
            [handles[-1], *handles[:-1]],
            [labels[-1], *labels[:-1]],
            frameon=False,
            loc="upper left",
            bbox_to_anchor=(1.0, 1.0),
        )
    return figure


def parameters_figure(history: Records) -> Figure:
    """Draw how inferred parameters converge, one panel each, with the last value in the title.

    Args:
        history: Records with ``step`` and ``parameters`` {name: value}; others are passed over.

    Returns:
        A figure that pyplot does not know of; one that says so if no parameter was recorded.

    >>> history = [{"step": i, "parameters": {"nu": 0.01 + 0.5**i}} for i in range(30)]
    >>> parameters_figure(history).axes[0].get_title(loc="left")
    'nu = 0.01'
    """
    found = _named(history, "parameters")
    if not found:
        return note_figure("no parameters were inferred")
    columns = min(3, len(found))
    rows = math.ceil(len(found) / columns)
    figure = new_figure(max(6.0, 4.2 * columns), 3.2 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    steps = _series(history, lambda record: record.get("step"))
    for axes, (name, values) in zip(panels, found.items(), strict=False):
        known = np.isfinite(values)
        axes.plot(steps[known], values[known], color=BLUE, linewidth=1.8, marker=_marker(known))
        last = f" = {values[known][-1]:.5g}" if known.any() else ""
        frame(axes, "step", plain(name), f"{plain(name)}{last}")
        if known.any():
            axes.axhline(values[known][-1], color=BLACK, linewidth=0.8, linestyle=(0, (4, 3)))
        _fit(axes, steps)
        _mark_phases(axes, steps, history, named=False)
    for axes in panels[len(found) :]:
        axes.set_visible(False)
    return figure


def _draw_loss(axes: Axes, at: Array, loss: Array, terms: Mapping[str, Array]) -> None:
    for i, (name, values) in enumerate(terms.items()):
        known = np.isfinite(values)
        style = ("-", (0, (5, 1)), (0, (1, 1)))[i // len(CYCLE) % 3]
        axes.plot(
            at[known],
            values[known],
            color=CYCLE[i % len(CYCLE)],
            linestyle=style,
            linewidth=1.2 if len(at) <= _LONG else 0.8,
            label=plain(name),
            marker=_marker(known),
        )
    known = np.isfinite(loss)
    axes.plot(
        at[known],
        loss[known],
        color=BLACK,
        linewidth=1.8 if len(at) <= _LONG else 1.0,
        label="loss",
        marker=_marker(known),
    )
    log_if_positive(axes, loss, *terms.values(), decades=16)


def _fit(axes: Axes, at: Array) -> None:
    """Show the whole run, also where nothing was drawn."""
    known = at[np.isfinite(at)]
    if known.size:
        low, high = float(known.min()), float(known.max())
        margin = 0.03 * (high - low) or 0.5
        axes.set_xlim(low - margin, high + margin)


def _mark_phases(axes: Axes, at: Array, history: Records, *, named: bool) -> None:
    """Draw a dotted line where a phase begins, and name the phases if they are few."""
    phases = [str(record.get("phase") or "") for record in history]
    starts = [i for i, phase in enumerate(phases) if np.isfinite(at[i]) and (i == 0 or phase != phases[i - 1])]
    if len(starts) < 2:
        return
    for i in starts:
        if i:
            axes.axvline(at[i], color="#777777", linewidth=1.0, linestyle=":")
        if named and len(starts) <= _MAX_LABELS:
            axes.annotate(
                plain(phases[i]), (at[i], 0.02), (3, 0), xycoords=("data", "axes fraction"), textcoords="offset points",
                rotation=90, va="bottom", ha="left", fontsize="small", color="#555555", zorder=5,
                bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1.0},
            )  # fmt: skip


def _series(history: Records, read: Any) -> Array:
    """Return one number for each record, NaN where there is none."""
    values = [read(record) for record in history]
    return np.array([math.nan if value is None else float(value) for value in values])


def _named(history: Records, key: str) -> dict[str, Array]:
    names = list(dict.fromkeys(name for record in history for name in record.get(key) or {}))
    return {name: _series(history, lambda record, name=name: (record.get(key) or {}).get(name)) for name in names}


def _marker(known: Array) -> str | None:
    """Mark the points of a curve that has so few that they might not be seen."""
    return "o" if known.sum() <= 3 else None
