"""PSGD: a preconditioner of two triangular factors for each matrix, fitted step by step."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..typing import Float, Tensor
from .layered import LayerMethod, averaged
from .objective import State, tensor_of

__all__ = ["PSGD"]

_LARGEST_STEP = 1.1
_BALANCE = 100  # steps between two balances of the factors


@dataclass(frozen=True)
class PSGD(LayerMethod):
    """Directions ``Ql^T Ql M Qr^T Qr`` for each matrix, with triangular factors that whiten the momentum ``M``.

    The factors descend ``E |Q m|^2 + E |Q^-T v|^2`` over all random vectors ``v``, whose minimum makes the
    preconditioned gradients white, along a multiplicative gradient: no eigenvectors of averages. Vectors take Adam. The
    root of the mean square of a direction is limited to 1.1.

    The mean over ``v`` is taken in closed form, ``E[(Ql^-T V Qr^-1)(...)^T] = Ql^-T Ql^-1 |Qr^-1|_F^2``, so that no
    random number is drawn. (pytorch_optimizer's draws one ``v`` at each step from the generators of the process, those
    of torch and numpy, which a checkpoint does not hold.)

    Attributes:
        learning_rate: Rate of the first step; see :class:`FirstOrder` for it and its schedule.
        adam_rate: Rate of vectors at the first step; None for the same.
        betas: Decay of Adam's moments.
        eps: Added to the root of Adam's second moment.
        momentum: Memory of the averaged gradient.
        factor_rate: Relative step of the factors.
        max_size: Sides that are longer get a diagonal factor.

    Raises:
        ConfigError: If a value is out of range.

    Cost: one gradient and O((a + b) a b + a^3 + b^3) for each a x b matrix.

    Ref: Li, *Preconditioned stochastic gradient descent*, 2018; Pooladzandi and Li, *Curvature-informed SGD via general
    purpose Lie-group preconditioners*, 2024, for the whitening criterion and Kronecker factors.

    >>> PSGD(factor_rate=0.0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: PSGD: factor_rate = 0.0; expected a number in (0, 1). Use 0.1.
    """

    learning_rate: float = 1e-3
    momentum: float = 0.9
    factor_rate: float = 0.1
    max_size: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.momentum < 1, "momentum", "a number in [0, 1)", "Use 0.9.")
        self._require(0 < self.factor_rate < 1, "factor_rate", "a number in (0, 1)", "Use 0.1.")
        self._require(self.max_size >= 1, "max_size", "a positive integer", "Use 512.")

    def _direction(self, name: str, gradient: Float[Tensor, "a b"], state: State) -> Float[Tensor, "a b"]:
        k = int(state["steps"]) + 1
        average = averaged(f"{name}.momentum", gradient, state, self.momentum) / (1.0 - self.momentum**k)
        if not bool(average.any()):
            return average
        left, right = (self._factor(f"{name}.{side}", average, axis, state) for axis, side in enumerate(_SIDES))
        left, right = self._fitted(left, right, average)
        if k % _BALANCE == 0:
            ratio = (left.abs().max() / right.abs().max()).sqrt()
            left, right = left / ratio, right * ratio
        state |= {f"{name}.left": left, f"{name}.right": right}
        found = _times(_gram(left), _times(_gram(right), average.T).T)
        return found * (_LARGEST_STEP / found.square().mean().sqrt()).clamp(max=1.0)

    def _factor(self, name: str, average: Tensor, axis: int, state: State) -> Tensor:
        """Return a factor, upper triangular, or a vector for a diagonal one; at first a multiple of the identity."""
        if name in state:
            return tensor_of(state, name)
        # two factors c make a direction c^4 g, of mean square 1: the minimum of the criterion among multiples of it
        start = (average.square().mean() + torch.finfo(average.dtype).tiny) ** -0.125
        size = average.shape[axis]
        unit = torch.ones(size, dtype=average.dtype, device=average.device)
        return start * (unit if size > self.max_size else torch.diag(unit))

    def _fitted(self, left: Tensor, right: Tensor, average: Tensor) -> tuple[Tensor, Tensor]:
        """Take one multiplicative step of both factors."""
        white = _times(left, _times(right, average.T).T)
        inverse_left, inverse_right = _inverse(left), _inverse(right)
        found = []
        for factor, rows, own, other in (
            (left, white, inverse_left, inverse_right),
            (right, white.T, inverse_right, inverse_left),
        ):
            seen, expected = _outer(factor, rows), _gram(own) * other.square().sum()
            scale = _bound(seen + expected)
            change = (seen - expected) / scale
            found.append(factor - self.factor_rate * _times(change if factor.ndim == 1 else change.triu(), factor))
        return found[0], found[1]


_SIDES = ("left", "right")


def _times(factor: Tensor, matrix: Tensor) -> Tensor:
    """Multiply by a matrix, or by a diagonal one that is given as a vector."""
    if factor.ndim == 2:
        return factor @ matrix
    return factor * matrix if matrix.ndim == 1 else factor[:, None] * matrix


def _gram(factor: Tensor) -> Tensor:
    return factor.square() if factor.ndim == 1 else factor.T @ factor


def _outer(factor: Tensor, rows: Tensor) -> Tensor:
    return rows.square().sum(1) if factor.ndim == 1 else rows @ rows.T


def _inverse(factor: Tensor) -> Tensor:
    if factor.ndim == 1:
        return 1.0 / factor
    eye = torch.eye(len(factor), dtype=factor.dtype, device=factor.device)
    return torch.linalg.solve_triangular(factor, eye, upper=True)


def _bound(matrix: Tensor) -> Tensor:
    """Bound the largest eigenvalue of a positive semidefinite matrix by its largest sum of a row."""
    return matrix.abs().max() if matrix.ndim == 1 else matrix.abs().sum(1).max()
