"""Balancing the terms of a loss: weights for terms, points and times, and directions that serve all terms."""

from __future__ import annotations

from .annealing import GradientNorm, LearningRateAnnealing
from .causal import Causal, causal_weights, slice_means, time_slices
from .conflict_free import ConFIG, MomentumConFIG, conflict_free
from .ntk import NTK, ntk_traces
from .point_weights import SelfAdaptive
from .protocol import Balance, Balanced, Evidence
from .relobralo import ReLoBRaLo
from .softadapt import SoftAdapt
from .upgrad import UPGrad, unconflicting_projection

__all__ = [
    "NTK",
    "Balance",
    "Balanced",
    "Causal",
    "ConFIG",
    "Evidence",
    "GradientNorm",
    "LearningRateAnnealing",
    "MomentumConFIG",
    "ReLoBRaLo",
    "SelfAdaptive",
    "SoftAdapt",
    "UPGrad",
    "causal_weights",
    "conflict_free",
    "ntk_traces",
    "slice_means",
    "time_slices",
    "unconflicting_projection",
]
