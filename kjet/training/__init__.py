"""Training: from a problem to a solution, with everything that happens on the way written down."""

from .chunking import ChunkedGradient
from .estimation import AutoEstimatorConfig, ExactConfig, HutchinsonConfig, STDEConfig
from .loading import load
from .loop import Trainer
from .model import Model
from .objective import ResidualObjective, Term
from .settings import ConstraintConfig, SamplerConfig, TrainerConfig
from .solution import Solution
from .solve import solve

__all__ = [
    "AutoEstimatorConfig",
    "ChunkedGradient",
    "ConstraintConfig",
    "ExactConfig",
    "HutchinsonConfig",
    "Model",
    "ResidualObjective",
    "STDEConfig",
    "SamplerConfig",
    "Solution",
    "Term",
    "Trainer",
    "TrainerConfig",
    "load",
    "solve",
]
