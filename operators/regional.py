"""Networks of several regions side by side."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor

__all__ = ["Regional"]


class Regional(nn.Module):
    """Networks that share nothing but their inputs; their outputs stand one after the other.

    Args:
        networks: One for each region, points (n, d) to values (n, m_i), also on jets.

    Cost: all networks at all points.

    >>> both = Regional([nn.Linear(2, 1), nn.Linear(2, 3)])
    >>> both(torch.zeros(5, 2)).shape
    torch.Size([5, 4])
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n m"] | Jet:
        """Evaluate at points, or at jets of them."""
        return torch.cat([network(x) for network in self.networks], -1)  # type: ignore[return-value]
