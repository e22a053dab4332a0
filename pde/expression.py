"""Expressions over the jets of fields: what a residual is recorded as.

A residual is run once, on symbols. Its result is a graph of :class:`Expression` nodes whose leaves are derivatives of
fields, coordinates and parameters; it is evaluated as often as needed on tensors. Derivatives of composites
(``div(a * grad(u))``) are worked out on the graph: sums and products by their rules, every other torch function by
Taylor arithmetic along the directions that the derivative needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..errors import ConfigError, unknown
from ..jets import Derivative, Quantity, SparseIndex, Trace, quantity
from ..jets.derivative import sparse
from ..typing import Tensor
from .frame import Frame
from .vector import Vector

__all__ = [
    "Apply",
    "Coordinate",
    "Data",
    "Expression",
    "Field",
    "Frame",
    "Number",
    "Parameter",
    "Total",
    "Vector",
    "as_expression",
    "differentiate",
]


class Expression:
    """One value at each point, as a node of the recorded graph.

    Supports arithmetic, torch functions, and derivatives by name: ``u.x``, ``u.xx``, ``u.xt``.
    """

    _frame: Frame
    __array_priority__ = 1000  # as torch.Tensor has it: ``np.float64(2) * u`` is left to ``u``

    @classmethod
    def __torch_function__(
        cls, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Expression:
        return Apply.of(func, args, kwargs or {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        method = getattr(torch.Tensor, name, None)
        axes = self._frame.split(name)
        if axes is not None:
            result: Expression = self
            for axis in axes:
                result = differentiate(result, axis)
            return result
        if name in _VALUES:
            raise ConfigError(f"{self} has a value at each point, which .{name}() would need now; use torch functions")
        if callable(method) and name not in _TRANSPOSES:
            return lambda *args, **kwargs: Apply.of(method, (self, *args), kwargs)
        coords = self._frame.coords
        options = [*coords, *(c * 2 for c in coords if len(c) == 1)] if len(coords) <= 1000 else [*coords[:10], "..."]
        raise ConfigError(unknown("derivative", name, options, str(self)))

    def __bool__(self) -> bool:
        raise ConfigError(
            f"a residual is recorded once and cannot branch on the value of {self}; use torch.where(condition, a, b)"
        )

    def __float__(self) -> float:
        raise ConfigError(f"{self} has a value at each point and cannot become a float; use torch functions")

    def __iter__(self) -> Any:
        raise ConfigError(f"{self} is a scalar field and cannot be iterated")

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise ConfigError(f"NumPy cannot act on {self}; use the torch function of the same name")

    def __neg__(self) -> Expression:
        return _product(Number(-1.0, self._frame), self)

    def __pos__(self) -> Expression:
        return self

    def __add__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, Vector) else _sum(self, as_expression(other, self._frame))

    def __radd__(self, other: Any) -> Any:
        return _sum(as_expression(other, self._frame), self)

    def __sub__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, Vector) else _sum(self, -as_expression(other, self._frame))

    def __rsub__(self, other: Any) -> Any:
        return _sum(as_expression(other, self._frame), -self)

    def __mul__(self, other: Any) -> Any:
        return NotImplemented if isinstance(other, Vector) else _product(self, as_expression(other, self._frame))

    def __rmul__(self, other: Any) -> Any:
        return _product(as_expression(other, self._frame), self)

    def __truediv__(self, other: Any) -> Expression:
        if isinstance(other, Vector):
            return NotImplemented
        if isinstance(other, int | float):
            if other == 0:
                raise ConfigError(f"the residual divides {self} by zero; check the coefficients")
            return _product(self, Number(1.0 / other, self._frame))
        return _product(self, Apply.of(torch.reciprocal, (as_expression(other, self._frame),), {}))

    def __rtruediv__(self, other: Any) -> Expression:
        return as_expression(other, self._frame) / self

    def __pow__(self, exponent: Any) -> Expression:
        if isinstance(exponent, int | float) and exponent == 1:
            return self
        return Apply.of(torch.pow, (self, exponent), {})

    def __rpow__(self, base: Any) -> Expression:
        return Apply.of(torch.pow, (base, self), {})

    def __gt__(self, other: Any) -> Expression:
        return Apply.of(torch.gt, (self, other), {})

    def __ge__(self, other: Any) -> Expression:
        return Apply.of(torch.ge, (self, other), {})

    def __lt__(self, other: Any) -> Expression:
        return Apply.of(torch.lt, (self, other), {})

    def __le__(self, other: Any) -> Expression:
        return Apply.of(torch.le, (self, other), {})

    def __abs__(self) -> Expression:
        return Apply.of(torch.abs, (self,), {})

    def _children(self) -> tuple[Expression, ...]:
        return ()

    def __repr__(self) -> str:
        return str(self)


class Number(Expression):
    """A constant: a float, or a tensor that broadcasts over the points."""

    def __init__(self, value: Any, frame: Frame) -> None:
        finite = math.isfinite(value) if isinstance(value, int | float) else bool(torch.isfinite(value).all())
        if not finite:
            raise ConfigError(f"a constant of the residual is not finite: {value}; check the coefficients")
        self._value, self._frame = value, frame

    def _is(self, value: float) -> bool:
        return isinstance(self._value, int | float) and self._value == value

    def __str__(self) -> str:
        return f"{self._value:g}" if isinstance(self._value, int | float) else "tensor"


class Coordinate(Expression):
    """A coordinate of the points."""

    def __init__(self, name: str, frame: Frame) -> None:
        self._name, self._axis, self._frame = name, frame.axis(name), frame

    def __str__(self) -> str:
        return self._name


class Parameter(Expression):
    """A parameter of the equation, known or trained: one number for all points."""

    def __init__(self, name: str, frame: Frame) -> None:
        self._name, self._frame = name, frame

    def __str__(self) -> str:
        return self._name


class Data(Expression):
    """A column that comes with the points, such as a normal or an observed value; its derivative is refused."""

    def __init__(self, name: str, frame: Frame) -> None:
        self._name, self._frame = name, frame

    def __str__(self) -> str:
        return self._name


class Field(Expression):
    """A sum of derivatives of one unknown function; the function itself and ``lap(u)`` are such sums."""

    def __init__(self, name: str, terms: Quantity, frame: Frame) -> None:
        self._name, self._terms, self._frame = name, terms, frame

    @classmethod
    def of(cls, name: str, frame: Frame) -> Field:
        """Make the function itself, by the name under which the frame knows it."""
        return cls(frame.field(name), quantity({Derivative(): 1.0}), frame)

    def _apply(self, operator: Quantity) -> Field:
        """Apply a differential operator with constant coefficients."""
        return Field(self._name, self._terms * operator, self._frame)

    def __str__(self) -> str:
        words = []
        for derivative, c in self._written():
            name = derivative.name(self._frame.coords)
            word = self._name if not name else f"{name} {self._name}" if derivative.traces else f"{self._name}_{name}"
            words.append(word if c == 1 else f"{c:g} {word}")
        return words[0] if len(words) == 1 else "(" + " + ".join(words) + ")" if words else "0"

    def _written(self) -> Quantity:
        """Write sums over few coordinates out."""
        if sum(derivative.terms for derivative, _ in self._terms) > _WRITTEN_OUT:
            return self._terms
        return Quantity.of({Derivative(index): c for index, c in self._terms.expanded().items()})


class Total(Expression):
    """A sum over the spatial coordinates that is kept by name: the plan delivers its value.

    Attributes:
        _key: What it is known by.
        _wanted: What the plan is asked for.
        _trace: Sum of derivatives whose directions estimate it; None if it is always exact.
    """

    _key: Any
    _wanted: Any
    _trace: Trace | None

    def _pick(self, y: Mapping[Any, Tensor]) -> Tensor:
        """Take the value at each point from what the plan read of the network's outputs."""
        raise NotImplementedError

    def _differentiated(self, axis: int) -> Expression:
        """Differentiate along a coordinate."""
        raise NotImplementedError


class Apply(Expression):
    """A torch function of expressions and constants."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], frame: Frame
    ) -> None:
        self._function, self._args, self._kwargs, self._frame = function, args, kwargs, frame

    @classmethod
    def of(cls, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Expression:
        """Record a call; sums and products take their own nodes, so that they can be differentiated by rule."""
        inputs = [arg for arg in _flat(args) if isinstance(arg, Expression)]
        if not inputs:
            raise ConfigError(
                f"keyword arguments of {getattr(function, '__name__', function)} may not be fields; "
                "pass them by position"
            )
        frame = inputs[0]._frame
        plain = _ARITHMETIC.get(getattr(function, "__name__", ""))
        if plain is not None and not kwargs and len(args) <= 2:
            left, *right = (as_expression(arg, frame) for arg in args)
            return plain(left, *right)
        if function is torch.where:
            # As numbers of the graph they take the dtype of the points; torch.where would make them float32.
            args = (args[0], *(as_expression(arg, frame) for arg in args[1:]))
        return cls(function, args, kwargs, frame)

    def _children(self) -> tuple[Expression, ...]:
        return tuple(arg for arg in _flat(self._args) if isinstance(arg, Expression))

    def __str__(self) -> str:
        name = getattr(self._function, "__name__", "f")
        if name == "pow" and len(self._args) == 2:
            return "^".join(_bracketed(arg) for arg in self._args)
        return f"{name}({', '.join(str(arg) for arg in self._args)})"


class Sum(Expression):
    """``a + b``."""

    def __init__(self, left: Expression, right: Expression) -> None:
        self._left, self._right, self._frame = left, right, left._frame

    def _children(self) -> tuple[Expression, ...]:
        return (self._left, self._right)

    def __str__(self) -> str:
        right = str(self._right)
        return f"{self._left} - {right[1:]}" if right.startswith("-") else f"{self._left} + {right}"


class Product(Expression):
    """``a b``."""

    def __init__(self, left: Expression, right: Expression) -> None:
        self._left, self._right, self._frame = left, right, left._frame

    def _children(self) -> tuple[Expression, ...]:
        return (self._left, self._right)

    def __str__(self) -> str:
        left, right = (f"({part})" if isinstance(part, Sum) else str(part) for part in self._children())
        if isinstance(self._right, Apply) and self._right._function is torch.reciprocal:
            return f"{left} / {_bracketed(self._right._args[0])}"
        right = f"({right})" if right.startswith("-") else right
        return f"-{right}" if left == "-1" else f"{left} {right}"


class Composite(Expression):
    """``d^alpha`` of a torch function of expressions, from Taylor arithmetic along ``directions``.

    ``inputs[r][i]`` lists the derivatives of argument i along direction r, orders 1 to ``|alpha|``, as expressions.
    """

    def __init__(self, call: Apply, index: SparseIndex) -> None:
        from ._composite import directional_inputs

        self._call, self._index, self._frame = call, index, call._frame
        self._weights, self._inputs = directional_inputs(call, index)

    def _children(self) -> tuple[Expression, ...]:
        rows = [node for direction in self._inputs for argument in direction for node in argument]
        return (*self._call._children(), *rows)

    def __str__(self) -> str:
        return f"d_{Derivative(self._index).name(self._frame.coords)}[{self._call}]"


def _bracketed(node: Any) -> str:
    return f"({node})" if isinstance(node, Sum | Product) else str(node)


def _flat(args: Any) -> list[Any]:
    found: list[Any] = []
    for arg in args:
        if isinstance(arg, list | tuple) and not isinstance(arg, Vector):
            found += _flat(arg)
        else:
            found.append(arg)
    return found


def as_expression(value: Any, frame: Frame) -> Expression:
    """Make numbers and tensors nodes of the graph.

    Raises:
        ConfigError: If the value is none of these.
    """
    if isinstance(value, Expression):
        return value
    if isinstance(value, int | float | Tensor):
        return Number(value, frame)
    if hasattr(value, "__float__"):
        return Number(float(value), frame)
    raise ConfigError(f"a residual combines fields, coordinates, parameters and numbers; got {value!r}")


def _sum(left: Expression, right: Expression) -> Expression:
    if isinstance(left, Number) and left._is(0):
        return right
    if isinstance(right, Number) and right._is(0):
        return left
    return Sum(left, right)


def _product(left: Expression, right: Expression) -> Expression:
    for one, other in ((left, right), (right, left)):
        if isinstance(one, Number):
            if one._is(0):
                return one
            if one._is(1):
                return other
    if isinstance(left, Number) and isinstance(right, Number):
        return Number(left._value * right._value, left._frame)
    return Product(left, right)


_ARITHMETIC: dict[str, Callable[..., Expression]] = {
    "add": _sum, "__add__": _sum, "__radd__": _sum,
    "sub": lambda a, b: _sum(a, -b), "__sub__": lambda a, b: _sum(a, -b),
    "rsub": lambda a, b: _sum(b, -a), "__rsub__": lambda a, b: _sum(b, -a),
    "mul": _product, "multiply": _product, "__mul__": _product, "__rmul__": _product,
    "div": lambda a, b: a / b, "__truediv__": lambda a, b: a / b, "true_divide": lambda a, b: a / b,
    "__rtruediv__": lambda a, b: b / a, "neg": lambda a: -a, "negative": lambda a: -a, "__neg__": lambda a: -a,
}  # fmt: skip


_WRITTEN_OUT = 16
"""Up to so many terms, sums over coordinates are displayed term by term."""

_TRANSPOSES = frozenset({"t", "swapaxes", "transpose", "permute"})
"""Methods that mean nothing for one value at each point; ``u.t`` is a derivative, asked for where there is no time."""

_VALUES = frozenset({"item", "tolist", "numpy", "cpu", "cuda", "backward"})

_PIECEWISE_CONSTANT = frozenset({
    "gt", "ge", "lt", "le", "eq", "ne", "greater", "greater_equal", "less", "less_equal", "logical_and", "logical_or",
    "logical_not", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_not", "sign", "sgn", "floor", "ceil", "round",
    "trunc", "heaviside", "isfinite", "isnan", "isinf", "signbit",
})  # fmt: skip
"""Functions without a derivative at their jumps and with a zero one elsewhere."""


def differentiate(node: Expression, axis: int) -> Expression:
    """Differentiate an expression along a coordinate.

    Derivatives are remembered, so that repeated ones share their nodes.

    Raises:
        ConfigError: If it contains data that is known at the points only.
    """
    known: dict[int, Expression] = node.__dict__.setdefault("_derivatives", {})
    if axis not in known:
        known[axis] = _derivative(node, axis)
    return known[axis]


def _derivative(node: Expression, axis: int) -> Expression:
    frame = node._frame
    match node:
        case Field():
            return node._apply(quantity({frame.unit(axis): 1.0}))
        case Coordinate():
            return Number(1.0 if node._axis == axis else 0.0, frame)
        case Number() | Parameter():
            return Number(0.0, frame)
        case Sum():
            return _sum(differentiate(node._left, axis), differentiate(node._right, axis))
        case Product():
            return _sum(
                _product(differentiate(node._left, axis), node._right),
                _product(node._left, differentiate(node._right, axis)),
            )
        case Apply() if getattr(node._function, "__name__", "") in _PIECEWISE_CONSTANT:
            return Number(0.0, frame)
        case Apply():
            return _composite(node, frame.unit(axis))
        case Composite():
            return _composite(node._call, sparse((*node._index, (axis, 1))))
        case Total():
            return node._differentiated(axis)
        case _:
            raise ConfigError(f'"{node}" is known at the points only and has no derivative')


def _composite(call: Apply, index: SparseIndex) -> Expression:
    """Zero where no argument depends on the coordinates of the derivative."""
    frame = call._frame
    for axis, _ in index:
        if all(_is_zero(differentiate(child, axis)) for child in call._children()):
            return Number(0.0, frame)
    return Composite(call, index)


def _is_zero(node: Expression) -> bool:
    return isinstance(node, Number) and node._is(0)
