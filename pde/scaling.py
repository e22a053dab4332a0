"""Equations in dimensionless coordinates and fields, from declared characteristic scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import ConfigError, unknown
from ..typing import Float, Tensor
from ._rescaling import Affine, collected, rescaled
from .equation import Equation, Parameters, trace
from .expression import Expression, Field, Frame, Number, Total, _product, _sum
from .parameter import Unknown
from .recording import Recorded, Values, _topological, collect

__all__ = ["DimensionlessTerm", "Scale", "ScaledEquation", "Scales"]


@dataclass(frozen=True)
class Scale:
    """Characteristic size of a coordinate or field: ``physical = size * dimensionless + offset``.

    Args:
        size: A positive number, in units of the quantity.
        offset: The physical value that becomes zero.
        unit: Name of the unit, for descriptions only.

    Raises:
        ConfigError: If the size is not positive or a number not finite.

    >>> Scale(86400.0, unit="s").physical(2.0)
    172800.0
    """

    size: float
    offset: float = 0.0
    unit: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.size) and self.size > 0 and math.isfinite(self.offset)):
            raise ConfigError(f"a scale needs a positive size and a finite offset; got {self.size} and {self.offset}")

    def physical(self, value: Any) -> Any:
        """Return to units."""
        return self.size * value + self.offset

    def dimensionless(self, value: Any) -> Any:
        """Leave the units behind."""
        return (value - self.offset) / self.size


@dataclass(frozen=True)
class Scales:
    """Scales of all coordinates and fields of a problem.

    Attributes:
        coords: Scale of each coordinate.
        fields: Scale of each field.

    >>> scales = Scales.of({"x": 2.0, "u": Scale(300.0, 273.15, "K")}, ("x", "t"), ("u",))
    >>> scales.coords["t"].size, scales.fields["u"].offset
    (1.0, 273.15)
    """

    coords: Mapping[str, Scale]
    fields: Mapping[str, Scale]

    @classmethod
    def of(cls, given: Mapping[str, Any], coords: Sequence[str], fields: Sequence[str]) -> Scales:
        """Make scales of numbers, ``(size, offset)`` pairs or :class:`Scale`; names not given have scale one.

        Raises:
            ConfigError: If a name is neither a coordinate nor a field, or a value is no scale.
        """
        for name in given:
            if name not in coords and name not in fields:
                raise ConfigError(unknown("coordinate or field", name, [*coords, *fields], "the scales"))
        made = {name: _scale(name, value) for name, value in given.items()}
        one = Scale(1.0)
        return cls({name: made.get(name, one) for name in coords}, {name: made.get(name, one) for name in fields})

    def physical(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Return dimensionless points to units; jets of points, too."""
        sizes, offsets = self._columns(x)
        return x * sizes + offsets

    def dimensionless(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        """Make physical points dimensionless; jets of points, too."""
        sizes, offsets = self._columns(x)
        return (x - offsets) * (1.0 / sizes)

    def _columns(self, x: Any) -> tuple[Tensor, Tensor]:
        options: dict[str, Any] = {"dtype": x.dtype, "device": x.device}
        scales = self.coords.values()
        return torch.tensor([s.size for s in scales], **options), torch.tensor([s.offset for s in scales], **options)

    def affine(self, frame: Frame) -> Affine:
        """Sizes and origins in the order of a frame."""
        chosen = [self.coords.get(name, Scale(1.0)) for name in frame.coords]
        return Affine(
            tuple(s.size for s in chosen), tuple(s.offset for s in chosen),
            {name: s.size for name, s in self.fields.items()}, {name: s.offset for name, s in self.fields.items()},
        )  # fmt: skip

    def describe(self) -> str:
        """Write each scale in words."""
        lines = []
        for name, scale in (*self.coords.items(), *self.fields.items()):
            unit = f" {scale.unit}" if scale.unit else ""
            origin = f" + {scale.offset:g}{unit}" if scale.offset else ""
            lines.append(f"{name} = {scale.size:g}{unit} {name}'{origin}")
        return "\n".join(lines)


def _scale(name: str, value: Any) -> Scale:
    if isinstance(value, Scale):
        return value
    pair = value if isinstance(value, tuple) else (value,)
    if not 1 <= len(pair) <= 3 or not all(isinstance(part, int | float) for part in pair[:2]):
        raise ConfigError(f"the scale of {name} must be a number, (size, offset) or Scale(...); got {value!r}")
    return Scale(*pair)


@dataclass(frozen=True)
class DimensionlessTerm:
    """One part of a dimensionless residual.

    Attributes:
        text: What is left of it when its constant factor is taken out, in dimensionless coordinates and fields.
        factor: Constant factor: the dimensionless number.
        size: Root mean square where all fields and derivatives are one: ``|factor|`` unless coordinates enter.
    """

    text: str
    factor: float
    size: float


class ScaledEquation(Equation):
    """An equation in dimensionless coordinates and fields, each residual divided by its dominating part.

    With ``x = X x' + x0`` and ``u = U u' + u0`` a derivative ``d^k u / dx^k`` is ``U / X^k d^k u' / dx'^k``; this holds
    node by node for any recorded residual, coefficients and sources that are functions included. Fixed parameters go
    into the dimensionless numbers; unknown ones keep their units.

    Args:
        original: Equation in units.
        scales: Scales of coordinates and fields, as :meth:`Scales.of` takes them.
        points: Dimensionless points at which coefficients are sized; None for the unit cube.
        known: Values of parameters that are fixed; None for the equation's own.

    Raises:
        ConfigError: If a scale is wrong, or a part is not finite.

    >>> from kjet.pde import Heat
    >>> rod = ScaledEquation(original=Heat(diffusivity=1e-5), scales={"x": 0.1, "t": 3600.0, "u": 80.0})
    >>> print(rod.describe())
    residual / 0.08: 0.278 u_t - u_xx = 0
    """

    original: Equation
    scales: Any
    points: Any = None
    known: Any = None
    fields: tuple[str, ...] = ()
    coords: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        original = self.original
        if not isinstance(original, Equation):
            raise ConfigError(f"original must be an Equation, such as Heat(); got {original!r}")
        self.fields, self.coords, self.time = tuple(original.fields), tuple(original.coords), original.time  # type: ignore[misc]
        if not isinstance(self.scales, Scales):
            self.scales = Scales.of(self.scales, self.coords, self.fields)
        if self.known is None:
            self.known = {k: v for k, v in original.parameters().items() if not isinstance(v, Unknown)}
        super().__post_init__()
        frame = self.frame(tuple(self.scales.coords))
        x = _unit_cube(frame.d) if self.points is None else self.points
        parts = self._parts([Field.of(name, frame) for name in frame.fields], Parameters(frame))
        numbers = {k: v.initial if isinstance(v, Unknown) else v for k, v in original.parameters().items()}
        self.sizes, self.numbers = _sized(parts, x, {**numbers, **self.known}, frame)

    def parameters(self) -> dict[str, float | Unknown]:
        """Parameters of the original, in units."""
        return self.original.parameters()

    def functions(self) -> dict[str, Callable[..., Any]]:
        """None: those of the original are part of the residual."""
        return {}

    def residual(self, *arguments: Any) -> dict[str, Expression]:
        """Return the residuals of the original in dimensionless form."""
        *fields, p = arguments
        frame = p._frame
        return {
            name: _joined([(c / self.sizes[name], node) for c, node in parts], frame)
            for name, parts in self._parts(fields, p).items()
        }

    def _parts(self, fields: Sequence[Expression], p: Parameters) -> dict[str, list[tuple[float, Expression]]]:
        frame = p._frame
        physical = [Field.of(name, frame) for name in frame.fields]
        found = collect(trace(self.original.residual, physical, Parameters(frame, self.original.functions())), frame)
        given = dict(zip(frame.fields, fields, strict=True))
        nodes = rescaled(tuple(found.values()), self.scales.affine(frame), given, frame)
        return {name: collected(node, self.known) for name, node in zip(found, nodes, strict=True)}

    def describe(self) -> str:
        """Write the residuals with their dimensionless numbers."""
        return "\n".join(
            f"{name} / {self.sizes[name]:g}: " + _written(terms) + " = 0" for name, terms in self.numbers.items()
        )


def rescale_recorded(
    recorded: Recorded, scales: Scales, x: Float[Tensor, "n d"], known: Mapping[str, float], values: Mapping[str, float]
) -> tuple[Recorded, dict[str, float]]:
    """Make recorded residuals dimensionless, each divided by its dominating part; returns these sizes, too.

    Args:
        recorded: Residuals in units.
        scales: Scales.
        x: Dimensionless points at which coefficients are sized.
        known: Parameters that are fixed, to be put into the numbers.
        values: Values of all parameters.
    """
    frame = recorded.frame
    given = {name: Field.of(name, frame) for name in frame.fields}
    nodes = rescaled(recorded._outputs, scales.affine(frame), given, frame)
    parts = {name: collected(node, known) for name, node in zip(recorded.names, nodes, strict=True)}
    sizes, _ = _sized(parts, x, values, frame)
    outputs = {name: _joined([(c / sizes[name], n) for c, n in terms], frame) for name, terms in parts.items()}
    return Recorded(outputs, frame), sizes


def _unit_cube(d: int) -> Float[Tensor, "n d"]:
    return torch.rand(256, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _joined(terms: Sequence[tuple[float, Expression]], frame: Frame) -> Expression:
    result: Expression = Number(0.0, frame)
    for factor, node in terms:
        result = _sum(result, _product(Number(factor, frame), node))
    return result


def _sized(
    parts: Mapping[str, Sequence[tuple[float, Expression]]], x: Tensor, values: Mapping[str, float], frame: Frame
) -> tuple[dict[str, float], dict[str, tuple[DimensionlessTerm, ...]]]:
    """Sizes of the residuals where all fields and their derivatives are one, and their parts relative to that."""
    sizes, numbers = {}, {}
    for name, terms in parts.items():
        each = [abs(c) * _rms(node, x, values, frame) for c, node in terms]
        if not all(math.isfinite(size) for size in each):
            bad = next(str(node) for size, (_, node) in zip(each, terms, strict=True) if not math.isfinite(size))
            raise ConfigError(f'"{bad}" of residual "{name}" is not finite in these scales; check sizes and offsets')
        size = max(each, default=0.0) or 1.0
        sizes[name] = size
        numbers[name] = tuple(
            DimensionlessTerm(str(node), c / size, s / size) for s, (c, node) in zip(each, terms, strict=True)
        )
    return sizes, numbers


def _rms(node: Expression, x: Tensor, values: Mapping[str, float], frame: Frame) -> float:
    ones: dict[Any, Tensor] = {}
    for leaf in _topological([node]):
        if isinstance(leaf, Field):
            ones[leaf._name, leaf._terms] = x.new_ones(len(x))
        elif isinstance(leaf, Total):
            ones[leaf._key] = x.new_ones(len(x))
    data = {name: x.new_ones(len(x)) for name in Recorded({"part": node}, frame).data}
    (found,) = Recorded({"part": node}, frame)(Values(x, ones, values, data))
    return float(found.double().square().mean().sqrt())


def _written(terms: Sequence[DimensionlessTerm]) -> str:
    words = []
    for term in terms:
        sign = "-" if term.factor < 0 else "+"
        number = "" if math.isclose(abs(term.factor), 1.0) else f"{abs(term.factor):.3g} "
        text = "" if term.text == "1" and number else term.text
        words.append(f"{sign} {number}{text}".rstrip())
    return " ".join(words).removeprefix("+ ")
