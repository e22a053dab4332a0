"""Gradients of the terms of a loss: their sizes, and whether they pull together."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..objective import ResidualObjective

__all__ = ["Gradients", "term_gradients"]


@dataclass(frozen=True)
class Gradients:
    """Gradient of each term's share of the loss.

    Attributes:
        losses: Share of each term.
        norms: Norm of each gradient.
        cosines: Cosine of each pair of gradients, by ``"a | b"``: -1 where one undoes the other.
        total: Norm of their sum.
    """

    losses: dict[str, float]
    norms: dict[str, float]
    cosines: dict[str, float]
    total: float


def term_gradients(objective: ResidualObjective) -> Gradients:
    """Differentiate the share of each term.

    Args:
        objective: A sum of squares with eager gradients.

    Cost: one backward pass for each term.
    """
    split = objective.loss_terms(objective.model.flat())
    counts = [len(term.recorded.names) for term in objective.terms]
    owners = [i for i, count in enumerate(counts) for _ in range(count)]
    weights = torch.nn.functional.one_hot(torch.tensor(owners), len(counts)).T.to(split.losses)
    rows = torch.stack([split.gradient(row) for row in weights]).double()
    names = [term.name for term in objective.terms]
    norms = rows.norm(dim=1)
    unit = rows / norms.clamp(min=torch.finfo(torch.float64).tiny)[:, None]
    products = (unit @ unit.T).tolist()
    pairs = {f"{names[i]} | {names[j]}": products[i][j] for i in range(len(names)) for j in range(i + 1, len(names))}
    losses = dict(zip(names, (weights @ split.values).tolist(), strict=True))
    return Gradients(losses, dict(zip(names, norms.tolist(), strict=True)), pairs, float(rows.sum(0).norm()))
