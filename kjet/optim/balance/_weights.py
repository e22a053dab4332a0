"""What rules that give each term a weight have in common."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ...typing import Float, Tensor
from ..objective import State, require, tensor_of

__all__ = ["averaged", "ratio", "require_decay", "start"]


def start(k: int, theta: Tensor) -> State:
    """Return the state of `k` weights of one."""
    return {"terms": k, "steps": 0, "weights": torch.ones(k, dtype=theta.dtype, device=theta.device)}


def averaged(state: State, target: Float[Tensor, " k"], decay: float, **more: Tensor) -> tuple[Tensor, State]:
    """Move the weights towards a target, ``decay w + (1 - decay) target``; return them and the new state."""
    weights = decay * tensor_of(state, "weights") + (1 - decay) * target
    changes: Mapping[str, Tensor | int] = {"steps": int(state["steps"]) + 1, "weights": weights, **more}
    return weights, {**state, **changes}


def ratio(above: Tensor, below: Tensor) -> Tensor:
    """Divide; a term that vanishes has nothing to be weighed by and gets one."""
    return torch.where(below > 0, above / torch.where(below > 0, below, 1.0), 1.0)


def require_decay(owner: str, value: float) -> None:
    """Refuse a share of the past that is none."""
    require(0 <= value < 1, owner, "decay", value, "a number in [0, 1)", "Use 0.9, or 0 for no average.")
