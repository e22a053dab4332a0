"""Weights that make all terms learn at the same mean rate, by their neural tangent kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..objective import State, require
from ._weights import averaged, ratio, require_decay, start
from .protocol import Balanced, Evidence, require_several, traces_of

__all__ = ["NTK", "ntk_traces"]


def ntk_traces(jacobian: Float[Tensor, "r p"], sizes: Sequence[int]) -> Float[Tensor, " k"]:
    """Return the traces of ``K_ii = J_i J_i^T`` of the blocks of rows of a Jacobian: their sums of squares.

    With rows scaled so that the loss is the sum of squared residuals, as those of
    :class:`kjet.training.ResidualObjective`, they are means over the points, whose numbers may differ from term to
    term.

    Args:
        jacobian: Derivatives of the residuals, a row each, terms in order.
        sizes: Rows of each term.

    Raises:
        ConfigError: If the sizes do not add up to the rows.

    >>> ntk_traces(torch.tensor([[1.0, 2.0], [0.0, 1.0], [3.0, 0.0]]), [2, 1])
    tensor([6., 9.])
    """
    if sum(sizes) != len(jacobian):
        raise ConfigError(f"the Jacobian has {len(jacobian)} rows; the terms have {list(sizes)}")
    return torch.stack([block.detach().square().sum() for block in jacobian.split(list(sizes))])


@dataclass(frozen=True)
class NTK:
    """Weights ``w_i = (sum_j tr K_jj) / tr K_ii``, averaged over steps.

    Under gradient flow the residual of term i decays at the mean rate ``w_i tr K_ii``, equal for all then.

    Attributes:
        decay: Share of the old weights in the new ones.
        every: Steps for which weights are kept.
        needs: ``traces``.

    Raises:
        ConfigError: If a value is out of range.

    Cost: that of the traces; weights may well be kept for a hundred steps.

    Ref: Wang, Yu, Perdikaris, *When and why PINNs fail to train: a neural tangent kernel perspective*, 2022, eq. (6.5).

    >>> rule = NTK()
    >>> rule.step(Evidence(traces=torch.tensor([6.0, 2.0])), rule.init(2, torch.zeros(3))).weights
    tensor([1.3333, 4.0000])
    """

    decay: float = 0.0
    every: int = 100
    needs: ClassVar[tuple[str, ...]] = ("traces",)

    def __post_init__(self) -> None:
        require_decay("NTK", self.decay)
        require(self.every >= 1, "NTK", "every", self.every, "a positive integer", "Use 100.")

    def init(self, k: int, theta: Float[Tensor, " p"]) -> State:
        """Return the state before the first step.

        Raises:
            ConfigError: If there are fewer than two terms.
        """
        require_several("NTK", k)
        return start(k, theta)

    def wanted(self, state: State) -> tuple[int, ...] | None:
        """All terms."""
        return None

    def step(self, evidence: Evidence, state: State, generator: torch.Generator | None = None) -> Balanced:
        """Weigh the terms.

        Raises:
            ConfigError: If traces are missing or negative.
            DivergenceError: If they are not finite.
        """
        traces = traces_of(evidence, "NTK", int(state["terms"]))
        weights, new = averaged(state, ratio(traces.sum(), traces), self.decay)
        return Balanced(new, weights)
