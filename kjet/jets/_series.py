"""Arithmetic on lists of Taylor coefficients: what the rules are written with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import ConfigError
from ..typing import Tensor
from .jet import Jet

Coefficient = Tensor | None


def plus(a: Coefficient, b: Coefficient) -> Coefficient:
    """Add two coefficients, of which each may be zero (None)."""
    if a is None:
        return b
    return a if b is None else a + b


def aligned(coefficient: Tensor, ndim: int) -> Tensor:
    """Insert axes behind the row axis, so that a coefficient broadcasts against a tensor of ``ndim`` axes."""
    missing = ndim + 1 - coefficient.ndim
    if missing <= 0:
        return coefficient
    return coefficient.reshape(coefficient.shape[0], *(1,) * missing, *coefficient.shape[1:])


def elementwise_pair(x: Jet, ndim: int) -> Jet:
    """View a jet as one of ``ndim`` axes, for broadcasting against another operand."""
    if x.ndim >= ndim:
        return x
    return Jet([x.primal, *(None if c is None else aligned(c, ndim) for c in x.coefficients[1:])], x.layout)


def linear(x: Jet, function: Callable[[Tensor], Tensor], rowwise: Callable[[Tensor], Tensor]) -> Jet:
    """Apply a linear operation: ``function`` to the primal, ``rowwise`` to the coefficients.

    The two may differ by what is constant, such as a bias or a mask taken from the primal.

    Args:
        x: Argument.
        function: Called with the primal.
        rowwise: Called with each coefficient that is not zero: a leading axis of rows, then axes that broadcast to
            those of the primal.

    >>> import torch
    >>> from kjet.jets.layout import Layout
    >>> x = Jet([torch.tensor([0.5]), torch.ones(1, 1)], Layout.uniform(1, 1))
    >>> y = linear(x, lambda value: 3 * value + 1, lambda rows: 3 * rows)
    >>> [c.item() for c in y.coefficients]
    [2.5, 3.0]
    """
    return Jet([function(x.primal), *(None if c is None else rowwise(c) for c in x.coefficients[1:])], x.layout)


def convolve(
    a: Jet, b: Jet, k: int, product: Callable[[Tensor, Tensor], Tensor], rowed: Callable[[int, int], Any] | None = None
) -> Coefficient:
    """Coefficient ``k`` of a bilinear product: ``sum_i product(a_i, b_{k-i})``.

    ``rowed(i, j)`` may give the product to use for the pair of orders (whether each has a row axis).
    """

    def times(i: int, j: int, left: Coefficient, right: Coefficient) -> Coefficient:
        if left is None or right is None:
            return None
        return (rowed(i, j) if rowed else product)(left, right)

    outer = plus(
        times(0, k, a.coefficients[0], b.coefficients[k]),
        times(k, 0, a.coefficients[k], b.coefficients[0]) if k else None,
    )
    if k < 2:
        return outer
    inner: Coefficient = None
    if a is b and rowed is None:
        for i in range(1, (k + 1) // 2):
            term = times(i, k - i, a.lower(i, k), a.lower(k - i, k))
            inner = plus(inner, None if term is None else 2 * term)
        if k % 2 == 0:
            inner = plus(inner, times(k // 2, k // 2, a.lower(k // 2, k), a.lower(k // 2, k)))
    else:
        for i in range(1, k):
            inner = plus(inner, times(i, k - i, a.lower(i, k), b.lower(k - i, k)))
    return plus(outer, None if inner is None else a.layout.reduce(k, inner))


def compose_with_slope(x: Jet, value: Tensor, slope: Callable[[Any], Any]) -> Jet:
    """Push a jet through ``y = f(x)`` whose derivative is a torch function that has rules itself.

    ``y_k = g_0 x_k + (1/k) sum_{0<j<k} j x_j g_{k-j}``, ``g = f'(x)``, where the second part needs lower orders only
    and is summed into its slots before the first is added. This recurrence keeps float32 digits at high order where
    Stirling-type formulas lose them.

    Args:
        x: Argument.
        value: ``f`` at the primal.
        slope: ``f'``, of the primal or of a jet one order lower.

    Cost: that of the slope, and O(K^2) elementwise products.

    >>> import torch
    >>> from kjet.jets.layout import Layout
    >>> x = Jet([torch.tensor(0.5), torch.ones(1), None], Layout.uniform(1, 2))
    >>> y = compose_with_slope(x, x.primal.log(), torch.reciprocal)
    >>> [round(float(c), 4) for c in y.coefficients]
    [-0.6931, 2.0, -2.0]
    """
    return compose_with_slopes((x,), value, lambda t: (slope(t),))


def compose_with_slopes(arguments: Sequence[Any], value: Tensor, slopes: Callable[..., Sequence[Any]]) -> Jet:
    """Push jets through a function of several arguments, ``y' = sum_i g_i(x_1, x_2, ...) x_i'``.

    Args:
        arguments: Jets, or tensors for what is constant.
        value: The function at the primals.
        slopes: Its derivatives by each argument, of the primals or of jets one order lower. Those by constants are
            not used.

    >>> import torch
    >>> from kjet.jets.layout import Layout
    >>> x = Jet([torch.tensor(3.0), torch.ones(1), None], Layout.uniform(1, 2))
    >>> y = compose_with_slopes((x, x), x.primal * x.primal, lambda a, b: (b, a))
    >>> [float(c) for c in y.coefficients]
    [9.0, 6.0, 1.0]
    """
    layout = next(x.layout for x in arguments if isinstance(x, Jet))
    axes = max(x.ndim if isinstance(x, Jet | Tensor) else 0 for x in arguments)
    arguments = [elementwise_pair(x, axes) if isinstance(x, Jet) else x for x in arguments]
    lower = [_one_order_lower(x) if isinstance(x, Jet) else x for x in arguments]
    pairs: list[tuple[Jet, list[Any]]] = [
        (x, g.coefficients if isinstance(g, Jet) else [g, *(None,) * layout.order])
        for x, g in zip(arguments, slopes(*lower), strict=True)
        if isinstance(x, Jet)
    ]
    y: list[Coefficient] = [value]
    for k in range(1, layout.order + 1):
        total: Coefficient = None
        for x, g in pairs:
            top = x.coefficients[k]
            total = plus(total, None if top is None else g[0] * top)
            total = plus(total, _inner(x, g, k))
        y.append(total)
    return Jet(y, layout)


def _one_order_lower(x: Jet) -> Any:
    """Keep what the slope needs: the directions that go on, without their last order."""
    if x.order == 1:
        return x.primal
    return Jet([x.primal, *(x.lower(k, k + 1) for k in range(1, x.order))], x.layout.truncated())


def _inner(x: Jet, g: Sequence[Coefficient], k: int) -> Coefficient:
    total: Coefficient = None
    active = x.layout.active(k)
    for j in range(1, k):
        left, right = x.lower(j, k), g[k - j]
        if left is not None and right is not None:
            total = plus(total, (j / k) * (left * right[:active]))
    return None if total is None else x.layout.reduce(k, total)


def compose(x: Jet, derivatives: Sequence[Tensor]) -> Jet:
    """Push a jet through a function whose derivatives at the primal are known.

    For functions without a differential equation at hand, such as the gamma function. Gradients need the derivatives
    to be differentiable themselves.

    Args:
        x: Argument.
        derivatives: ``f, f', f'', ...`` at the primal, to the order of the jet at least.

    Raises:
        ConfigError: If there are fewer derivatives than orders.

    Cost: O(K^3) elementwise products; :func:`compose_with_slope` takes O(K^2).

    >>> import torch
    >>> from kjet.jets.layout import Layout
    >>> x = Jet([torch.tensor(0.0), torch.full((1,), 2.0), None], Layout.uniform(1, 2))
    >>> [float(c) for c in compose(x, [x.primal.exp()] * 3).coefficients]
    [1.0, 2.0, 2.0]
    """
    if len(derivatives) <= x.order:
        raise ConfigError(f"a jet of order {x.order} needs {x.order + 1} derivatives; got {len(derivatives)}")
    return _compose(x, derivatives)


def _compose(x: Any, derivatives: Sequence[Tensor]) -> Any:
    """Each derivative is the slope of the one before."""
    if not isinstance(x, Jet):
        return derivatives[0]
    return compose_with_slope(x, derivatives[0], lambda t: _compose(t, derivatives[1:]))
