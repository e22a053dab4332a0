"""Derivatives of the fields with respect to the parameters."""

from __future__ import annotations

import torch

from ..typing import Float, Tensor
from .jacobian import Taps
from .model import Model

__all__ = ["field_change", "field_jacobian"]

_ENTRIES = 2**23  # of a Jacobian at once


def field_change(
    model: Model, x: Float[Tensor, "n d"], direction: Float[Tensor, " p"]
) -> tuple[Float[Tensor, "n m"], Float[Tensor, "n m"]]:
    """Return the fields at points, and their derivative along a direction of the parameters.

    Cost: one backward pass for each field, with some points at a time.
    """
    values, changes = [], []
    for part in x.split(max(1, _ENTRIES // direction.numel())):
        y, jacobian = field_jacobian(model, part)
        values.append(y)
        changes.append((jacobian @ direction.to(jacobian)).T)
    return torch.cat(values), torch.cat(changes)


def field_jacobian(model: Model, x: Float[Tensor, "n d"]) -> tuple[Float[Tensor, "n m"], Float[Tensor, "m n p"]]:
    """Return the fields at points, and their derivative with respect to each trainable parameter.

    Cost: one backward pass for each field, and ``n p`` numbers.

    >>> from kjet.operators import MLPConfig
    >>> model = Model(MLPConfig(width=4, depth=1).build(1, 1), {}, ("u",), ("x",))
    >>> field_jacobian(model, torch.zeros(3, 1))[1].shape
    torch.Size([1, 3, 13])
    """
    with Taps(model, len(x)) as taps, torch.enable_grad():
        y = model(x)
        m = y.shape[-1]
        rows = [taps.jacobian(y[:, i], last=i == m - 1) for i in range(m)]
    return y.detach(), torch.stack(rows)
