"""Overlapping boxes on a regular grid, with smooth windows that are a partition of unity."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ..jets import Jet
from ..typing import Float, Tensor
from .config import require

__all__ = ["Windows", "subdomain_boxes"]


def subdomain_boxes(subdomains: Sequence[int], overlap: float) -> Float[Tensor, "k d 2"]:
    """Return the boxes of a regular grid on ``[-1, 1]^d``, each widened so that neighbours overlap.

    Args:
        subdomains: Boxes along each coordinate.
        overlap: Width of the strip that two neighbours share, in widths of a cell of the grid.

    >>> subdomain_boxes([2], 0.5)[:, 0].tolist()
    [[-1.25, 0.25], [-0.25, 1.25]]
    """
    sides = []
    for count in subdomains:
        edges = torch.linspace(-1.0, 1.0, count + 1, dtype=torch.float64)
        # with one box there is no neighbour, and the box is the whole
        delta = overlap / count if count > 1 else 0.0
        sides.append(torch.stack([edges[:-1] - delta, edges[1:] + delta], -1))
    return torch.stack([torch.stack(box) for box in itertools.product(*sides)])


class Windows(nn.Module):
    """Products of smooth windows of one coordinate each, which sum to 1 everywhere.

    Between two neighbours along a coordinate lies a strip in which a step ``S_j`` rises from 0 to 1. Windows of one
    coordinate are ``S_j - S_(j+1)``, so that their sum telescopes to 1; strips do not overlap, so that the difference
    is the product ``S_j (1 - S_(j+1))`` and never negative. The step is the polynomial of least degree with
    `smoothness` continuous derivatives; each window is exactly zero outside of its box.

    Takes points (n, d) of ``[-1, 1]^d``, or jets of them, to windows (n, k), those of the last coordinate fastest.
    Windows at the edge stay 1 beyond it.

    Args:
        subdomains: Boxes along each coordinate.
        overlap: Width of the strips, in widths of a cell of the grid; at most 1.
        smoothness: Order of the highest derivative that is continuous.
        dtype: Floating type of the buffers.
        device: Device of the buffers.

    Raises:
        ConfigError: If a count or the smoothness is not a positive integer, or the overlap not in (0, 1].

    >>> Windows([2, 1], overlap=0.5)(torch.tensor([[-1.0, 0.0], [0.0, 0.3], [0.125, 0.0]]))
    tensor([[1.0000, 0.0000],
            [0.5000, 0.5000],
            [0.0489, 0.9511]])
    """

    slope: Tensor
    shift: Tensor

    def __init__(
        self,
        subdomains: Sequence[int],
        overlap: float = 0.9,
        smoothness: int = 4,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_windows("Windows", subdomains, overlap, smoothness)
        self.subdomains, self.smoothness = tuple(subdomains), smoothness
        rows, shifts = [], []
        for axis, count in enumerate(subdomains):
            for j in range(1, count):
                # (x - edge) / (2 delta) + 1/2 runs from 0 to 1 across the strip
                steepness = 0.5 * count / overlap
                rows.append([steepness if i == axis else 0.0 for i in range(len(subdomains))])
                shifts.append(0.5 - steepness * (2.0 * j / count - 1.0))
        kind = torch.get_default_dtype() if dtype is None else dtype
        table = torch.tensor(rows, dtype=torch.float64).reshape(-1, len(subdomains))
        self.register_buffer("slope", table.to(kind).to(device))
        self.register_buffer("shift", torch.tensor(shifts, dtype=torch.float64).to(kind).to(device))

    @property
    def count(self) -> int:
        """Number of windows."""
        return math.prod(self.subdomains)

    def forward(self, x: Float[Tensor, "*n d"] | Jet) -> Float[Tensor, "*n k"] | Jet:
        """Evaluate at points, or at jets of them."""
        total: Any = None
        steps: Any = self._steps(x) if self.slope.shape[0] else None
        start = 0
        for count in self.subdomains:
            if count == 1:
                continue
            own = steps[..., start : start + count - 1]
            start += count - 1
            window = torch.cat([1.0 - own[..., :1], own[..., :-1] - own[..., 1:], own[..., -1:]], -1)
            total = window if total is None else (total.unsqueeze(-1) * window.unsqueeze(-2)).flatten(-2)
        # no coordinate is split
        return torch.ones_like(x[..., :1]) if total is None else total  # type: ignore[arg-type]

    def _steps(self, x: Float[Tensor, "*n d"] | Jet) -> Any:
        """``s^(k+1) sum_(j<=k) binom(k+j, j) (1-s)^j``, whose first k derivatives vanish at 0 and at 1."""
        k = self.smoothness
        s = torch.clamp(nn.functional.linear(x, self.slope, self.shift), 0.0, 1.0)  # type: ignore[arg-type]
        rest = 1.0 - s
        total = torch.full_like(rest, math.comb(2 * k, k))
        for j in range(k - 1, -1, -1):  # Horner
            total = total * rest + math.comb(k + j, j)
        power = s
        for _ in range(k):
            power = power * s
        return power * total


def check_windows(owner: str, subdomains: Sequence[int], overlap: float, smoothness: int) -> None:
    """Raise a ConfigError unless boxes overlap, with their direct neighbours only, and windows are smooth."""
    counts = bool(subdomains) and all(_is_count(count) for count in subdomains)
    require(counts, owner, "subdomains", list(subdomains), "positive integers, one for each input", "Use [4].")
    require(0 < overlap <= 1, owner, "overlap", overlap, "a number above 0 and at most 1", "Use 0.9.")
    require(_is_count(smoothness), owner, "smoothness", smoothness, "a positive integer", "Use 4.")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
