"""The parabolic Sine-Gordon equation on the ball of any dimension."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..pde import SineGordon
from ..problem import Problem
from ..registry import register
from ._parabolic import ParabolicOptions, parabolic


@register("problem", "sine_gordon_parabolic_hd")
@dataclass(frozen=True)
class SineGordonParabolicHDProblem(ParabolicOptions):
    """``u_t = lap(u) + sin(u) + f`` on the unit ball, with initial values, and u = 0 on the sphere.

    Reference: ``exp(-t) (1 - |x|^2) g(x)`` with g after ``interaction``, see :func:`kjet.pde.ball_solution`; the source
    f is its own, by Taylor arithmetic on g and the product rule.
    """

    def build(self) -> Problem:
        """Make the problem."""
        return parabolic(self, "sine_gordon_parabolic_hd", SineGordon, torch.sin)
