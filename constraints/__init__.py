"""Conditions on parts of a domain (soft), and ansatz and embeddings that impose them exactly (hard)."""

from .ansatz import Ansatz, DirichletAnsatz, InitialAnsatz
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
from .periodic import PeriodicEmbedding

__all__ = [
    "Ansatz",
    "Condition",
    "Dirichlet",
    "DirichletAnsatz",
    "Draw",
    "Initial",
    "InitialAnsatz",
    "Integral",
    "Neumann",
    "Observations",
    "On",
    "Periodic",
    "PeriodicEmbedding",
    "Robin",
]
