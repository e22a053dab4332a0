"""Shampoo: gradients of matrices whitened from both sides."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..typing import Float, Tensor
from .layered import LayerMethod, adam_direction, averaged
from .objective import State, tensor_of

__all__ = ["Shampoo"]


@dataclass(frozen=True)
class Shampoo(LayerMethod):
    """Directions ``L^-1/4 M R^-1/4`` for each matrix, with ``L = E[G G^T]``, ``R = E[G^T G]`` and the momentum ``M``.

    Their length is that of Adam's direction for the same matrix (grafting), so that rates are Adam's. Vectors take
    Adam. :class:`kjet.optim.SOAP`, Adam in the eigenbasis of ``L`` and ``R``, descends from this and is mostly better.

    (Of pytorch_optimizer's two, one mixes preconditioned directions into the gradients of its statistics as soon as it
    has momentum and takes plain gradient steps for numbers; the other keeps objects in its state that no file holds.)

    Attributes:
        learning_rate: Rate of the first step; see :class:`FirstOrder` for it and its schedule.
        adam_rate: Rate of vectors at the first step; None for the same.
        betas: Decay of the momentum, and of Adam's second moment.
        eps: Added to the root of the second moment.
        memory: Decay of ``L`` and ``R``.
        every: Steps from one computation of the roots to the next.
        max_size: Sides that are longer are not whitened.

    Raises:
        ConfigError: If a value is out of range.

    Cost: one gradient, O((a + b) a b) for each a x b matrix, and every `every` steps O(a^3 + b^3).

    Ref: Gupta, Koren, Singer, *Shampoo: preconditioned stochastic tensor optimization*, 2018, algorithm 1; Anil et al.,
    *Scalable second order optimization for deep learning*, 2020, for averages and grafting.

    >>> Shampoo(every=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: Shampoo: every = 0; expected a positive integer. Use 10.
    """

    learning_rate: float = 3e-3
    memory: float = 0.95
    every: int = 10
    max_size: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.memory < 1, "memory", "a number in [0, 1)", "Use 0.95.")
        self._require(self.every >= 1, "every", "a positive integer", "Use 10.")
        self._require(self.max_size >= 1, "max_size", "a positive integer", "Use 512.")

    def _direction(self, name: str, gradient: Float[Tensor, "a b"], state: State) -> Float[Tensor, "a b"]:
        graft = adam_direction(f"{name}.", gradient, state, self.betas, self.eps)
        direction = tensor_of(state, f"{name}.first")
        for side, rows in (("left", gradient), ("right", gradient.T)):
            if len(rows) > self.max_size:
                continue
            average = averaged(f"{name}.{side}", rows @ rows.T, state, self.memory)
            if f"{name}.{side}_root" not in state or int(state["steps"]) % self.every == 0:
                state[f"{name}.{side}_root"] = _inverse_fourth_root(average)
            root = tensor_of(state, f"{name}.{side}_root")
            direction = root @ direction if side == "left" else direction @ root
        size = direction.norm()
        return direction * (graft.norm() / size.where(size > 0, 1.0))


def _inverse_fourth_root(matrix: Float[Tensor, "a a"]) -> Float[Tensor, "a a"]:
    values, vectors = torch.linalg.eigh(matrix.to(torch.float32 if matrix.device.type == "mps" else torch.float64))
    # Directions that no gradient had yet are raised no more than a thousandfold beyond the largest.
    least = (1e-12 * values[-1]).clamp(min=torch.finfo(values.dtype).tiny)
    root = (vectors * values.clamp(min=least).pow(-0.25)) @ vectors.T
    return root.to(matrix.dtype).contiguous()
