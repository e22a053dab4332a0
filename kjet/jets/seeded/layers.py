"""Linear layers over the coordinates: directions meet the weights alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ...typing import Tensor
from .._series import Coefficient
from ..jet import Jet
from .blocks import Picked
from .project import project, spread
from .structured import Structured, assemble, keeps, unit_coefficient


def _linear(x: Structured, weight: Tensor, bias: Tensor | None) -> Jet:
    """``x W^T + b``: the rows of axes are columns of W, those of vectors its products with them."""
    frame, value, width = x.frame, x.value, x.frame.shape[1]
    direct: dict[tuple[int, int], tuple[Tensor, Coefficient]] = {}
    found: dict[tuple[int, int], Tensor] = {}
    for key in frame.vector_places():
        g = unit_coefficient(value, 1 if key[0] < 0 else key[1])
        if g is None:
            continue
        vectors = frame.vectors(*key)
        if g.shape[-1] < width or width == 1:
            direct[key] = vectors, g  # the same for all coordinates: multiplied afterwards
        elif g.shape[1] == 1 or vectors.shape[1] > 1:
            direct[key] = vectors * g, None
        else:
            found[key] = spread(g[0], vectors[:, 0], weight)
    axes = [place for place, block in enumerate(frame.blocks) if isinstance(block, Picked)]
    columns = [frame.blocks[place].positions for place in axes]  # type: ignore[union-attr]
    y, picked, projected = project(x.primal, weight, bias, columns, [vectors for vectors, _ in direct.values()])
    images = dict(zip(axes, picked, strict=True))
    for (key, (_, g)), rows in zip(direct.items(), projected, strict=True):
        found[key] = rows if g is None else rows * g

    def at_axes(place: int, k: int, g: Tensor) -> Tensor:
        return frame.blocks[place].linear(k, g, images[place])  # type: ignore[union-attr]

    return Jet([y, *assemble(x, at_axes, lambda place, k: found.get((place, k)))], x.layout)


@keeps("linear")
def _layer(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``torch.nn.functional.linear``."""
    x, weight, bias = _layer_arguments(*args, **kwargs)
    if not _multiplies(x, weight) or isinstance(bias, Jet):
        return None
    if weight.ndim == 1:
        return None if bias is not None else _linear(x, weight.unsqueeze(0), None)[..., 0]
    return _linear(x, weight, bias)


def _layer_arguments(input: Any, weight: Any, bias: Any = None) -> tuple[Any, Any, Any]:
    return input, weight, bias


def _multiplies(x: Any, weight: Any) -> bool:
    """Whether a linear layer applies: a structured jet, and a weight that is no jet."""
    fits = isinstance(x, Structured) and isinstance(weight, Tensor) and weight.ndim in (1, 2)
    return fits and weight.shape[-1] == x.frame.shape[1]


@keeps("matmul", "mm", "mv")
def _matmul(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``x @ W``."""
    x, weight = args[0], (args[1] if len(args) > 1 else next(iter(kwargs.values())))
    if torch.compiler.is_compiling() and func is torch.Tensor.matmul:
        return None  # operands may come exchanged: see the rule of jets
    weight = weight.t() if isinstance(weight, Tensor) and weight.ndim == 2 else weight
    return _layer(name, func, (x, weight), {}) if _multiplies(x, weight) else None
