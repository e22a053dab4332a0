"""Optimizers for sums of squares over flat parameters: curvature methods first, all with serialisable state."""

from __future__ import annotations

from .adam import Adam
from .auto import Auto
from .broyden import SelfScaledBroyden
from .gauss_newton import GaussNewton
from .lbfgs import LBFGS
from .levenberg_marquardt import LevenbergMarquardt
from .line_search import LineSearch, Outcome, grid_search, strong_wolfe
from .objective import Objective, Optimizer, State, Status, Step

__all__ = [
    "LBFGS",
    "Adam",
    "Auto",
    "GaussNewton",
    "LevenbergMarquardt",
    "LineSearch",
    "Objective",
    "Optimizer",
    "Outcome",
    "SelfScaledBroyden",
    "State",
    "Status",
    "Step",
    "grid_search",
    "strong_wolfe",
]
