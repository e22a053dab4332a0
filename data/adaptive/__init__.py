"""Adaptive sampling: more points where a score, usually the residual, is large."""

from __future__ import annotations

from .growth import RARD
from .importance import Importance
from .rad import RAD
from .renewal import Fresh, Renewal, Score, Uniformly
from .retention import R3

__all__ = ["R3", "RAD", "RARD", "Fresh", "Importance", "Renewal", "Score", "Uniformly"]
