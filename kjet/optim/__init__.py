"""Optimizers for sums of squares over flat parameters: curvature methods first, all with serialisable state."""

from __future__ import annotations

from .adam import Adam
from .auto import Auto, best_so_far
from .broyden import SelfScaledBroyden
from .first_order import FirstOrder
from .gauss_newton import GaussNewton
from .lbfgs import LBFGS
from .levenberg_marquardt import LevenbergMarquardt
from .line_search import LineSearch, Outcome, grid_search, strong_wolfe
from .objective import NEVER, Objective, Optimizer, Scheduled, State, Status, Step
from .soap import SOAP

__all__ = [
    "LBFGS",
    "NEVER",
    "SOAP",
    "Adam",
    "Auto",
    "FirstOrder",
    "GaussNewton",
    "LevenbergMarquardt",
    "LineSearch",
    "Objective",
    "Optimizer",
    "Outcome",
    "Scheduled",
    "SelfScaledBroyden",
    "State",
    "Status",
    "Step",
    "best_so_far",
    "grid_search",
    "strong_wolfe",
]
