"""Jets whose directions stay symbolic, and the rules that keep them so; importing this package registers the rules."""

from . import elementwise, layers, reductions, windows  # noqa: F401
from .blocks import Span
from .kinds import OneHot, PerPoint, Seeds, Shared, check_vectors
from .scaled import ScaledAxes
from .stacked import Stacked
from .structured import Structured, begin

__all__ = [
    "OneHot",
    "PerPoint",
    "ScaledAxes",
    "Seeds",
    "Shared",
    "Span",
    "Stacked",
    "Structured",
    "begin",
    "check_vectors",
]
