"""Gradients in coordinates of their span, where they are short vectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...typing import Float, Tensor

__all__ = ["Span", "span_of"]


@dataclass(frozen=True)
class Span:
    """Unit gradients ``g_i / |g_i| = basis @ units[i]``, in float64; ``q = min(k, p)``.

    Products of gradients are not formed: their rounding would hide conflicts between gradients that nearly cancel.

    Attributes:
        basis: Orthonormal columns, where the gradients are.
        units: Coordinates of the unit gradients, on the CPU; zero for a zero gradient.
        norms: Lengths of the gradients, on the CPU.
    """

    basis: Float[Tensor, "p q"]
    units: Float[Tensor, "k q"]
    norms: Float[Tensor, " k"]

    def vector(self, coordinates: Float[Tensor, " q"], like: Tensor) -> Float[Tensor, " p"]:
        """Return the vector of these coordinates, in the type of a tensor."""
        return (self.basis @ coordinates.to(self.basis.device)).to(like.dtype)


def span_of(gradients: Float[Tensor, "k p"]) -> Span:
    """Take gradients apart.

    Cost: O(p k^2), and k p numbers in float64.
    """
    wide = gradients.double()
    # The greatest entry first, so that squares neither overflow nor vanish.
    largest = wide.abs().amax(1, keepdim=True)
    scaled = wide / torch.where(largest > 0, largest, 1.0)
    sizes = scaled.norm(dim=1, keepdim=True)
    units = scaled / torch.where(sizes > 0, sizes, 1.0)
    basis, triangle = torch.linalg.qr(units.t())
    return Span(basis, triangle.t().cpu(), (largest * sizes)[:, 0].cpu())
