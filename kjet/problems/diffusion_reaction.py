"""Diffusion with a source that keeps five modes alive."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..constraints import Dirichlet, Initial
from ..data import Interval, Time
from ..pde import Heat
from ..problem import Problem
from ..registry import register

_MODES = {1: 1.0, 2: 1 / 2, 3: 1 / 3, 4: 1 / 4, 8: 1 / 8}  # wave number: amplitude


def _solution(x: Any, t: Any) -> Any:
    return torch.exp(-t) * sum(size * torch.sin(k * x) for k, size in _MODES.items())


def _source(x: Any, t: Any) -> Any:
    return torch.exp(-t) * sum((k**2 - 1) * size * torch.sin(k * x) for k, size in _MODES.items() if k > 1)


@register("problem", "diffusion_reaction")
@dataclass(frozen=True)
class DiffusionReactionProblem:
    """``u_t = u_xx + f`` on [-pi, pi] x [0, 1], u = 0 at both ends.

    Reference: ``e^(-t) sum sin(k x) / k`` over k = 1, 2, 3, 4, 8, of which f is made.

    Ref: Lu, Meng, Mao, Karniadakis, *DeepXDE: a deep learning library for solving differential equations*, 2021.
    """

    def build(self) -> Problem:
        """Make the problem."""
        return Problem(
            name="diffusion_reaction",
            equation=Heat(source=_source),
            domain=Interval(-math.pi, math.pi) * Time(0.0, 1.0),
            conditions=[
                Initial(u=lambda x: _solution(x, 0.0 * x)),
                Dirichlet("left", u=0.0),
                Dirichlet("right", u=0.0),
            ],
            reference=_solution,
            points=1000,
            boundary_points=100,
            condition_weight=10.0,
            seconds=60.0,
        )
