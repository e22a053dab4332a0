"""Jets of functions of single coordinates, whose directions stay symbolic until coordinates are mixed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...typing import Tensor
from .._series import Coefficient, plus
from ..jet import Jet
from ..layout import Layout
from .blocks import Aimed, Picked, join
from .frame import Frame

__all__ = [
    "Product",
    "Structured",
    "Whole",
    "apply",
    "assemble",
    "begin",
    "keeps",
    "over_coordinates",
    "unit_coefficient",
]

_log = logging.getLogger(__name__)

Handler = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
# By function, with its plain name. A compiler traces Tensor's reflected operators as copies: those go by their names.
_HANDLERS: dict[Callable[..., Any], tuple[str, Handler]] = {}
_REFLECTED: dict[str, tuple[str, Handler]] = {}


@dataclass(frozen=True, eq=False)
class Product:
    """A product of two functions of the coordinates, not yet formed: its sum is a matrix product."""

    left: Tensor | Jet
    right: Tensor | Jet


Whole = Tensor | Jet | Product
"""Values at all coordinates; a jet along a seed of ones where a block of vectors needs its coefficients."""


class Structured(Jet):
    """A jet of a function of each coordinate by itself, with the directions kept symbolic.

    Functions of single elements, sums and linear layers over the coordinates, and slices of them have rules that never
    form an array (s, n, d); for any other operation it is an ordinary jet with dense coefficients.

    Attributes:
        frame: Points, directions and columns.
        whole: Values at all coordinates; None once an operation in place has put dense coefficients here.
        locals: For each block of axes, the jets at its columns alone.
    """

    __slots__ = ("_dense", "frame", "locals", "whole")

    def __init__(self, whole: Whole, locals: tuple[Jet | None, ...], frame: Frame) -> None:
        super().__init__((), frame.layout)
        self.frame = frame
        self.put(whole, locals)

    def put(self, whole: Whole, locals: tuple[Jet | None, ...]) -> None:
        """Take in the pieces of a jet of the same frame."""
        self.whole = whole
        self.locals = locals
        self._dense: list[Tensor | None] | None = None

    @classmethod
    def _rule(cls, func: Callable[..., Any]) -> Callable[..., Any]:
        """Rule that keeps directions symbolic where there is one and it applies; that of ordinary jets if not."""
        entry = _REFLECTED.get(getattr(func, "__name__", "")) or _HANDLERS.get(func)
        if entry is None:
            return Jet._rule(func)
        name, handler = entry

        def structured(*args: Any, **kwargs: Any) -> Any:
            usable = all(a.whole is not None for a in args if isinstance(a, Structured))
            result = handler(name, func, args, kwargs) if usable else None
            return Jet._rule(func)(*args, **kwargs) if result is None else result

        return structured

    @property
    def value(self) -> Tensor | Jet:
        """Values at all coordinates, with a pending product formed."""
        whole = self.whole
        if isinstance(whole, Product):
            whole = self.whole = apply(torch.mul, (whole.left, whole.right), {})
        return whole  # type: ignore[return-value]

    @property
    def primal(self) -> Tensor:
        """Value of the tensor itself."""
        if self.whole is None:
            return super().primal
        value = self.value
        return value.primal if isinstance(value, Jet) else value

    @property
    def shape(self) -> torch.Size:
        """Shape of the primal."""
        return torch.Size(self.frame.shape)

    @property
    def ndim(self) -> int:
        """Points and coordinates: two axes."""
        return 2

    @property
    def requires_grad(self) -> bool:
        """Whether the values, or the coefficients at the axes, are part of a graph."""
        if self.whole is None:
            return super().requires_grad
        pieces = (self.value, *self.locals)
        return any(piece is not None and piece.requires_grad for piece in pieces)

    @property
    def _coefficients(self) -> list[Tensor | None] | None:  # type: ignore[override]
        """The primal, and the dense rows of each order: arrays (s, 1|n, d)."""
        if self._dense is None and self.whole is not None:
            self._dense = [self.primal, *_dense_rows(self)]
            if not torch.compiler.is_compiling():
                sizes = [0 if c is None else c.numel() for c in self._dense[1:]]
                _log.debug("no structured rule for an operation: %d numbers for directions", sum(sizes))
        return self._dense

    @_coefficients.setter
    def _coefficients(self, coefficients: list[Tensor | None] | None) -> None:
        self.whole, self.locals, self._dense = None, (), coefficients  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Structured(shape={self.frame.shape}, order={self.order}, kept={self.layout.kept})"


def begin(x: Tensor, layout: Layout, blocks: tuple[Picked | Aimed, ...], tops: Mapping[int, Tensor]) -> Structured:
    """Structured jets of the coordinates themselves."""
    one = x.new_ones(1, 1, 1)

    def unit(values: Tensor, order: int, mask: Tensor | None = None) -> Jet:
        first = one if mask is None else one * mask
        return Jet([values, first, *(None,) * (order - 1)], Layout.uniform(1, order))

    reach = max([1 if tops else 0, *(block.span.reach for block in blocks if isinstance(block, Aimed))])
    locals_ = tuple(
        unit(block.gather(x), block.span.reach, block.mask) if isinstance(block, Picked) else None for block in blocks
    )
    frame = Frame(layout, (x.shape[0], x.shape[1]), blocks, tops, (0, x.shape[1], 1))
    return Structured(unit(x, reach) if reach else x, locals_, frame)


def keeps(*names: str) -> Callable[[Handler], Handler]:
    """Register a rule ``(name, func, args, kwargs)`` of operations; it returns None where it does not apply."""

    def register(handler: Handler) -> Handler:
        for name in names:
            for home in (torch, torch.Tensor, torch.nn.functional, torch.special, torch.linalg):
                for spelled in (name, f"__{name}__"):
                    func = getattr(home, spelled, None)
                    if callable(func):
                        _HANDLERS[func] = name, handler
            if name.startswith("r") and hasattr(torch.Tensor, f"__{name}__"):
                _REFLECTED[f"__{name}__"] = name, handler
        return handler

    return register


# --- pieces of structured jets ---------------------------------------------------------------------------------------


def apply(func: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any]) -> Any:
    """Call a torch function, by the rules of jets where one is among the arguments."""
    args = tuple(args)
    if any(isinstance(a, Jet) for a in (*args, *kwargs.values())):
        return Jet.__torch_function__(func, (Jet,), args, dict(kwargs))
    return func(*args, **kwargs)


def unit_coefficient(values: Tensor | Jet | None, k: int) -> Coefficient:
    """Coefficient ``G_k`` (1, n|1, d|1); None where it is zero."""
    if isinstance(values, Jet):
        if k == 0:
            return values.primal.unsqueeze(0)
        return values.coefficients[k] if k <= values.order else None
    if k or values is None:
        return None
    return values.reshape(1, -1, values.shape[-1])


def over_coordinates(dim: Any) -> bool:
    """Tell whether a reduction or a slice runs over the last of two axes, and no other."""
    axes = tuple(dim) if isinstance(dim, list | tuple) else (dim,)
    return len(axes) == 1 and axes[0] in (1, -1)


def assemble(
    x: Structured, at_axes: Callable[[int, int, Tensor], Tensor], along: Callable[[int, int], Coefficient]
) -> list[Coefficient]:
    """Rows of orders 1 to K: ``at_axes(place, k, g)`` of blocks of axes, ``along(place, k)`` of vectors."""
    orders = []
    for k in range(1, x.order + 1):
        shares = []
        for place, (block, local) in enumerate(zip(x.frame.blocks, x.locals, strict=True)):
            rows: Coefficient = None
            if block.span.active(k):
                g = unit_coefficient(local, k)
                rows = along(place, k) if local is None else None if g is None else at_axes(place, k, g)
            shares.append((block.span, rows))
        orders.append(plus(join(x.layout, k, shares), along(-1, k) if k in x.frame.tops else None))
    return orders


def _dense_rows(x: Structured) -> list[Coefficient]:
    frame = x.frame

    def at_axes(place: int, k: int, g: Tensor) -> Tensor:
        return frame.blocks[place].dense(k, g, frame.shape[1])  # type: ignore[union-attr]

    def along(place: int, k: int) -> Coefficient:
        g = unit_coefficient(x.value, 1 if place < 0 else k)
        return None if g is None else frame.vectors(place, k) * g

    return assemble(x, at_axes, along)
