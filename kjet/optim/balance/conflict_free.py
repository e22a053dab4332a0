"""ConFIG: the direction that all gradients agree with equally, and its version with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..objective import State, require, require_finite, tensor_of
from ._span import span_of
from .protocol import Balanced, Evidence, gradients_of, require_several

__all__ = ["ConFIG", "MomentumConFIG", "conflict_free"]

_EPS = torch.finfo(torch.float64).eps


def conflict_free(gradients: Float[Tensor, "k p"]) -> Float[Tensor, " p"]:
    """Return the direction whose cosines with all gradients are equal, as long as their projections together.

    ``d = (sum_i g_i . u) u`` with ``u = v / |v|`` and ``v = U^+ 1``, where the rows of U are the unit gradients. If
    these are independent, ``g_i . d > 0`` for all terms. If not, v is the least-squares solution, and may conflict with
    some; between opposite gradients, where nothing is to be gained for both, it is zero. Zero gradients have no say.

    Cost: O(p k^2).

    Ref: Liu, Chu, Thuerey, *ConFIG: towards conflict-free training of physics informed neural networks*, 2025, eq. (3).

    >>> conflict_free(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1.5000, 1.5000])
    >>> conflict_free(torch.tensor([[2.0, 0.0], [-1.0, 0.0]]))
    tensor([0., 0.])
    """
    span = span_of(gradients)
    k = len(span.units)
    v = torch.linalg.pinv(span.units, rtol=8 * k * _EPS) @ torch.ones(k, dtype=torch.float64)
    size = v.norm()
    if size <= 64 * k * _EPS:  # |U^+ 1| is at least as large as the part of 1 that can be reached over sqrt(k)
        return torch.zeros_like(gradients[0])
    u = v / size
    return span.vector((span.norms * (span.units @ u)).sum() * u, gradients)


@dataclass(frozen=True)
class ConFIG:
    """Conflict-free direction of the gradients of all terms; see :func:`conflict_free`.

    Attributes:
        needs: ``gradients``.

    Cost: k gradients and O(p k^2) for each step.

    >>> rule, theta = ConFIG(), torch.zeros(2)
    >>> done = rule.step(Evidence(gradients=torch.tensor([[2.0, 0.0], [0.0, 1.0]])), rule.init(2, theta))
    >>> done.direction
    tensor([1.5000, 1.5000])
    """

    needs: ClassVar[tuple[str, ...]] = ("gradients",)

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two terms.
        """
        require_several("ConFIG", k)
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
        gradients = gradients_of(evidence, "ConFIG", int(state["terms"]))
        return Balanced(dict(state), direction=conflict_free(gradients))


@dataclass(frozen=True)
class MomentumConFIG:
    """Conflict-free direction of the momenta of the gradients, one of which is brought up to date in each step.

    A step costs one gradient, whatever the number of terms. Term i has the momentum ``m_i <- b1 m_i + (1 - b1) g_i``,
    corrected for the steps that it has seen. With d the conflict-free direction of the momenta, as if it were the
    corrected momentum of a gradient, that gradient is ``c = (m - b1 m') / (1 - b1)`` with ``m = (1 - b1^t) d`` and m'
    that of the step before. Then as in Adam: ``v <- b2 v + (1 - b2) c^2`` and ``d / (sqrt(v / (1 - b2^t)) + eps)``.

    The direction is a whole step of Adam, to be taken by a plain rate: a method with momenta of its own would apply
    them twice.

    Attributes:
        betas: Decay of the first and the second moment.
        eps: Added to the root of the second moment.
        whole: The direction is a step, and no gradient for a method to make one of.
        needs: ``gradients``, those of the terms that :meth:`wanted` names.

    Raises:
        ConfigError: If a value is out of range.

    Cost: one gradient and O(p k^2) for each step; k + 2 vectors are kept.

    Ref: Liu, Chu, Thuerey, *ConFIG: towards conflict-free training of physics informed neural networks*, 2025,
    algorithm 1.

    >>> rule = MomentumConFIG()
    >>> state = rule.init(2, torch.zeros(3))
    >>> done = rule.step(Evidence(gradients=torch.ones(1, 3), terms=(0,)), state)
    >>> rule.wanted(state), rule.wanted(done.state)
    ((0,), (1,))
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    whole: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("gradients",)

    def __post_init__(self) -> None:
        valid = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        owner = "MomentumConFIG"
        require(valid, owner, "betas", self.betas, "two numbers in [0, 1)", "Use (0.9, 0.999).")
        require(self.eps > 0, owner, "eps", self.eps, "a positive number", "Use 1e-8.")

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two terms.
        """
        require_several("MomentumConFIG", k)
        return {
            "terms": k, "steps": 0,
            "seen": torch.zeros(k, dtype=torch.int64), "momenta": theta.new_zeros(k, len(theta)),
            "first": torch.zeros_like(theta), "second": torch.zeros_like(theta),
        }  # fmt: skip

    def wanted(self, state: State) -> tuple[int, ...] | None:
        """The term whose turn it is."""
        return (int(state["steps"]) % int(state["terms"]),)

    def step(self, evidence: Evidence, state: State, generator: torch.Generator | None = None) -> Balanced:
        """Bring momenta up to date with the gradients given, of any terms, and combine all.

        Raises:
            ConfigError: If gradients are missing.
            DivergenceError: If they are not finite.
        """
        k, (b1, b2), t = int(state["terms"]), self.betas, int(state["steps"]) + 1
        rows, gradients = _rows(evidence, k)
        momenta, seen = tensor_of(state, "momenta").clone(), tensor_of(state, "seen").clone()
        momenta[rows] = b1 * momenta[rows] + (1 - b1) * gradients
        seen[rows] += 1
        corrected = momenta / (1 - b1 ** seen.clamp(min=1).to(momenta)).unsqueeze(1)
        combined = conflict_free(corrected)
        first = (1 - b1**t) * combined
        estimate = (first - b1 * tensor_of(state, "first")) / (1 - b1)
        second = b2 * tensor_of(state, "second") + (1 - b2) * estimate.square()
        direction = combined / ((second / (1 - b2**t)).sqrt() + self.eps)
        new: State = {"steps": t, "seen": seen, "momenta": momenta, "first": first, "second": second}
        return Balanced(state | new, direction=direction)


def _rows(evidence: Evidence, k: int) -> tuple[list[int], Tensor]:
    gradients, terms = evidence.gradients, evidence.terms
    rows = list(range(k)) if terms is None else list(terms)
    fits = gradients is not None and gradients.ndim == 2 and len(gradients) == len(rows)
    if gradients is None or not fits or len(set(rows)) < len(rows) or not set(rows) <= set(range(k)):
        shape = None if gradients is None else tuple(gradients.shape)
        raise ConfigError(
            f"MomentumConFIG needs a gradient for each term named, of {k} terms; got gradients of shape {shape} for "
            f"terms {terms}. Give Evidence(gradients=..., terms=balance.wanted(state))"
        )
    require_finite("gradients", gradients)
    return rows, gradients.detach()
