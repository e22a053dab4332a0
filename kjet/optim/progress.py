"""When a descent method should say that it has stopped, and why."""

from __future__ import annotations

import torch

from .objective import State, Status

__all__ = ["rounding_level", "stopped", "track"]


def rounding_level(dtype: torch.dtype) -> float:
    """Return the relative change of a loss that rounding alone can cause.

    Ten units in the last place: a loss is a sum of squares, whose own rounding is a few units.

    >>> rounding_level(torch.float64) < 1e-14
    True
    """
    return 10.0 * torch.finfo(dtype).eps


def stopped(dtype: torch.dtype, cause: str, *, evaluable: bool = True) -> tuple[Status, str]:
    """Name the status of a step that found no lower loss.

    In float64 the method has stalled; in a lower precision the more likely cause is rounding, and float64 can go on.

    Args:
        dtype: Precision of the parameters.
        cause: What was tried in vain, without a full stop.
        evaluable: Whether any trial had a finite loss.

    >>> stopped(torch.float32, "no lower loss along the gradient")[0].value
    'noise_floor'
    """
    if not evaluable:
        return Status.FAILED, f"{cause}: every trial loss is infinite or not a number."
    if torch.finfo(dtype).eps > torch.finfo(torch.float64).eps:
        name = str(dtype).removeprefix("torch.")
        return Status.NOISE_FLOOR, f"{cause}: {name} cannot resolve a further decrease. Switch to float64 to go on."
    return Status.STALLED, f"{cause}: this is a minimum or a plateau to rounding. Resample the points or stop."


def track(
    state: State, before: float, after: float, dtype: torch.dtype, tolerance: float, patience: int
) -> tuple[Status, str]:
    """Count steps with hardly any relative decrease, in ``state["slow"]``, and say when there are too many.

    Args:
        state: State of the optimizer; its count is updated.
        before: Loss before the step.
        after: Loss after it.
        dtype: Precision of the parameters; a decrease below its rounding counts as none.
        tolerance: Relative decrease that counts as progress.
        patience: How many slow steps in a row are borne.

    >>> state = {"slow": 1}
    >>> track(state, 1.0, 1.0 - 1e-14, torch.float64, tolerance=1e-10, patience=2)[0].value, state["slow"]
    ('stalled', 2)
    """
    least = max(tolerance, rounding_level(dtype))
    slow = before - after <= least * before
    count = int(state["slow"]) + 1 if slow else 0
    state["slow"] = count
    if count < patience:
        return Status.OK, ""
    return stopped(dtype, f"{patience} steps in a row lowered the loss by less than {least:.1e} of itself")
