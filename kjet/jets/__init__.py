"""The Taylor core: jets, function rules, derivative plans and collapsed operators.

Imports torch and nothing else of kjet beyond errors and types, and can be used by itself.
"""

from . import ops, reference  # noqa: F401  (importing the operations registers their rules)
from ._registry import rule, rules
from .api import Exact, biharmonic, contract, jet, laplacian, partials
from .curves import unique_sparse_tangent
from .derivative import Derivative, Quantity, SparseIndex, Trace, quantity
from .diagnose import Finding, diagnose, watch
from .estimators import STDE, Auto, ControlVariate, EstimatorError, Hutchinson, Weighted
from .jet import Jet
from .layout import Layout
from .operator import Biharmonic, Laplacian, LinearOperator, Operator
from .plan import Plan
from .seeds import OneHot, PerPoint, Seeds, Shared
from .traces import GradientProducts
from .varying import Varying

__all__ = [
    "STDE",
    "Auto",
    "Biharmonic",
    "ControlVariate",
    "Derivative",
    "EstimatorError",
    "Exact",
    "Finding",
    "GradientProducts",
    "Hutchinson",
    "Jet",
    "Laplacian",
    "Layout",
    "LinearOperator",
    "OneHot",
    "Operator",
    "PerPoint",
    "Plan",
    "Quantity",
    "Seeds",
    "Shared",
    "SparseIndex",
    "Trace",
    "Varying",
    "Weighted",
    "biharmonic",
    "contract",
    "diagnose",
    "jet",
    "laplacian",
    "partials",
    "quantity",
    "reference",
    "rule",
    "rules",
    "unique_sparse_tangent",
    "watch",
]
