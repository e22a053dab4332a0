"""Products with the Jacobian of the residuals and the Hessian of the loss, neither of which is formed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..typing import Float, Tensor
from .model import Model

__all__ = ["HessianOfLoss", "JacobianOfResidual"]


class _Graph:
    """A graph over the parameters of a model at one point, differentiated any number of times.

    The model may be evaluated at other parameters in between: layers keep no copies of theirs, so the point is loaded
    again before each use. Vectors go one by one where the graph computes parts of itself again in its backward pass,
    else all at once under vmap.
    """

    def __init__(self, model: Model, theta: Tensor, batched: bool) -> None:
        self._model, self._theta, self._batched = model, theta.clone(), batched

    def _differentiate(self, outputs: Tensor, inputs: Sequence[Tensor], vectors: Tensor) -> Float[Tensor, "*b q"]:
        """Return ``vectors^T d outputs / d inputs``, flat."""
        self._model.load_flat(self._theta)
        options: dict[str, Any] = {"retain_graph": True, "materialize_grads": True}
        if vectors.ndim == 1:
            return _flat(torch.autograd.grad(outputs, inputs, vectors, **options), 0)
        rows = vectors.reshape(-1, vectors.shape[-1])
        if self._batched:
            found = _flat(torch.autograd.grad(outputs, inputs, rows, is_grads_batched=True, **options), 1)
        else:
            found = torch.stack([_flat(torch.autograd.grad(outputs, inputs, row, **options), 0) for row in rows])
        return found.reshape(*vectors.shape[:-1], -1)


class JacobianOfResidual(_Graph):
    """``J v`` and ``J^T z`` at one point.

    ``J^T z`` is one backward pass. It is linear in ``z``, so the gradient of ``v . J^T z`` with respect to ``z`` is
    ``J v``: one backward pass through the graph of the first, made once.

    Args:
        model: The network and the unknowns, at the point.
        theta: The point.
        residual: Residual with its graph.
        batched: Whether the graph can be differentiated under vmap.

    Cost: each product some two to three times that of the residual; the graph is kept as long as the object.
    """

    def __init__(self, model: Model, theta: Float[Tensor, " p"], residual: Float[Tensor, " r"], batched: bool) -> None:
        super().__init__(model, theta, batched)
        self._graph = residual
        self._transposed: tuple[Tensor, Tensor] | None = None

    @property
    def residual(self) -> Float[Tensor, " r"]:
        """The scaled residual."""
        return self._graph.detach()

    def vjp(self, z: Float[Tensor, "*b r"]) -> Float[Tensor, "*b p"]:
        """Return ``J^T z``."""
        return self._differentiate(self._graph, self._model.trainable(), z)

    def jvp(self, v: Float[Tensor, "*b p"]) -> Float[Tensor, "*b r"]:
        """Return ``J v``."""
        if self._transposed is None:
            self._model.load_flat(self._theta)
            z = torch.zeros_like(self._graph, requires_grad=True)
            parts = torch.autograd.grad(
                self._graph, self._model.trainable(), z, create_graph=True, materialize_grads=True
            )
            self._transposed = z, _flat(parts, 0)
        z, transposed = self._transposed
        return self._differentiate(transposed, [z], v)


class HessianOfLoss(_Graph):
    """Gradient of the loss and ``H v`` at one point: a backward pass through the graph of the gradient.

    Args:
        model: The network and the unknowns, at the point.
        theta: The point.
        loss: Loss with its graph.
        batched: Whether the graph can be differentiated under vmap.

    Cost: each product some three to four gradients; the graph is kept as long as the object.
    """

    def __init__(self, model: Model, theta: Float[Tensor, " p"], loss: Float[Tensor, ""], batched: bool) -> None:
        super().__init__(model, theta, batched)
        parts = torch.autograd.grad(loss, model.trainable(), create_graph=True, materialize_grads=True)
        self._graph = _flat(parts, 0)

    @property
    def gradient(self) -> Float[Tensor, " p"]:
        """Gradient of the loss."""
        return self._graph.detach()

    def hvp(self, v: Float[Tensor, "*b p"]) -> Float[Tensor, "*b p"]:
        """Return ``H v``."""
        return self._differentiate(self._graph, self._model.trainable(), v)


def _flat(parts: Sequence[Tensor], batch: int) -> Tensor:
    return torch.cat([part.flatten(batch) if part.ndim > batch else part[..., None] for part in parts], -1)
