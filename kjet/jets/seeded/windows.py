"""Slices of the coordinates of structured jets, such as time and space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...typing import Tensor
from ..jet import Jet
from .blocks import Aimed, Picked
from .structured import Product, Structured, keeps, over_coordinates


def _window(x: Structured, start: int, stop: int, step: int = 1) -> Jet:
    """Columns ``start:stop:step``; a single one is an ordinary jet, as small as the structured one."""
    columns = range(start, stop, step)
    if columns == range(x.frame.shape[1]):
        return x

    def cut(values: Tensor) -> Tensor:
        return values[..., start:stop:step] if values.shape[-1] == x.frame.shape[1] else values

    def sliced(values: Any) -> Any:
        if isinstance(values, Tensor):
            return cut(values)
        return Jet([None if c is None else cut(c) for c in values.coefficients], values.layout)

    whole = x.whole
    if isinstance(whole, Product):
        left = sliced(whole.left)
        whole = Product(left, left if whole.right is whole.left else sliced(whole.right))
    else:
        whole = sliced(whole)
    blocks, masks = [], []
    for block in x.frame.blocks:
        narrowed, mask = _narrowed(block, start, stop, step)
        blocks.append(narrowed)
        masks.append(mask)
    result = Structured(whole, (None,) * len(blocks), x.frame.narrowed(start, stop, step, tuple(blocks)))
    result.locals = tuple(
        None if local is None else _outside(local, block.gather(result.primal), mask)
        for local, block, mask in zip(x.locals, blocks, masks, strict=True)
    )
    return Jet(result.coefficients, x.layout) if len(columns) == 1 else result


def _narrowed(block: Picked | Aimed, start: int, stop: int, step: int) -> tuple[Any, Any]:
    if isinstance(block, Picked):
        return block.window(start, stop, step)
    return Aimed(block.span, block.vectors[..., start:stop:step]), None


def _outside(local: Jet, values: Tensor, inside: Tensor) -> Jet:
    """Jets at the columns of a slice: directions along other columns stand still at some column of it."""
    rows = [None if c is None else c * inside for c in local.coefficients[1:]]
    return Jet([values, *rows], local.layout)


def _is_everything(entry: Any) -> bool:
    return entry is Ellipsis or (isinstance(entry, slice) and entry == slice(None))


@keeps("getitem")
def _getitem(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``x[..., i]``, ``x[:, a:b]`` and the like."""
    x, index = args
    if not isinstance(index, tuple) or len(index) != 2 or not _is_everything(index[0]):
        return None
    entry, width = index[1], x.frame.shape[1]
    if isinstance(entry, slice):
        start, stop, step = entry.indices(width)
        return _window(x, start, stop, step) if start < stop and step > 0 else None
    if not isinstance(entry, int) or isinstance(entry, bool) or not -width <= entry < width:
        return None
    return _window(x, entry % width, entry % width + 1)[..., 0]


@keeps("narrow")
def _narrow(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``x.narrow(-1, start, length)``."""
    if kwargs or not over_coordinates(args[1]) or args[3] < 1:
        return None
    return _window(args[0], args[2], args[2] + args[3])


@keeps("split")
def _split(name: str, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``x.split(sizes, dim=-1)``, of time and space say."""
    x, sizes, dim = _split_arguments(*args, **kwargs)
    width = x.frame.shape[1]
    sizes = [min(sizes, width - i) for i in range(0, width, sizes)] if isinstance(sizes, int) else list(sizes)
    if not over_coordinates(dim) or sum(sizes) != width or min(sizes) < 1:
        return None
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(_window(x, end - size, end) for end, size in zip(ends, sizes, strict=True))


def _split_arguments(tensor: Any, split_size_or_sections: Any = None, dim: int = 0, *, split_size: Any = None) -> Any:
    return tensor, split_size_or_sections if split_size is None else split_size, dim
