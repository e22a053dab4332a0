"""Operations in place: the result takes the place of the jet's coefficients, and no tensor is overwritten."""

from __future__ import annotations

from typing import Any

import torch

from ...errors import JetRuleError
from ..jet import Jet

__all__ = ["given_back", "overwrite"]


def given_back(x: Jet, y: Jet, inplace: bool) -> Jet:
    """Return the result, which is x itself if it is wanted in place."""
    return overwrite(x, y) if inplace else y


def overwrite(x: Any, y: Any) -> Jet:
    """Put a result, a jet or a constant, in place of a jet.

    Raises:
        JetRuleError: If x is a plain tensor, which has no room for coefficients, or a view of another jet, which would
            not see the change.
    """
    if not isinstance(x, Jet):
        raise JetRuleError(
            "a plain tensor cannot take in a jet in place; start from x.new_zeros(...) or torch.zeros_like(x) of a jet "
            "x, or use the operation that returns its result, such as index_add for index_add_"
        )
    tensor = x.primal if x.stack is None else x.stack
    if not torch.compiler.is_compiling() and tensor._is_view():
        raise JetRuleError(
            "an operation in place on a view of a jet would not reach the jet itself; use the one that returns its "
            "result, as in y = torch.relu(y), or clone() the view first"
        )
    if y.shape != x.shape:
        raise JetRuleError(f"a result of shape {tuple(y.shape)} does not fit in place of one of shape {tuple(x.shape)}")
    y = y if isinstance(y, Jet) else Jet([y, *(None,) * x.order], x.layout)
    y = y if y.dtype == x.dtype else y.to(x.dtype)
    x._coefficients, x.stack = y._coefficients, y.stack
    return x
