"""Sums of many expressions."""

from __future__ import annotations

from collections.abc import Sequence

from .expression import Expression

__all__ = ["balanced"]


def balanced(terms: Sequence[Expression]) -> Expression:
    """Add expressions in pairs, which keeps the depth of the graph, and of what walks it, at ``log2`` of their number.

    >>> from kjet.pde import Parameters
    >>> from kjet.pde.frame import Frame
    >>> p = Parameters(Frame(("x", "y", "z"), ("u",)))
    >>> balanced([p.x, p.y, p.z])
    x + y + z
    """
    while len(terms) > 1:
        terms = [terms[i] + terms[i + 1] if i + 1 < len(terms) else terms[i] for i in range(0, len(terms), 2)]
    return terms[0]
