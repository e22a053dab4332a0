"""Gradients of every relation to each other, and what the tests of all balances share."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from kjet.optim.balance import (
    NTK,
    ConFIG,
    Evidence,
    GradNorm,
    JacobianDescent,
    LearningRateAnnealing,
    MomentumConFIG,
    ReLoBRaLo,
    SoftAdapt,
)

BALANCES = {
    "config": ConFIG(),
    "momentum_config": MomentumConFIG(),
    "jacobian_descent": JacobianDescent(),
    "ntk": NTK(decay=0.5),
    "annealing": LearningRateAnnealing(),
    "gradient_norm": GradNorm(),
    "relobralo": ReLoBRaLo(decay=0.9, kept=0.5),
    "softadapt": SoftAdapt(decay=0.5),
    "softadapt_losses": SoftAdapt(loss_weighted=True, normalized=False),
}


def gradients(kind: str, k: int, p: int, seed: int = 0) -> Tensor:
    """Random gradients (k, p) in float64, of lengths over four decades, some of them related."""
    generator = torch.Generator().manual_seed(seed)
    found = torch.randn(k, p, generator=generator, dtype=torch.float64)
    found *= 10.0 ** (4 * torch.rand(k, 1, generator=generator, dtype=torch.float64) - 2)
    if kind == "twice":
        found[1] = found[0]
    elif kind == "opposite":
        found[1] = -3.0 * found[0]
    elif kind == "dependent":
        found[-1] = found[0] - 2.0 * found[1]
    elif kind == "zero":
        found[0] = 0.0
    return found


KINDS = ("random", "twice", "opposite", "dependent", "zero")


def stored(state: dict) -> dict:
    """Write a state as a checkpoint does, and read it again."""
    tensors = load(save({key: v for key, v in state.items() if isinstance(v, Tensor)}))
    return {**json.loads(json.dumps({key: v for key, v in state.items() if not isinstance(v, Tensor)})), **tensors}


def evidence(balance: object, state: dict, k: int, p: int, seed: int, dtype: torch.dtype = torch.float64) -> Evidence:
    """All that a balance may ask for, as if the parameters moved from step to step."""
    wanted = balance.wanted(state)
    rows = gradients("random", k, p, seed).to(dtype)
    generator = torch.Generator().manual_seed(seed)
    numbers = [torch.rand(k, generator=generator, dtype=torch.float64).to(dtype) + 0.1 for _ in range(2)]
    return Evidence(numbers[0], rows if wanted is None else rows[list(wanted)], wanted, numbers[1])


@pytest.fixture(params=BALANCES.values(), ids=BALANCES.keys())
def balance(request):
    return request.param
