"""Gauss-Newton layer by layer, for networks whose whole system is too large."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from ..typing import Float, Tensor
from .capabilities import BlockJacobian, demand
from .damped import loss_at
from .gauss_newton import GaussNewton
from .gram import Space
from .library import shapes_of
from .objective import Objective, State, Status, Step, require
from .progress import stopped, track

__all__ = ["GaussNewtonBlock", "blocks_of"]


@dataclass(frozen=True, kw_only=True)
class GaussNewtonBlock:
    """Sweeps of Gauss-Newton steps over the layers of a network, the others held fixed.

    A step is one sweep in the manner of Gauss and Seidel: for each layer a damped Gauss-Newton step with a line search
    on the residual as the layers before have left it, solved exactly in the smaller of residual and parameter space.
    Each layer has a damping of its own. The loss never rises. Layers come from the objective's ``shapes``; without them
    there is one, and the method is :class:`kjet.optim.GaussNewton`.

    It forgets how layers act together, and so needs more steps than Gauss-Newton on the whole; its largest matrices are
    those of one layer, and an objective that differentiates by one layer alone never holds another's Jacobian.

    Attributes:
        damping: Relative damping of the first step of each layer.
        damping_floor: Least damping.
        largest: Most parameters of a block; a layer with more is divided, by rows of its weight.
        space: ``"residual"``, ``"parameter"`` or ``"auto"``, the smaller.
        halvings: Shortest step tried is ``2^-halvings``.
        tolerance: Relative decrease of a sweep that counts as progress.
        patience: Sweeps in a row without progress before the status is ``STALLED``.

    Raises:
        ConfigError: If a value is out of range.

    Cost: for each block of q parameters one Jacobian of ``r q`` numbers, ``r q min(r, q)``, ``min(r, q)^3 / 3`` and
    some five losses.

    Ref: Nocedal and Wright, *Numerical Optimization*, 2006, section 9.3 for coordinate descent by blocks, 10.3 for the
    steps.

    >>> GaussNewtonBlock(largest=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: GaussNewtonBlock: largest = 0; expected a positive integer. Use 5000.
    """

    damping: float = 1e-5
    damping_floor: float = 1e-12
    largest: int = 5000
    space: Space = "auto"
    halvings: int = 20
    tolerance: float = 1e-10
    patience: int = 10

    def __post_init__(self) -> None:
        name = type(self).__name__
        require(self.largest >= 1, name, "largest", self.largest, "a positive integer", "Use 5000.")
        require(self.damping > 0, name, "damping", self.damping, "a positive number", "Start from 1e-5.")
        floor = self.damping_floor
        require(0 < floor <= self.damping, name, "damping_floor", floor, "a number in (0, damping]", "Use 1e-12.")
        spaces = ("auto", "residual", "parameter")
        require(self.space in spaces, name, "space", self.space, f"one of {', '.join(spaces)}", 'Use "auto".')
        require(0 <= self.halvings <= 50, name, "halvings", self.halvings, "an integer from 0 to 50", "Use 20.")
        require(self.tolerance >= 0, name, "tolerance", self.tolerance, "a number from 0", "Use 1e-10.")
        require(self.patience >= 1, name, "patience", self.patience, "a positive integer", "Use 10.")

    @property
    def inner(self) -> GaussNewton:
        """The method of one block."""
        return GaussNewton(
            damping=self.damping, damping_floor=self.damping_floor, space=self.space, halvings=self.halvings,
            tolerance=self.tolerance,
        )  # fmt: skip

    def init(self, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step; the blocks are found there."""
        return {"steps": 0, "slow": 0, "damping": self.damping}

    def resample_every(self, state: State) -> int:
        """Draw points anew every 10 sweeps."""
        return 10

    def refresh(self, state: State) -> State:
        """Drop the cached loss; keep the dampings."""
        return {key: value for key, value in state.items() if key != "loss"} | {"slow": 0}

    def step(self, objective: Objective, theta: Float[Tensor, " p"], state: State) -> Step:
        """Sweep over all blocks once.

        Raises:
            ConfigError: If the objective has no residual vector.
            DivergenceError: If the residual, a Jacobian or the loss is not finite.
        """
        demand(objective, type(self).__name__)
        blocks = blocks_of(shapes_of(objective, theta), self.largest)
        inner, state, whole = self.inner, state.copy(), theta.clone()
        before, evaluations = loss_at(objective, theta, state)
        loss, moved, failed = before, 0, 0
        for i, (first, last) in enumerate(blocks):
            own: State = {"damping": float(state.get(f"damping.{i}", self.damping)), "steps": 0, "slow": 0}
            done = inner.step(_Block(objective, whole.clone(), first, last), whole[first:last], own | {"loss": loss})
            evaluations += done.evaluations
            state[f"damping.{i}"] = float(done.state["damping"])
            failed += done.status is Status.FAILED
            if done.loss < loss:
                whole[first:last], loss = done.theta, done.loss
                moved += 1
        state |= {"loss": loss, "damping": max(float(state[f"damping.{i}"]) for i in range(len(blocks)))}
        info = {"blocks": float(len(blocks)), "moved": float(moved), "damping": float(state["damping"])}
        if moved == 0:
            status, reason = stopped(theta.dtype, "no block lowers the loss", evaluable=failed < len(blocks))
            return Step(theta, before, state, status, evaluations, info, reason)
        state["steps"] = int(state["steps"]) + 1
        status, reason = track(state, before, loss, theta.dtype, self.tolerance, self.patience)
        return Step(whole, loss, state, status, evaluations, info, reason)


def blocks_of(shapes: tuple[torch.Size, ...], largest: int) -> list[tuple[int, int]]:
    """Divide the flat vector by layers: a weight and the vectors that follow it; where these are too large, by rows.

    >>> blocks_of((torch.Size((3, 2)), torch.Size((3,)), torch.Size((1, 3)), torch.Size((1,))), largest=100)
    [(0, 9), (9, 13)]
    >>> blocks_of((torch.Size((3, 2)), torch.Size((3,))), largest=4)
    [(0, 4), (4, 6), (6, 9)]
    """
    layers: list[list[torch.Size]] = []
    for shape in shapes:
        if len(shape) >= 2 or not layers:
            layers.append([])
        layers[-1].append(shape)
    blocks, start = [], 0
    for layer in layers:
        pieces = [layer] if sum(s.numel() for s in layer) <= largest else [[shape] for shape in layer]
        for piece in pieces:
            size, row = sum(s.numel() for s in piece), math.prod(piece[0][1:])
            # whole rows as far as they fit
            step = size if size <= largest else max(largest // row, 1) * row if row <= largest else largest
            blocks += [(start + at, start + min(at + step, size)) for at in range(0, size, step)]
            start += size
    return blocks


@dataclass(frozen=True)
class _Block:
    """An objective of the entries ``first`` to ``last - 1`` alone."""

    objective: Any
    whole: Tensor
    first: int
    last: int

    def _filled(self, part: Tensor) -> Tensor:
        theta = self.whole.clone()
        theta[self.first : self.last] = part
        return theta

    def loss(self, part: Tensor) -> Tensor:
        return self.objective.loss(self._filled(part))

    def residual(self, part: Tensor) -> Tensor:
        return self.objective.residual(self._filled(part))

    def value_and_gradient(self, part: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = self.objective.value_and_gradient(self._filled(part))
        return value, gradient[self.first : self.last]

    def residual_and_jacobian(self, part: Tensor) -> tuple[Tensor, Tensor]:
        theta = self._filled(part)
        if isinstance(self.objective, BlockJacobian):
            return self.objective.residual_and_columns(theta, self.first, self.last)
        residual, jacobian = self.objective.residual_and_jacobian(theta)
        return residual, jacobian[:, self.first : self.last]
