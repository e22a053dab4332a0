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
from .interface import ByRegion, Interface, by_region
from .matching import Flux, Match, NormalDerivatives, RegionResidual
from .periodic import PeriodicEmbedding

__all__ = [
    "Ansatz",
    "ByRegion",
    "Condition",
    "Dirichlet",
    "DirichletAnsatz",
    "Draw",
    "Flux",
    "Initial",
    "InitialAnsatz",
    "Integral",
    "Interface",
    "Match",
    "Neumann",
    "NormalDerivatives",
    "Observations",
    "On",
    "Periodic",
    "PeriodicEmbedding",
    "RegionResidual",
    "Robin",
    "by_region",
]
