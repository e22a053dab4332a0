"""Optimizers for sums of squares over flat parameters: curvature methods first, all with serialisable state."""

from __future__ import annotations

from .adam import Adam
from .auto import Auto
from .broyden import SelfScaledBroyden
from .capabilities import (
    BlockJacobian,
    HessianProducts,
    MatrixFree,
    Products,
    Subsets,
    TwiceDifferentiable,
    demand,
)
from .damped import DampedDescent
from .first_order import FirstOrder
from .gauss_newton import GaussNewton
from .gauss_newton_block import GaussNewtonBlock
from .gauss_newton_cg import GaussNewtonCG
from .gauss_newton_nystrom import GaussNewtonNystrom
from .lbfgs import LBFGS
from .levenberg_marquardt import LevenbergMarquardt
from .line_search import LineSearch, Outcome, backtracking, grid_search, strong_wolfe
from .muon import Muon
from .nncg import NysNewtonCG
from .objective import NEVER, Objective, Optimizer, Scheduled, State, Status, Step
from .psgd import PSGD
from .shampoo import Shampoo
from .soap import SOAP
from .stochastic_gauss_newton import StochasticGaussNewton

__all__ = [
    "LBFGS",
    "NEVER",
    "PSGD",
    "SOAP",
    "Adam",
    "Auto",
    "BlockJacobian",
    "DampedDescent",
    "FirstOrder",
    "GaussNewton",
    "GaussNewtonBlock",
    "GaussNewtonCG",
    "GaussNewtonNystrom",
    "HessianProducts",
    "LevenbergMarquardt",
    "LineSearch",
    "MatrixFree",
    "Muon",
    "NysNewtonCG",
    "Objective",
    "Optimizer",
    "Outcome",
    "Products",
    "Scheduled",
    "SelfScaledBroyden",
    "Shampoo",
    "State",
    "Status",
    "Step",
    "StochasticGaussNewton",
    "Subsets",
    "TwiceDifferentiable",
    "backtracking",
    "demand",
    "grid_search",
    "strong_wolfe",
]
