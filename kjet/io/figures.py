"""Pictures of a solution, its residual, its training and its points; matplotlib is imported when one is drawn."""

from __future__ import annotations

from ._history import history_figure, parameters_figure
from ._points import points_figure
from ._residual import residual_figure
from ._save import save_figures
from ._solution import solution_figure

__all__ = [
    "history_figure",
    "parameters_figure",
    "points_figure",
    "residual_figure",
    "save_figures",
    "solution_figure",
]
