"""Muon: momentum whose singular values are all made equal."""

from __future__ import annotations

from dataclasses import dataclass

from ..typing import Float, Tensor
from .layered import LayerMethod, averaged
from .objective import State

__all__ = ["Muon", "orthogonalized"]

# The quintic of Jordan et al. 2024: steep at zero, and between 0.7 and 1.2 on [0, 1] after five steps.
_QUINTIC = (3.4445, -4.7750, 2.0315)


@dataclass(frozen=True)
class Muon(LayerMethod):
    """Steps along the orthogonal factor of the averaged gradient of each weight matrix; vectors take Adam.

    ``M <- momentum M + (1 - momentum) G``; the direction is ``U V^T`` of ``U S V^T``, the singular value decomposition
    of ``momentum M + (1 - momentum) G``, times ``sqrt(max(1, rows / columns))``: every direction in a layer is learnt
    at the same speed. Five steps of a Newton-Schulz iteration give it with singular values between 0.7 and 1.2.

    That iteration is taken in the type of the parameters. (The one of pytorch_optimizer is always in bfloat16, whose
    rounding, 4e-3, is larger than the steps that a loss in float64 still resolves.)

    Attributes:
        learning_rate: Rate of matrices at the first step; see :class:`FirstOrder` for it and its schedule.
        adam_rate: Rate of vectors at the first step.
        betas: Decay of Adam's moments.
        eps: Added to the root of Adam's second moment.
        momentum: Memory of the averaged gradient.
        iterations: Steps of the Newton-Schulz iteration.

    Raises:
        ConfigError: If a value is out of range.

    Cost: one gradient and, for each a x b matrix, O(a b min(a, b)) for each step of the iteration.

    Ref: Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024.

    >>> Muon(momentum=1.0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: Muon: momentum = 1.0; expected a number in [0, 1). Use 0.95.
    """

    learning_rate: float = 1e-2
    adam_rate: float | None = 3e-3
    momentum: float = 0.95
    iterations: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(0 <= self.momentum < 1, "momentum", "a number in [0, 1)", "Use 0.95.")
        self._require(self.iterations >= 1, "iterations", "a positive integer", "Use 5.")

    def _direction(self, name: str, gradient: Float[Tensor, "a b"], state: State) -> Float[Tensor, "a b"]:
        average = averaged(f"{name}.momentum", gradient, state, self.momentum)
        ahead = self.momentum * average + (1.0 - self.momentum) * gradient
        rows, columns = gradient.shape
        return max(1.0, rows / columns) ** 0.5 * orthogonalized(ahead, self.iterations)


def orthogonalized(matrix: Float[Tensor, "a b"], iterations: int = 5) -> Float[Tensor, "a b"]:
    """Return about ``U V^T`` of a matrix ``U S V^T``: singular values between 0.7 and 1.2, but for those near zero.

    Ref: Jordan et al. 2024; Bernstein and Newhouse, *Old optimizer, new norm*, 2024.

    >>> import torch
    >>> orthogonalized(torch.zeros(2, 3))
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    size = wide.norm()
    X = wide / size.where(size > 0, 1.0)
    a, b, c = _QUINTIC
    for _ in range(iterations):
        S = X @ X.T
        X = a * X + (b * S + c * (S @ S)) @ X
    return X if wide is matrix else X.T
