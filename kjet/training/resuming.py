"""What a checkpoint and the run that continues it must have in common, and states as tensors and plain values."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from ..errors import RunError
from ..optim import State
from ..typing import Float, Tensor
from .checkpoint import Checkpoint

__all__ = ["check_checkpoint", "packed_state", "unpacked_state"]


def check_checkpoint(
    checkpoint: Checkpoint,
    theta: Float[Tensor, " p"],
    *,
    precision: str,
    method: str,
    course: Mapping[str, str | None],
    terms: Collection[str],
) -> None:
    """Refuse a checkpoint of another run.

    Args:
        checkpoint: What was stored.
        theta: Parameters of this run.
        precision: Products of matrices.
        method: Name of the optimizer.
        course: What changes the loss on the way, by name: a weighing of points, a curriculum; None where there is none.
        terms: Names of the groups of residuals.

    Raises:
        RunError: With what differs.
    """
    tensors, meta = checkpoint.tensors, checkpoint.meta
    if "theta" not in tensors:
        raise RunError(
            "the checkpoint is that of a run in windows of time; resume it with the trainer.windows of the first run"
        )
    if tensors["theta"].shape != theta.shape or tensors["theta"].dtype != theta.dtype:
        raise RunError(
            f"the checkpoint has {tensors['theta'].numel()} parameters in {tensors['theta'].dtype}; this run has "
            f"{theta.numel()} in {theta.dtype}. Resume with the operator and dtype of the first run"
        )
    stored = meta.get("precision", "full")
    if stored != precision:
        raise RunError(
            f"the checkpoint was written with trainer.precision={stored}, this run has {precision}; resume with the "
            "precision of the first run"
        )
    if meta["method"] != method:
        raise RunError(
            f"the checkpoint was written by {meta['method']}, this run has {method}; resume with the optimizer of the "
            "first run"
        )
    before = meta.get("course", dict.fromkeys(course))
    if before != course:
        raise RunError(
            f"the checkpoint was written with {_told(before)}, this run has {_told(course)}; resume with those of the "
            "first run"
        )
    if set(meta["measures"]) != set(terms):
        raise RunError(f"the checkpoint has terms {sorted(meta['measures'])}; this run has {sorted(terms)}")


def _told(course: Mapping[str, str | None]) -> str:
    return " and ".join(f"no {name}" if value is None else value for name, value in course.items())


def packed_state(prefix: str, state: State) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Take a state apart into tensors, by prefixed names, and plain values.

    >>> packed_state("optimizer.", {"steps": 3, "m": torch.zeros(1)})
    ({'optimizer.m': tensor([0.])}, {'steps': 3})
    """
    tensors = {f"{prefix}{key}": value for key, value in state.items() if isinstance(value, Tensor)}
    return tensors, {key: value for key, value in state.items() if not isinstance(value, Tensor)}


def unpacked_state(
    prefix: str, tensors: Mapping[str, Tensor], plain: Mapping[str, Any], device: torch.device
) -> dict[str, Any]:
    """Put a state together again, from all tensors of a checkpoint and its plain values."""
    own = {key.removeprefix(prefix): value.to(device) for key, value in tensors.items() if key.startswith(prefix)}
    return {**plain, **own}
