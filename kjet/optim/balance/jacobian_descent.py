"""JacobianDescent: each gradient is freed of what conflicts with the others before they are averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...typing import Float, Tensor
from ..objective import State
from ._cone import project_on_dual_cone
from ._span import span_of
from .protocol import Balanced, Evidence, gradients_of, require_several

__all__ = ["JacobianDescent", "unconflicting_projection"]


def unconflicting_projection(
    gradients: Float[Tensor, "k p"],
) -> tuple[Float[Tensor, " p"], Float[Tensor, " k"]]:
    """Return the mean of the gradients, each projected on the dual cone of all, and its weights.

    The dual cone is where no loss rises to first order: ``{x: g_i . x >= 0 for all i}``. It is convex, so that the mean
    is in it, too, for any number of gradients. Where none conflict it is their mean. The direction is
    ``weights @ gradients`` with weights of at least ``1 / k``, which are not unique if gradients depend on each other.

    Cost: O(p k^2), and k least-squares problems with bounds of k unknowns, on the CPU.

    Ref: Quinton, Rey, *Jacobian descent for multi-objective optimization*, 2024, section 3.

    >>> direction, weights = unconflicting_projection(torch.tensor([[1.0, 0.0], [-1.0, 1.0]]))
    >>> direction, weights
    (tensor([0.2500, 0.7500]), tensor([1.0000, 0.7500]))
    """
    span = span_of(gradients)
    k = len(span.units)
    total, weights = torch.zeros_like(span.units[0]), torch.zeros_like(span.norms)
    for i, norm in enumerate(span.norms):
        if norm > 0:
            x, w = project_on_dual_cone(span.units, span.units[i])
            total += norm / k * x
            weights += torch.where(span.norms > 0, norm / k * w / span.norms, 0.0)
        weights[i] += 1 / k
    return span.vector(total, gradients), weights.to(gradients)


@dataclass(frozen=True)
class JacobianDescent:
    """Mean of the gradients after each has been projected where it conflicts with none.

    See :func:`unconflicting_projection`. It grows linearly with each gradient: a term of large gradients dominates the
    others, up to conflicts.

    Attributes:
        needs: ``gradients``.

    Cost: k gradients and O(p k^2) for each step.

    >>> rule, theta = JacobianDescent(), torch.zeros(2)
    >>> done = rule.step(Evidence(gradients=torch.tensor([[1.0, 0.0], [-1.0, 1.0]])), rule.init(2, theta))
    >>> done.direction
    tensor([0.2500, 0.7500])
    """

    needs: ClassVar[tuple[str, ...]] = ("gradients",)

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two terms.
        """
        require_several("JacobianDescent", k)
        return {"terms": k}

    def wanted(self, state: State) -> tuple[int, ...] | None:
        """All terms."""
        return None

    def step(self, evidence: Evidence, state: State, generator: torch.Generator | None = None) -> Balanced:
        """Combine the gradients.

        Raises:
            ConfigError: If gradients are missing.
            DivergenceError: If they are not finite.
        """
        direction, weights = unconflicting_projection(gradients_of(evidence, "JacobianDescent", int(state["terms"])))
        return Balanced(dict(state), weights, direction)
