"""Estimators: random directions whose mean is a sum over many coordinates, each unbiased or refused with the reason."""

from .auto import Auto, Choice
from .base import Estimator, EstimatorError, Family, Stratum
from .control import ControlVariate, Known, Quadratic, Surrogate
from .hutchinson import Hutchinson
from .loss import Bias, bias_report, squared_loss, two_sample_loss
from .stde import STDE
from .variance import (
    fourth_gaussian,
    fourth_rademacher,
    fourth_sparse,
    fourth_sphere,
    variance_gaussian,
    variance_rademacher,
    variance_sparse,
    variance_sphere,
)
from .weighted import Weighted

__all__ = [
    "STDE",
    "Auto",
    "Bias",
    "Choice",
    "ControlVariate",
    "Estimator",
    "EstimatorError",
    "Family",
    "Hutchinson",
    "Known",
    "Quadratic",
    "Stratum",
    "Surrogate",
    "Weighted",
    "bias_report",
    "fourth_gaussian",
    "fourth_rademacher",
    "fourth_sparse",
    "fourth_sphere",
    "squared_loss",
    "two_sample_loss",
    "variance_gaussian",
    "variance_rademacher",
    "variance_sparse",
    "variance_sphere",
]
