"""The Taylor core: jets, function rules, derivative plans and collapsed operators.

Imports torch and nothing else of kjet beyond errors and types, and can be used by itself.
"""

from . import _elementwise, _normalise, _products, _structure, reference  # noqa: F401  (importing registers the rules)
from .api import Exact, biharmonic, contract, jet, laplacian, partials
from .jet import Jet, rule, rules
from .layout import Layout
from .operator import Biharmonic, Laplacian, LinearOperator, Operator
from .plan import Plan, Quantity, quantity

__all__ = [
    "Biharmonic",
    "Exact",
    "Jet",
    "Laplacian",
    "Layout",
    "LinearOperator",
    "Operator",
    "Plan",
    "Quantity",
    "biharmonic",
    "contract",
    "jet",
    "laplacian",
    "partials",
    "quantity",
    "reference",
    "rule",
    "rules",
]
