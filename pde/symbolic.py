"""Equations from SymPy expressions.

A SymPy expression is walked, node by node, while the residual is recorded; nothing is parsed from strings, and no code
is generated.
"""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ..errors import ConfigError, unknown
from .calculus import d
from .equation import Coefficient, Equation, Parameters
from .expression import Apply, Expression, as_expression

__all__ = ["from_sympy"]

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "asin": torch.asin, "acos": torch.acos, "atan": torch.atan,
    "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh, "asinh": torch.asinh, "exp": torch.exp,
    "log": torch.log, "erf": torch.erf, "Abs": torch.abs,
}  # fmt: skip

_COMPARISONS: dict[str, Callable[..., Any]] = {
    "StrictGreaterThan": torch.gt, "GreaterThan": torch.ge, "StrictLessThan": torch.lt, "LessThan": torch.le,
}  # fmt: skip

_LOGIC: dict[str, Callable[..., Any]] = {"And": torch.logical_and, "Or": torch.logical_or}


def from_sympy(
    expressions: Any,
    fields: Sequence[Any] | None = None,
    coords: Sequence[Any] | None = None,
    parameters: Mapping[str, Coefficient] | None = None,
) -> Equation:
    """Make an equation of a SymPy expression that is zero on a solution.

    Understood are sums, products, powers, ``Derivative`` of anything, sin, cos, tan and their inverses, sinh, cosh,
    tanh, asinh, exp, log, sqrt, erf, Abs, Min, Max, ``Piecewise`` with a default, and real numbers, ``pi`` and ``E``
    among them.

    Args:
        expressions: An expression, an ``Eq``, a sequence of these, or a mapping from name to one of these.
        fields: Unknown functions, SymPy's or their names; by default all applied undefined functions that are no
            parameters, sorted by name.
        coords: Coordinates, symbols or names; by default the arguments of the fields in order of appearance.
        parameters: Values of the other symbols, by name: numbers, :class:`Unknown`, or functions of the coordinates,
            which may also stand for applied functions such as ``k(x)``.

    Returns:
        An equation, like one that is written by hand.

    Raises:
        ConfigError: If SymPy is not installed, a string is given, a symbol is neither coordinate nor parameter, or the
            expression contains what has no counterpart.

    >>> import sympy
    >>> x, t, nu = sympy.symbols("x t nu")
    >>> u = sympy.Function("u")(x, t)
    >>> burgers = from_sympy(sympy.Eq(u.diff(t) + u * u.diff(x), nu * u.diff(x, 2)), parameters={"nu": 0.1})
    >>> burgers.fields, burgers.coords, burgers.record().order
    (('u',), ('x', 't'), 2)
    """
    sympy = _sympy()
    named = _named(expressions, sympy)
    given = dict(parameters or {})
    found = _applied(named.values(), sympy)
    field_names = _names(fields) if fields is not None else tuple(sorted({f.func.__name__ for f in found} - set(given)))
    unknowns = [f for f in found if f.func.__name__ in field_names]
    coord_names = _names(coords) if coords is not None else _arguments(unknowns, sympy)
    _check(named.values(), found, field_names, coord_names, given)

    def residual(self: Equation, *arguments: Any) -> Any:
        *values, p = arguments
        translation = _Translation(sympy, dict(zip(field_names, values, strict=True)), coord_names, p)
        results = {name: translation.expression(expression) for name, expression in named.items()}
        return results if isinstance(expressions, Mapping) else tuple(results.values())

    body = {
        "__doc__": "An equation written in SymPy: " + "; ".join(f"{e} = 0" for e in named.values()),
        "__annotations__": dict.fromkeys(given, Any),
        "__module__": __name__,
        "fields": field_names,
        "coords": coord_names,
        "residual": residual,
    }
    return type("SymbolicEquation", (Equation,), body)(**given)


def _sympy() -> Any:
    try:
        import sympy
    except ImportError as error:
        raise ConfigError("from_sympy() needs SymPy: pip install kjet[symbolic]") from error
    return sympy


def _named(expressions: Any, sympy: Any) -> dict[str, Any]:
    if isinstance(expressions, Mapping):
        items = {str(name): value for name, value in expressions.items()}
    elif isinstance(expressions, list | tuple):
        items = {f"residual_{i}": value for i, value in enumerate(expressions)}
    else:
        items = {"residual": expressions}
    if not items:
        raise ConfigError("from_sympy() needs at least one expression")
    return {name: _zero(name, value, sympy) for name, value in items.items()}


def _zero(name: str, value: Any, sympy: Any) -> Any:
    """Move everything to the left."""
    if isinstance(value, sympy.Eq):
        return value.lhs - value.rhs
    if not isinstance(value, sympy.Expr):
        hint = "; strings are not parsed, build it from sympy.symbols" if isinstance(value, str) else ""
        raise ConfigError(f'residual "{name}" must be a SymPy expression or Eq; got {value!r}{hint}')
    return value


def _applied(expressions: Iterable[Any], sympy: Any) -> list[Any]:
    """List the applied undefined functions in order of appearance."""
    found: dict[Any, None] = {}
    for expression in expressions:
        for node in sympy.preorder_traversal(expression):
            if isinstance(node, sympy.core.function.AppliedUndef):
                found[node] = None
    return list(found)


def _names(items: Sequence[Any]) -> tuple[str, ...]:
    """Names of symbols, functions, and functions applied to their coordinates."""

    def name(item: Any) -> str:
        applied = not isinstance(item, str | type) and item.args
        function = item.func if applied else item
        return str(getattr(function, "__name__", function))

    return tuple(name(item) for item in items)


def _arguments(unknowns: Sequence[Any], sympy: Any) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for applied in unknowns:
        found.update(dict.fromkeys(str(argument) for argument in applied.args if isinstance(argument, sympy.Symbol)))
    return tuple(found)


def _check(
    expressions: Iterable[Any],
    applied: Sequence[Any],
    fields: Sequence[str],
    coords: Sequence[str],
    given: Mapping[str, Any],
) -> None:
    for name in given:
        if not name.isidentifier() or keyword.iskeyword(name) or hasattr(Equation, name):
            raise ConfigError(f'a parameter cannot be named "{name}"; choose another symbol')
    if not fields:
        raise ConfigError("the expression contains no unknown function such as sympy.Function('u')(x, t)")
    for node in applied:
        name = node.func.__name__
        if name not in fields and name not in given:
            raise ConfigError(unknown("function", name, [*fields, *given], "the equation"))
        if name in fields and {str(argument) for argument in node.args} != set(coords):
            raise ConfigError(f"{node} must be a function of the coordinates {', '.join(coords)} themselves")
    symbols = {str(symbol) for expression in expressions for symbol in expression.free_symbols}
    missing = sorted(symbols - set(coords) - set(given))
    if missing:
        raise ConfigError(
            f"the symbols {', '.join(missing)} are neither coordinates ({', '.join(coords)}) nor parameters; "
            f"pass parameters={{'{missing[0]}': ...}}"
        )


class _Translation:
    """Walks SymPy expressions and records what they say."""

    def __init__(self, sympy: Any, fields: Mapping[str, Any], coords: Sequence[str], p: Parameters) -> None:
        self.sympy, self.fields, self.coords, self.p = sympy, fields, coords, p
        self.frame = p._frame
        self.known: dict[Any, Any] = {}

    def expression(self, node: Any) -> Expression:
        if node not in self.known:
            self.known[node] = as_expression(self._translate(node), self.frame)
        return self.known[node]

    def _translate(self, node: Any) -> Any:
        sympy = self.sympy
        if node.is_number:
            return self._number(node)
        if node.is_Symbol:
            return getattr(self.p, str(node))
        if node.is_Add or node.is_Mul:
            return self._folded(node)
        if node.is_Pow:
            return self._power(node)
        if isinstance(node, sympy.Derivative):
            return self._derivative(node)
        if isinstance(node, sympy.core.function.AppliedUndef):
            name = node.func.__name__
            return self.fields[name] if name in self.fields else getattr(self.p, name)
        if isinstance(node, sympy.Piecewise):
            return self._piecewise(node)
        if isinstance(node, sympy.Min | sympy.Max):
            return self._extremum(node)
        name = node.func.__name__
        if name in _FUNCTIONS and len(node.args) == 1:
            return _FUNCTIONS[name](self.expression(node.args[0]))
        hint = " Use Piecewise for a jump." if name == "Heaviside" else ""
        raise ConfigError(
            f'"{node}" has no counterpart: {unknown("SymPy function", name, _FUNCTIONS, "from_sympy()")}{hint}'
        )

    def _number(self, node: Any) -> float:
        if not node.is_real or not node.is_finite:
            raise ConfigError(
                f'"{node}" is not a finite real number; split complex equations into real and imaginary parts'
            )
        return float(node)

    def _folded(self, node: Any) -> Any:
        first, *rest = (self.expression(part) for part in node.args)
        for part in rest:
            first = first + part if node.is_Add else first * part
        return first

    def _power(self, node: Any) -> Any:
        base, exponent = node.args
        if exponent == self.sympy.S.Half:
            return torch.sqrt(self.expression(base))  # type: ignore[arg-type]
        if exponent == -1:
            return 1 / self.expression(base)
        if exponent.is_Integer:
            return self.expression(base) ** int(exponent)
        if exponent.is_number:
            return self.expression(base) ** self._number(exponent)
        if base.is_number:
            return self._number(base) ** self.expression(exponent)
        return self.expression(base) ** self.expression(exponent)

    def _derivative(self, node: Any) -> Any:
        result = self.expression(node.expr)
        for variable, count in node.variable_count:
            if str(variable) not in self.coords or not count.is_Integer:
                raise ConfigError(
                    f'"{node}" is a derivative in {variable}; the coordinates are {", ".join(self.coords)}'
                )
            result = d(result, *[str(variable)] * int(count))
        return result

    def _piecewise(self, node: Any) -> Any:
        *branches, (last, condition) = node.args
        if condition != self.sympy.true:
            raise ConfigError(f'"{node}" says nothing where no condition holds; end it with (value, True)')
        result = self.expression(last)
        for value, condition in reversed(branches):
            result = Apply.of(torch.where, (self._condition(condition), self.expression(value), result), {})
        return result

    def _extremum(self, node: Any) -> Any:
        first, *rest = (self.expression(part) for part in node.args)
        operation = torch.minimum if isinstance(node, self.sympy.Min) else torch.maximum
        for part in rest:
            first = Apply.of(operation, (first, part), {})
        return first

    def _condition(self, node: Any) -> Expression:
        name = node.func.__name__
        if name in _COMPARISONS:
            left, right = (self.expression(part) for part in node.args)
            return Apply.of(_COMPARISONS[name], (left, right), {})
        if name in _LOGIC:
            first, *rest = (self._condition(part) for part in node.args)
            for part in rest:
                first = Apply.of(_LOGIC[name], (first, part), {})
            return first
        if name == "Not":
            return Apply.of(torch.logical_not, (self._condition(node.args[0]),), {})
        raise ConfigError(f'the condition "{node}" of a Piecewise must compare numbers by <, <=, > or >=')
