"""Equations: residuals over named fields, recorded into derivative plans."""

from .calculus import bilap, curl, d, div, dt, grad, lap
from .equation import Equation, Parameters, record
from .expression import Data, Expression, Field, Frame, Vector
from .parameter import Unknown
from .recording import Recorded, Values

__all__ = [
    "Data", "Equation", "Expression", "Field", "Frame", "Parameters", "Recorded", "Unknown", "Values", "Vector",
    "bilap", "curl", "d", "div", "dt", "grad", "lap", "record",
]  # fmt: skip
