"""Weights of time slices that count only once the earlier ones are fitted."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch

from ...errors import ConfigError
from ...typing import Float, Int, Tensor
from ..objective import State, require, require_finite

__all__ = ["Causal", "causal_weights", "slice_means", "time_slices"]


def time_slices(times: Float[Tensor, " n"], start: float, end: float, count: int) -> Int[Tensor, " n"]:
    """Return for each point its slice, from 0, of equal slices of time.

    Raises:
        ConfigError: If the interval is empty or the count below 1.

    >>> time_slices(torch.tensor([0.0, 0.9, 1.1, 2.0]), 0.0, 2.0, 2)
    tensor([0, 0, 1, 1])
    """
    if not (start < end and count >= 1):
        raise ConfigError(f"{count} slices of the time from {start} to {end}; expected at least one, and start < end")
    return ((times.detach() - start) * (count / (end - start))).floor().long().clamp(0, count - 1)


def slice_means(residual: Float[Tensor, " n"], slices: Int[Tensor, " n"], count: int) -> Float[Tensor, " t"]:
    """Return the mean squared residual of each slice; zero where it has no points.

    >>> slice_means(torch.tensor([1.0, 3.0, 2.0]), torch.tensor([0, 0, 2]), 3)
    tensor([5., 0., 4.])
    """
    squares = residual.detach().square()
    sums = torch.zeros(count, dtype=squares.dtype, device=squares.device).index_add(0, slices, squares)
    return sums / torch.bincount(slices, minlength=count).clamp(min=1)


def causal_weights(losses: Float[Tensor, " t"], eps: float) -> Float[Tensor, " t"]:
    """Weigh time slices: ``w_i = exp(-eps sum_{j<i} L_j)``, without a graph.

    Args:
        losses: Mean squared residual of each slice, in order of time; with the initial condition in front, if it is a
            residual.
        eps: Strictness, over the unit of the losses.

    Raises:
        ConfigError: If `eps` is negative.

    Ref: Wang, Sankaran, Perdikaris, *Respecting causality for training physics-informed neural networks*, 2024, eq.
    (3.9).

    >>> causal_weights(torch.tensor([1.0, 0.0, 2.0]), 1.0)
    tensor([1.0000, 0.3679, 0.3679])
    """
    if not eps >= 0:
        raise ConfigError(f"causal_weights: eps = {eps}; expected a number from 0")
    before = torch.cat([losses.new_zeros(1), losses.detach()[:-1].cumsum(0)])
    return torch.exp(-eps * before)


@dataclass(frozen=True)
class Causal:
    """Causal weights that grow stricter: with each `eps` in turn, until all slices weigh more than `threshold`.

    Once they do with the last one, training may stop: all times are fitted. This is a rule for the slices of one
    term; a problem of one slice, or without time, has nothing to order.

    Attributes:
        eps: Strictness in its order.
        threshold: The least weight at which a strictness has done its work.
        slices: Slices of time into which a run divides the points of its equation.

    Raises:
        ConfigError: If a value is out of range.

    Cost: O(t) for each step.

    Ref: Wang, Sankaran, Perdikaris, *Respecting causality for training physics-informed neural networks*, 2024,
    algorithm 1.

    >>> rule = Causal(eps=(1.0, 10.0))
    >>> weights, state = rule.step(torch.tensor([1e-3, 1e-3]), rule.init(2))
    >>> weights, rule.strictness(state), rule.done(state)
    (tensor([1.0000, 0.9990]), 10.0, False)
    """

    eps: tuple[float, ...] = (1e-2, 1e-1, 1.0, 10.0, 100.0)
    threshold: float = 0.99
    slices: int = 16

    def __post_init__(self) -> None:
        rising = all(0 <= a < b < math.inf for a, b in itertools.pairwise((0.0, *self.eps)))
        require(
            bool(self.eps) and rising, "Causal", "eps", self.eps, "rising positive numbers", "Use (0.1, 1.0, 10.0)."
        )
        require(0 < self.threshold < 1, "Causal", "threshold", self.threshold, "a number in (0, 1)", "Use 0.99.")
        require(self.slices >= 2, "Causal", "slices", self.slices, "a whole number from 2", "Use 16.")

    def init(self, slices: int) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two slices.
        """
        if slices < 2:
            raise ConfigError(f"causal weights need at least two slices of time; got {slices}. Use 16 or so")
        return {"slices": slices, "place": 0, "done": False}

    def strictness(self, state: State) -> float:
        """Return the `eps` of the next step."""
        return self.eps[int(state["place"])]

    def done(self, state: State) -> bool:
        """Tell whether all slices were fitted, by the last `eps`, in the last step."""
        return bool(state["done"])

    def step(self, losses: Float[Tensor, " t"], state: State) -> tuple[Float[Tensor, " t"], State]:
        """Weigh the slices; return the weights and the new state.

        Args:
            losses: Mean squared residual of each slice, see :func:`slice_means`.
            state: Of as many slices.

        Raises:
            ConfigError: If there are other slices.
            DivergenceError: If losses are not finite.
        """
        if losses.shape != (int(state["slices"]),):
            raise ConfigError(f"Causal was started for {state['slices']} slices; got losses {tuple(losses.shape)}")
        require_finite("losses of time slices", losses)
        place = int(state["place"])
        weights = causal_weights(losses, self.eps[place])
        fitted = float(weights.min()) > self.threshold
        last = place == len(self.eps) - 1
        return weights, {**state, "place": place + (fitted and not last), "done": fitted and last}
