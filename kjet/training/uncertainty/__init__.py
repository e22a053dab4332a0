"""How far a solution may be off: ensembles, Laplace approximations, conformal intervals."""

from .conformal import Conformal, conformal
from .ensemble import Ensemble, ensemble, load_ensemble
from .laplace import Laplace, laplace
from .prediction import Interval, Prediction

__all__ = [
    "Conformal", "Ensemble", "Interval", "Laplace", "Prediction", "conformal", "ensemble", "laplace", "load_ensemble",
]  # fmt: skip
