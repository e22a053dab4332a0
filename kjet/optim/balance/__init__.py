"""Balancing the terms of a loss: weights for terms, points and times, and directions that serve all terms."""

from __future__ import annotations

from .annealing import GradNorm, LearningRateAnnealing
from .causal import Causal, causal_weights, slice_means, time_slices
from .conflict_free import ConFIG, MomentumConFIG, conflict_free
from .jacobian_descent import JacobianDescent, unconflicting_projection
from .method import BalancedMethod, LossTerms, Separable, Unbalanced, balanced
from .ntk import NTK, ntk_traces
from .point_weights import SelfAdaptive
from .protocol import Balance, Balanced, Evidence
from .relobralo import ReLoBRaLo
from .softadapt import SoftAdapt

__all__ = [
    "NTK",
    "Balance",
    "Balanced",
    "BalancedMethod",
    "Causal",
    "ConFIG",
    "Evidence",
    "GradNorm",
    "JacobianDescent",
    "LearningRateAnnealing",
    "LossTerms",
    "MomentumConFIG",
    "ReLoBRaLo",
    "SelfAdaptive",
    "Separable",
    "SoftAdapt",
    "Unbalanced",
    "balanced",
    "causal_weights",
    "conflict_free",
    "ntk_traces",
    "slice_means",
    "time_slices",
    "unconflicting_projection",
]
