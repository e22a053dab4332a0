"""What rules for jets are written with.

- :func:`compose`: a function whose derivatives at a number are known.
- :func:`compose_with_slope`, :func:`compose_with_slopes`: a function of one or several arguments, whose slope is made
  of functions with rules.
- :func:`linear`, :func:`rowwise`, :func:`jointly`: operations that are linear in one jet, or in several together.
- :func:`bilinear`, :func:`multilinear`: products.
- :func:`convolve`: one coefficient of a product, for what fits none of these.
"""

from __future__ import annotations

from ._linear import bilinear, jointly, multilinear, rowwise
from ._series import Coefficient, compose, compose_with_slope, compose_with_slopes, convolve, linear

__all__ = [
    "Coefficient",
    "bilinear",
    "compose",
    "compose_with_slope",
    "compose_with_slopes",
    "convolve",
    "jointly",
    "linear",
    "multilinear",
    "rowwise",
]
