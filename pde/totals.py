"""Sums over the spatial coordinates other than derivatives of a field, kept by name in the recorded graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from ..jets import GradientProducts, Jet, Trace, Varying
from ..typing import Float, Tensor
from ._sums import balanced
from .expression import Expression, Field, Frame, Total, differentiate
from .point_function import PointFunction

__all__ = ["GradientProduct", "VaryingSum", "written_out"]


class GradientProduct(Total):
    """``sum_i u_i v_i`` over the spatial coordinates, of two unknown functions.

    Its derivative is a sum over the coordinates that is written out.
    """

    def __init__(self, left: str, right: str, frame: Frame) -> None:
        self._left, self._right, self._frame = *sorted((left, right)), frame
        self._wanted, self._trace = GradientProducts(frame.space_axes), Trace(frame.space_axes)
        self._key = (self._left, self._right, self._wanted)

    def _pick(self, y: Mapping[Any, Tensor]) -> Float[Tensor, " n"]:
        a, b = (self._frame.fields.index(name) for name in (self._left, self._right))
        return y[self._wanted][..., a, b]

    def _differentiated(self, axis: int) -> Expression:
        left, right = (Field.of(name, self._frame) for name in (self._left, self._right))
        axes = self._wanted.axes
        terms = [differentiate(differentiate(left, axis), i) * differentiate(right, i) for i in axes]
        if self._left == self._right:
            return 2.0 * balanced(terms)
        return balanced(
            [*terms, *(differentiate(left, i) * differentiate(differentiate(right, axis), i) for i in axes)]
        )

    def __str__(self) -> str:
        return f"|grad {self._left}|^2" if self._left == self._right else f"grad {self._left} . grad {self._right}"


class VaryingSum(Total):
    """``sum_i a_i(x) u_ii`` or ``sum_i a_i(x) u_i`` over the spatial coordinates, of one unknown function.

    Its derivative is a sum over the coordinates that is written out.
    """

    def __init__(self, name: str, sum_: Varying, frame: Frame) -> None:
        self._name, self._wanted, self._frame = name, sum_, frame
        self._trace = Trace(sum_.axes) if sum_.order == 2 else None
        self._key = (name, sum_)

    def _pick(self, y: Mapping[Any, Tensor]) -> Float[Tensor, " n"]:
        return y[self._wanted][..., self._frame.fields.index(self._name)]

    def _differentiated(self, axis: int) -> Expression:
        return differentiate(written_out(Field.of(self._name, self._frame), self._wanted), axis)

    def __str__(self) -> str:
        coefficient = getattr(self._wanted.weight, "__name__", "a")
        return f"sum_i {coefficient}_i {self._name}_{'i' * self._wanted.order}"


def written_out(u: Expression, sum_: Varying) -> Expression:
    """The same sum of any expression, term by term."""
    frame, terms = u._frame, []
    for place, axis in enumerate(sum_.axes):
        value = partial(_coefficient, sum_.weight, sum_.axes, place)
        slope = differentiate(u, axis) if sum_.order == 1 else differentiate(differentiate(u, axis), axis)
        terms.append(PointFunction(value, frame.coords, name=f"a{place}").record(frame) * slope)
    return balanced(terms)


def _coefficient(weight: Callable[[Any], Any], axes: range | tuple[int, ...], place: int, x: Any) -> Any:
    """Coefficient of one coordinate at points (n, d), or at jets of them."""
    index = slice(axes.start, axes.stop, axes.step) if isinstance(axes, range) else list(axes)
    found = weight(x[..., index])
    if not isinstance(found, Jet):
        found = torch.as_tensor(found, dtype=x.dtype, device=x.device)
    if found.ndim == 0:
        return found.expand(x.shape[:-1])
    column = found[..., place if found.shape[-1] > 1 else 0]
    return column.expand(x.shape[:-1]) if column.ndim == 0 else column
