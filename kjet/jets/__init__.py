"""The Taylor core: jets, function rules, derivative plans and collapsed operators.

Imports torch and nothing else of kjet beyond errors and types, and can be used by itself.
"""

from . import (  # noqa: F401  (importing registers the rules)
    _activations,
    _arithmetic,
    _attention,
    _elementwise,
    _linalg,
    _methods,
    _normalise,
    _pieces,
    _piecewise,
    _power,
    _products,
    _recurrent,
    _scatter,
    _select,
    _shapes,
    _special,
    _structure,
    reference,
)
from .api import Exact, biharmonic, contract, jet, laplacian, partials
from .curves import unique_sparse_tangent
from .derivative import Derivative, Quantity, SparseIndex, Trace, quantity
from .diagnose import Finding, diagnose, watch
from .estimators import STDE, Auto, ControlVariate, EstimatorError, Hutchinson, Weighted
from .jet import Jet, rule, rules
from .layout import Layout
from .operator import Biharmonic, Laplacian, LinearOperator, Operator
from .plan import Plan
from .seeds import OneHot, PerPoint, Seeds, Shared

__all__ = [
    "STDE",
    "Auto",
    "Biharmonic",
    "ControlVariate",
    "Derivative",
    "EstimatorError",
    "Exact",
    "Finding",
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
