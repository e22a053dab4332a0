"""Pictures of solutions and runs. Figures are matplotlib's, drawn without pyplot and without global settings."""

from __future__ import annotations

from .figures import (
    history_figure,
    parameters_figure,
    points_figure,
    residual_figure,
    save_figures,
    solution_figure,
)
from .view import View

__all__ = [
    "View",
    "history_figure",
    "parameters_figure",
    "points_figure",
    "residual_figure",
    "save_figures",
    "solution_figure",
]
