"""Powers of the Laplacian taken apart into small sets of coordinates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import torch

from ...typing import Int, Tensor
from ..derivative import Trace, dense
from ..directions import decompose
from ..seeds import OneHot, Seeds, Shared
from .base import Family, Stratum
from .columns import as_seeds, joined

__all__ = ["complete", "embedded", "within"]


@lru_cache(maxsize=64)
def within(d: int, size: int, power: int) -> tuple[Tensor, tuple[float, ...]]:
    """Directions and weights of the terms of ``Delta^power`` within a set of coordinates.

    The sum over all sets of ``size`` out of d gives the whole: a term that involves k coordinates lies in
    ``C(d - k, size - k)`` of them. Directions along axes come first.
    """
    terms = {}
    for index, multiple in Trace(range(size), power).expanded().items():
        sharing = math.comb(d - len(index), size - len(index))
        terms[index] = Fraction(multiple, sharing)
    found = decompose(terms)
    ordered = sorted(found, key=lambda v: len(v) > 1)
    return torch.tensor([dense(v, size) for v in ordered]), tuple(float(found[v]) for v in ordered)


def embedded(members: Int[Tensor, "r *n size"], local: Int[Tensor, "l size"], d: int, dtype: torch.dtype) -> Seeds:
    """Directions with the entries ``local`` at the members, zero elsewhere: the first of all sets, then the second."""
    mixed = local[(local != 0).sum(1) > 1]
    axes = local[: len(local) - len(mixed)].argmax(1)  # pure derivatives come first
    parts: list[Seeds] = []
    if len(axes):
        parts.append(OneHot(members[..., axes.to(members.device)].movedim(-1, 0).flatten(0, 1)))
    if len(mixed):
        places = members.expand(len(mixed), *members.shape)
        entries = mixed.to(members.device, dtype).reshape(len(mixed), *(1,) * (members.ndim - 1), -1)
        vectors = torch.zeros(*places.shape[:-1], d, dtype=dtype, device=members.device)
        parts.append(as_seeds(vectors.scatter(-1, places, entries.expand(places.shape)).flatten(0, 1)))
    return joined(parts)


def complete(axes: Sequence[int], power: int, d: int) -> Family:
    """All directions of a power of the Laplacian, each once."""
    size = min(power, len(axes))
    local, weights = within(len(axes), size, power)
    total: dict[tuple[tuple[int, int], ...], float] = {}
    for members in itertools.combinations(axes, size):
        for entries, weight in zip(local.tolist(), weights, strict=True):
            key = tuple((axis, entry) for axis, entry in zip(members, entries, strict=True) if entry)
            total[key] = total.get(key, 0.0) + weight
    vectors = torch.zeros(len(total), d, dtype=torch.float64)
    for row, key in enumerate(total):
        for axis, entry in key:
            vectors[row, axis] = entry

    def build(numbers: None, dtype: torch.dtype, device: torch.device) -> Seeds:
        return Shared(vectors.to(device, dtype))

    total_weights = torch.tensor(list(total.values()), dtype=torch.float64)
    return Family(
        2 * power, total_weights, (Stratum(len(total), 1, len(total)),), lambda n, generator, dtype: None, build
    )
