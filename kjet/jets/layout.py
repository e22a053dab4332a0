"""Which coefficients a jet carries: directions of mixed orders, and weighted sums of top-order ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor

__all__ = ["Layout"]


@dataclass(frozen=True, eq=False)
class Layout:
    """Rows that each order of a jet holds.

    Directions are sorted by falling order. At order ``k`` a jet keeps one row for each of the first ``kept[k - 1]``
    directions, followed by one row for each weighted sum in ``weights[k - 1]`` over the directions that end at
    order ``k`` without being kept. A Laplacian in d dimensions thus has ``kept = (d, 0)`` and one sum at order 2:
    1 + d + 1 channels in place of 1 + 2 d. Only top-order coefficients can be summed, since the coefficient of order
    ``k`` enters linearly at order ``k`` and nonlinearly above.

    Args:
        kept: Rows kept singly, for orders 1 to K; must not rise.
        weights: For each order, ``(sums, ended directions)`` weights, or ``None`` where nothing is summed.

    Raises:
        ConfigError: If a direction is needed at an order above one where it has been summed away, or weights require
            gradients, which they would not get.

    Ref: Dangel et al., *Collapsing Taylor mode automatic differentiation*, 2025, section 3, for the sums.
    """

    kept: tuple[int, ...]
    weights: tuple[Float[Tensor, "_ _"] | None, ...]
    alike: tuple[float | None, ...] = field(init=False)
    """For each order the weight of all directions, where it is the same and there is one sum: no product is needed."""

    def __post_init__(self) -> None:
        if any(weights is not None and weights.requires_grad for weights in self.weights):
            raise ConfigError("weights of sums are constants; got some that require gradients. Give weights.detach()")
        object.__setattr__(self, "alike", tuple(_common(weights) for weights in self.weights))
        if len(self.kept) != len(self.weights):
            raise ConfigError(f"layout has {len(self.kept)} kept counts but {len(self.weights)} weights; give one each")
        for k in range(2, self.order + 1):
            if self.active(k) > self.kept[k - 2]:
                raise ConfigError(
                    f"order {k} uses {self.active(k)} directions but order {k - 1} keeps {self.kept[k - 2]}; "
                    "sort directions by falling order and sum only where they end"
                )

    @classmethod
    def uniform(cls, directions: int, order: int) -> Layout:
        """Keep every coefficient of every direction up to one order."""
        return cls((directions,) * order, (None,) * order)

    @property
    def order(self) -> int:
        """Highest order K."""
        return len(self.kept)

    def active(self, k: int) -> int:
        """Count the directions that reach order ``k``, kept or summed."""
        weights = self.weights[k - 1]
        return self.kept[k - 1] + (0 if weights is None else weights.shape[1])

    def rows(self, k: int) -> int:
        """Count the rows stored at order ``k``."""
        weights = self.weights[k - 1]
        return self.kept[k - 1] + (0 if weights is None else weights.shape[0])

    def reduce(self, k: int, terms: Tensor) -> Tensor:
        """Sum the terms of the directions that end at order ``k`` into their slots; pass the kept ones through.

        Args:
            k: Order.
            terms: One row for each direction active at order ``k`` (s, ...), real or complex.
        """
        weights, alike = self.weights[k - 1], self.alike[k - 1]
        if weights is None:
            return terms
        kept = self.kept[k - 1]
        tail = terms[kept:] if kept else terms
        if alike is None:
            flat = weights.to(terms) @ tail.reshape(tail.shape[0], -1)
            summed = flat.reshape(weights.shape[0], *tail.shape[1:])
        else:
            summed = alike * tail.sum(0, keepdim=True)
        return torch.cat([terms[:kept], summed]) if kept else summed

    def spread(self, k: int, rows: Tensor) -> Tensor:
        """Give each direction active at order ``k`` its share of the rows of that order: transpose of `reduce`."""
        weights, alike, kept = self.weights[k - 1], self.alike[k - 1], self.kept[k - 1]
        if weights is None:
            return rows
        tail = rows[kept:] if kept else rows
        if alike is None:
            flat = weights.T.to(rows) @ tail.reshape(tail.shape[0], -1)
            shares = flat.reshape(weights.shape[1], *tail.shape[1:])
        else:
            shares = (alike * tail).expand(weights.shape[1], *tail.shape[1:])
        return torch.cat([rows[:kept], shares]) if kept else shares

    def split(self, stack: Tensor) -> list[Tensor]:
        """View a tensor (channels, ...) as the primal and the rows of each order."""
        primal, *rows = torch.split_with_sizes(stack, self.sizes)
        return [primal[0], *rows]

    @cached_property
    def sizes(self) -> list[int]:
        """Channels of the primal and of each order."""
        return [1, *(self.rows(k) for k in range(1, self.order + 1))]

    @cached_property
    def listed(self) -> list[list[list[float]]]:
        """The weights as numbers; empty where nothing is summed."""
        return [[] if weights is None else weights.tolist() for weights in self.weights]

    @cached_property
    def products(self) -> list[list[tuple[int, slice, slice, float]]]:
        """What coefficient k of a product of series gets from coefficients j and k - j, for 0 < j < k.

        For each k: entries (j, out, rows, weight), where ``weight`` times the product of the two in the rows ``rows``
        goes to the rows ``out``.
        """
        return [[], *([(j, *entry) for j in range(1, k) for entry in self._slots(k)] for k in range(1, self.order + 1))]

    def _slots(self, k: int) -> list[tuple[slice, slice, float]]:
        kept = self.kept[k - 1]
        slots = [(slice(0, kept), slice(0, kept), 1.0)] if kept else []
        for i, row in enumerate(self.listed[k - 1]):
            at = slice(kept + i, kept + i + 1)
            slots += [(at, slice(kept + c, kept + c + 1), w) for c, w in enumerate(row) if w]
        return slots

    def truncated(self) -> Layout:
        """Return the layout one order lower that feeds the highest order: no sums, only directions that go on."""
        return Layout(tuple(self.active(k) for k in range(2, self.order + 1)), (None,) * (self.order - 1))

    def channels(self) -> int:
        """Count the tensors of the primal's size that are propagated: the cost, in forward passes."""
        return 1 + sum(self.rows(k) for k in range(1, self.order + 1))


def _common(weights: Tensor | None) -> float | None:
    """Return the weight that all directions of a single sum have; None while weights are traced and have no value."""
    if weights is None or weights.shape[0] != 1 or weights.shape[1] == 0 or torch.compiler.is_compiling():
        return None
    if torch._C._len_torch_dispatch_stack() or torch._C._functorch.is_functorch_wrapped_tensor(weights):
        return None
    least, greatest = (float(bound) for bound in weights.aminmax())
    return least if least == greatest else None
