"""Conditions on parts of a domain (soft), and ansatz and embeddings that impose them exactly (hard)."""

from .conditions import (
    Condition,
    Dirichlet,
    Draw,
    Initial,
    Integral,
    Neumann,
    Observations,
    On,
    Periodic,
    Robin,
)

__all__ = [
    "Condition",
    "Dirichlet",
    "Draw",
    "Initial",
    "Integral",
    "Neumann",
    "Observations",
    "On",
    "Periodic",
    "Robin",
]
