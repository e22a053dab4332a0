"""Guard against processes that drift apart."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import torch
import torch.distributed as dist

from ..errors import ConfigError, KjetError
from ..typing import Int, Tensor
from .mesh import Axis

__all__ = ["ReplicaError", "check_replicas"]

_PIECE = 2**22
# Ref: Steele, Lea, Flood, *Fast splittable pseudorandom number generators*, 2014, for the multipliers, here signed.
_MIX = (-7046029254386353131, -4658895280553007687)


class ReplicaError(KjetError, RuntimeError):
    """Processes hold different values of what should be the same on all."""


def check_replicas(tensors: Iterable[tuple[str, Tensor]], axis: Axis) -> None:
    """Compare tensors bit by bit over the ranks of an axis; all of them must call this.

    Parameters over ``mesh.world``; points and the states of generators over ``mesh.direction``. What travels is one
    number for each tensor, made of its name, type, shape and bits: a difference in one element is always found, others
    but for one in 2^64.

    Args:
        tensors: With names, as ``network.named_parameters()`` gives them.
        axis: The ranks.

    Raises:
        ReplicaError: On every rank alike, if a tensor differs; names the first.
        ConfigError: If there is nothing to compare.

    >>> check_replicas([("w", torch.ones(3))], Axis())
    """
    named = list(tensors)
    if not named:
        raise ConfigError("no tensors to compare; pass network.named_parameters()")
    if axis.group is None:
        return
    device = named[0][1].device
    hashes = torch.stack([_hash(name, tensor).to(device) for name, tensor in named])
    counts = _gather(torch.tensor([len(named)], device=device), axis).flatten().tolist()
    padded = torch.nn.functional.pad(hashes, (0, max(counts) - len(named)))
    everyone = _gather(padded, axis)
    equal = (everyone == everyone[0]).all(0)
    if bool(equal.all()):
        return
    place = int((~equal).int().argmax())
    others = (everyone[:, place] != everyone[0, place]).nonzero().flatten().tolist()
    what = f'"{named[place][0]}"' if place < len(named) else f"number {place}, which this one lacks,"
    raise ReplicaError(
        f"tensor {what} differs: {_ranks(others)} of {axis.size} hold another value than rank 0. Start all from the "
        "same seed or checkpoint, reduce gradients before every step, and step on all alike"
    )


def _gather(values: Int[Tensor, " s"], axis: Axis) -> Int[Tensor, "ranks s"]:
    parts = [torch.empty_like(values) for _ in range(axis.size)]
    dist.all_gather(parts, values, group=axis.group)
    return torch.stack(parts)


def _ranks(ranks: list[int]) -> str:
    return ("rank " if len(ranks) == 1 else "ranks ") + ", ".join(map(str, ranks))


def _hash(name: str, tensor: Tensor) -> Int[Tensor, ""]:
    """Sum of all words of the tensor, each times an odd number of its own, modulo 2^64."""
    label = zlib.crc32(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
    flat = tensor.detach().reshape(-1).contiguous()
    words = flat.view({1: torch.uint8, 2: torch.int16, 4: torch.int32}.get(flat.element_size(), torch.int64))
    total = torch.tensor(label, device=tensor.device)
    for start in range(0, len(words), _PIECE):
        piece = words[start : start + _PIECE].to(torch.int64)
        total = total + (piece * _odd(torch.arange(start, start + len(piece), device=tensor.device))).sum()
    return total


def _odd(places: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Odd numbers that look random: being odd, they let no change of a single element vanish."""
    mixed = (places + 1) * _MIX[0]
    mixed = (mixed ^ (mixed >> 30)) * _MIX[1]
    return (mixed ^ (mixed >> 27)) | 1
