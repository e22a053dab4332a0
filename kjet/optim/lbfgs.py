"""Limited-memory BFGS for networks too large for a dense inverse Hessian."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..typing import Float, Int, Tensor
from .objective import State, require, tensor_of
from .quasi_newton import Pair, QuasiNewton

__all__ = ["LBFGS"]


@dataclass(frozen=True, kw_only=True)
class LBFGS(QuasiNewton):
    """Limited-memory BFGS with a strong Wolfe search that says why it stopped.

    ``H g`` comes from the compact form ``H = gamma I + [S gamma Y] M [S gamma Y]^T``, the two-loop recursion written as
    four products with the stored pairs and solves of size `history`: no loop over pairs. The inner products
    ``s_i . y_j`` and ``y_i . y_j`` are kept, so that an update costs two products more. The memory is
    ``2 history p``. Train in float64; in float32 the status soon is ``NOISE_FLOOR``.

    Attributes:
        history: Number of pairs that are kept.
        c1: Sufficient decrease of the strong Wolfe conditions.
        c2: Curvature of the strong Wolfe conditions.
        max_evaluations: Budget of one line search.
        tolerance: Relative decrease that counts as progress.
        patience: Steps in a row without progress before the status is ``STALLED``.

    Raises:
        ConfigError: If a value is out of range.

    Ref: Byrd, Nocedal, Schnabel, *Representations of quasi-Newton matrices and their use in limited memory methods*,
    1994, (2.26) and theorem 2.2.

    >>> LBFGS(history=0)
    Traceback (most recent call last):
    kjet.errors.ConfigError: LBFGS: history = 0; expected a positive integer. Use 50.
    """

    history: int = 50

    def _check(self) -> None:
        require(self.history >= 1, "LBFGS", "history", self.history, "a positive integer", "Use 50.")

    def _no_curvature(self, theta: Tensor) -> State:
        m = self.history
        # The small matrices are float64 wherever there is one: triangular solves with them amplify rounding.
        small = torch.float32 if theta.device.type == "mps" else torch.float64
        square = torch.zeros(m, m, dtype=small, device=theta.device)
        return {
            "S": theta.new_zeros(m, theta.numel()),
            "Y": theta.new_zeros(m, theta.numel()),
            "SY": square,
            "YY": square.clone(),
            "pairs": 0,
        }

    def _forget(self, state: State) -> None:
        state["pairs"] = 0

    def _direction(self, state: State, gradient: Tensor) -> Tensor:
        S, Y, SY, YY, order = self._ordered(state)
        if order.numel() == 0:
            return -gradient
        # H g = gamma g + S a - gamma Y b,  b = R^-1 S g,  a = R^-T [(D + gamma Y^T Y) b - gamma Y g]
        gamma = SY[-1, -1] / YY[-1, -1]
        R = SY.triu()
        Sg, Yg = (S @ gradient).to(R)[order], (Y @ gradient).to(R)[order]
        b = torch.linalg.solve_triangular(R, Sg[:, None], upper=True)[:, 0]
        inner = SY.diagonal() * b + gamma * (YY @ b - Yg)
        a = torch.linalg.solve_triangular(R.T, inner[:, None], upper=False)[:, 0]
        weights_S, weights_Y = gradient.new_zeros(S.shape[0]), gradient.new_zeros(S.shape[0])
        weights_S[order], weights_Y[order] = a.to(gradient), (gamma * b).to(gradient)
        return -(gamma.to(gradient) * gradient + weights_S @ S - weights_Y @ Y)

    def _ordered(
        self, state: State
    ) -> tuple[
        Float[Tensor, "k p"], Float[Tensor, "k p"], Float[Tensor, "k k"], Float[Tensor, "k k"], Int[Tensor, " k"]
    ]:
        """Return the pairs as stored, their inner products from the oldest to the newest, and that order."""
        S, Y, SY, YY = (tensor_of(state, key) for key in ("S", "Y", "SY", "YY"))
        total = int(state["pairs"])
        kept = min(total, self.history)
        order = torch.arange(total - kept, total, device=S.device) % self.history
        return S[:kept], Y[:kept], SY[order][:, order], YY[order][:, order], order

    def _update(self, state: State, direction: Tensor, pair: Pair) -> dict[str, float]:
        S, Y, SY, YY = (tensor_of(state, key) for key in ("S", "Y", "SY", "YY"))
        row = int(state["pairs"]) % self.history
        S[row], Y[row] = pair.s, pair.y
        # Only s_i . y_j with i no later than j is ever read: the column of the newest y.
        SY[:, row] = (S @ pair.y).to(SY)
        YY[row] = YY[:, row] = (Y @ pair.y).to(YY)
        state["pairs"] = int(state["pairs"]) + 1
        return {"pairs": float(min(int(state["pairs"]), self.history))}
