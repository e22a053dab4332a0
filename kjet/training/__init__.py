"""Training: from a problem to a solution, with everything that happens on the way written down."""

from .causality import Causality, causality
from .chunking import ChunkedGradient
from .curriculum import GeometricCurriculum, LinearCurriculum
from .estimation import AutoEstimatorConfig, ExactConfig, HutchinsonConfig, STDEConfig
from .loading import load
from .loop import Trainer
from .model import Model
from .nondimensional import DimensionlessProblem, nondimensional
from .objective import ResidualObjective, Term
from .settings import ConstraintConfig, SamplerConfig, TrainerConfig
from .sharding import ShardedObjective
from .solution import Solution
from .solve import solve
from .uncertainty import Ensemble, conformal, ensemble, laplace, load_ensemble

__all__ = [
    "AutoEstimatorConfig",
    "Causality",
    "ChunkedGradient",
    "ConstraintConfig",
    "DimensionlessProblem",
    "Ensemble",
    "ExactConfig",
    "GeometricCurriculum",
    "HutchinsonConfig",
    "LinearCurriculum",
    "Model",
    "ResidualObjective",
    "STDEConfig",
    "SamplerConfig",
    "ShardedObjective",
    "Solution",
    "Term",
    "Trainer",
    "TrainerConfig",
    "causality",
    "conformal",
    "ensemble",
    "laplace",
    "load",
    "load_ensemble",
    "nondimensional",
    "solve",
]
