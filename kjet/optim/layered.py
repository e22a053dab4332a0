"""First-order methods that treat matrices as matrices: the parts of the flat vector, with Adam for all others."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor
from .first_order import FirstOrder
from .library import shapes_of
from .objective import Objective, State, tensor_of

__all__ = ["LayerMethod", "adam_direction"]


@dataclass(frozen=True)
class LayerMethod(FirstOrder):
    """A method with a rule for matrices; vectors, single rows, columns and numbers take Adam.

    The objective's ``shapes`` says how the flat vector is divided; without it there is one vector. Arrays of more than
    two dimensions are matrices with all but the first axis joined.

    What is kept of part 0 is in the state under names such as ``0.first``: tensors of the type of the parameters.

    Attributes:
        adam_rate: Rate of Adam, falling as the other does; None for `learning_rate`.
        betas: Decay of Adam's first and second moment.
        eps: Added to the root of the second moment.
    """

    adam_rate: float | None = None
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        rate = self.adam_rate
        self._require(rate is None or rate > 0, "adam_rate", "a positive number", "Use 3e-3.")
        valid = (
            isinstance(self.betas, tuple | list) and len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        )
        self._require(valid, "betas", "two numbers in [0, 1)", "Use (0.9, 0.95).")
        self._require(self.eps > 0, "eps", "a positive number", "Use 1e-8.")

    def _start(self, theta: Tensor) -> State:
        return {"parts": 0}

    def _update(self, theta: Tensor, gradient: Tensor, state: State, rate: float, objective: Objective) -> State:
        shapes = shapes_of(objective, theta)
        if state.get("parts") not in (0, len(shapes)):
            raise ConfigError(
                f"the optimizer state is of {state.get('parts', 'no')} parameters, the model has {len(shapes)}; it has "
                f"{', '.join(sorted(state))}. Pass the state that this optimizer's init or last step returned."
            )
        sizes, new = [shape.numel() for shape in shapes], state | {"parts": len(shapes)}
        other = rate if self.adam_rate is None else rate * self.adam_rate / self.learning_rate
        for i, (shape, part, slope) in enumerate(zip(shapes, theta.split(sizes), gradient.split(sizes), strict=True)):
            if _is_matrix(shape):
                rows = slope.view(shape[0], -1)
                part.view_as(rows).sub_(self._direction(str(i), rows, new), alpha=rate)
            else:
                part.sub_(adam_direction(f"{i}.", slope, new, self.betas, self.eps), alpha=other)
        return new

    @abstractmethod
    def _direction(self, name: str, gradient: Float[Tensor, "a b"], state: State) -> Float[Tensor, "a b"]:
        """Return the direction for a matrix, to be subtracted with the rate; keep what is needed in the state."""


def adam_direction(prefix: str, gradient: Tensor, state: State, betas: tuple[float, float], eps: float) -> Tensor:
    """Return Adam's direction ``m / (sqrt(v) + eps)`` with bias-corrected moments, which the state keeps.

    Args:
        prefix: Of the names ``first`` and ``second``.
        gradient: Gradient of the part.
        state: Moments and ``steps``, those taken so far; changed.
        betas: Decay of the moments.
        eps: Added to the root.

    Ref: Kingma and Ba, *Adam: a method for stochastic optimization*, 2015, algorithm 1.

    >>> adam_direction("", torch.tensor([3.0, -2.0]), {"steps": 0}, betas=(0.9, 0.99), eps=0.0)
    tensor([ 1., -1.])
    """
    k = int(state["steps"]) + 1
    first = averaged(f"{prefix}first", gradient, state, betas[0])
    second = averaged(f"{prefix}second", gradient.square(), state, betas[1])
    root = (second / (1.0 - betas[1] ** k)).sqrt()
    return (first / (1.0 - betas[0] ** k)) / (root + eps)


def averaged(name: str, value: Tensor, state: State, beta: float) -> Tensor:
    """Return the moving average of a value, from zero, which the state keeps under a name."""
    old = tensor_of(state, name) if name in state else torch.zeros_like(value)
    new = torch.lerp(old, value, 1.0 - beta)
    state[name] = new
    return new


def _is_matrix(shape: torch.Size) -> bool:
    return len(shape) >= 2 and min(shape[0], shape[1:].numel()) > 1
