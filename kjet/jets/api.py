"""Derivatives of functions at points: the public face of the Taylor core."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor
from ._passes import FEW, PER_PASS, seed
from .chunk import directional_sum
from .derivative import Derivative, dense, quantity, sparse
from .jet import Jet
from .layout import Layout
from .operator import Biharmonic, Laplacian, LinearOperator, Trace, split
from .plan import Plan
from .seeds import PerPoint, Seeds, Shared, start

__all__ = ["Exact", "biharmonic", "contract", "jet", "laplacian", "partials"]

Function = Callable[[Any], Any]


def jet(
    f: Function, x: Float[Tensor, "n d"], directions: Float[Tensor, "s d"] | Float[Tensor, "s n d"], order: int
) -> Float[Tensor, "k s n m"]:
    """Directional derivatives ``d^k/dt^k f(x + t v)`` at t = 0, for k = 0 to ``order``.

    Derivatives, not Taylor coefficients: entry k holds ``k!`` times the coefficient of ``t^k``.

    Args:
        f: Function of points (n, d) with values (n, m), built from operations that have a rule.
        x: Points.
        directions: Shared by all points (s, d), or one set for each (s, n, d).
        order: Highest order, at least 0.

    Returns:
        Tensor of shape (order + 1, s, n, m).

    Raises:
        ConfigError: If shapes do not fit or the order is negative.
        JetRuleError: If ``f`` uses an operation without a rule.

    Cost: one forward pass with 1 + s * order channels and O(order^2) elementwise work.

    >>> import torch
    >>> jet(lambda x: x**3, torch.tensor([[2.0]]), torch.tensor([[1.0]]), 3).flatten().tolist()
    [8.0, 12.0, 12.0, 6.0]
    """
    _check_points(x)
    if order < 0:
        raise ConfigError(f"order must be at least 0; got {order}")
    if directions.ndim not in (2, 3) or directions.shape[1:] not in (x.shape[1:], x.shape):
        raise ConfigError(f"directions of shape {tuple(directions.shape)} do not fit points of shape {tuple(x.shape)}")
    count = directions.shape[0]
    if order == 0:
        return f(x).expand(1, count, *f(x).shape)
    layout = Layout.uniform(count, order)
    y = f(seed(x, directions, layout) if x.shape[1] <= FEW else start(x, _as_seeds(directions.to(x)), layout))
    if not isinstance(y, Jet):
        y = Jet([y, *(None,) * order], layout)
    value, factor = y.primal, 1.0
    entries = [value.expand(count, *value.shape)]
    for k in range(1, order + 1):
        factor *= k
        row = y.row(k)
        entries.append(torch.zeros_like(entries[0]) if row is None else factor * row)
    return torch.stack(entries)


def partials(
    f: Function, x: Float[Tensor, "n d"], multi_indices: Iterable[Any]
) -> dict[tuple[Any, ...], Float[Tensor, "n m"]]:
    """Partial derivatives of ``f`` at the points, all from one Taylor pass.

    Args:
        f: Function of points (n, d) with values (n, m).
        x: Points.
        multi_indices: Orders, one for each coordinate, ``(0, 0)`` is the value itself; or, in many dimensions, pairs of
            axis and order: ``((7, 2),)`` is d^2/dx_7^2.

    Returns:
        Values by multi-index, as given.

    Raises:
        ConfigError: If a multi-index does not have d non-negative entries.

    Cost: see ``Plan.cost``; pure derivatives of order k along s axes take 1 + k s channels.

    >>> import torch
    >>> f = lambda x: x[..., :1] ** 2 * x[..., 1:]
    >>> {a: v.item() for a, v in partials(f, torch.tensor([[3.0, 5.0]]), [(1, 0), (2, 1)]).items()}
    {(1, 0): 30.0, (2, 1): 2.0}
    """
    _check_points(x)
    d = x.shape[-1]
    names = {}
    for index in multi_indices:
        entries = tuple(index)
        pairs = bool(entries) and isinstance(entries[0], tuple | list)
        key = sparse(entries, d) if pairs else tuple(int(entry) for entry in entries)
        names[key] = quantity({Derivative(sparse(key, d)): 1.0})
    values = Plan.build(tuple(names.values()), d)(f, x)
    return {index: values[name] for index, name in names.items()}


def contract(f: Function, x: Float[Tensor, "n d"], operator: LinearOperator) -> Float[Tensor, "n m"]:
    """Apply a linear differential operator to ``f`` at the points.

    Terms with constant coefficients are summed inside the Taylor pass, top orders before they are propagated;
    those with one coefficient for each point are summed after it. A matrix of coefficients of second order
    (``Laplacian(weight)``, ``Weighted``) is split into at most d directions, at each point if it varies.

    Plans are remembered, so that a call costs little more than the pass. Under ``torch.compile(fullgraph=True)``, build
    a :class:`Plan` before and call that.

    >>> import torch
    >>> contract(lambda x: x**3, torch.tensor([[2.0]]), Laplacian()).item()
    12.0
    """
    _check_points(x)
    if isinstance(operator, Laplacian) and operator.weight is not None:
        return laplacian(f, x, operator.weight)
    if isinstance(operator, SumOfSquares):
        return _squares(f, x, operator)
    fixed, varying = split(operator, x.shape[-1])
    _check_coefficients(varying, x)
    names = {derivative: quantity({derivative: 1.0}) for derivative in varying}
    wanted = [*([fixed] if fixed or not names else []), *names.values()]
    values = Plan.build(wanted, x.shape[-1])(f, x)
    parts = [values[fixed]] if fixed or not names else []
    parts += [c.reshape(-1, 1) * values[names[derivative]] for derivative, c in varying.items()]
    return torch.stack(parts).sum(0) if len(parts) > 1 else parts[0]


def laplacian(f: Function, x: Float[Tensor, "n d"], weight: Float[Tensor, "d d"] | None = None) -> Float[Tensor, "n m"]:
    """``sum_i u_ii``, or ``sum_ij W_ij u_ij``.

    A weight is split by its eigenvectors into at most d directions.

    Cost: 1 + d + 1 channels.

    Ref: Li et al., *A computational framework for neural network-based variational Monte Carlo with Forward
    Laplacian*, 2024.

    >>> import torch
    >>> laplacian(lambda x: (x**2).sum(-1, keepdim=True), torch.zeros(1, 3)).item()
    6.0
    """
    if weight is None:
        return contract(f, x, Laplacian())
    Laplacian(weight).check(x.shape[-1])
    symmetric = (0.5 * (weight + weight.T)).to(torch.float64)
    values, vectors = torch.linalg.eigh(symmetric)
    used = values.abs() > 1e-14 * values.abs().max().clamp(min=1e-300)
    directions = vectors[:, used].T.to(x)
    count = directions.shape[0]
    if count == 0:
        return torch.zeros_like(f(x))
    if count > PER_PASS:
        return directional_sum(f, x, Shared(directions), values[used].detach(), 2, chunk=PER_PASS)
    layout = Layout((count, 0), (None, values[used].reshape(1, -1)))
    y = f(seed(x, directions, layout))
    second = y.coefficients[2] if isinstance(y, Jet) else None
    if second is None:
        return torch.zeros_like(y.primal if isinstance(y, Jet) else y)
    return (2 * second[0]).expand(y.shape)


def biharmonic(f: Function, x: Float[Tensor, "n d"]) -> Float[Tensor, "n m"]:
    """``sum_ij u_iijj``.

    Cost: d^2 directions of order 4, the top one summed.

    >>> import torch
    >>> biharmonic(lambda x: (x**4).sum(-1, keepdim=True), torch.ones(1, 2)).item()
    48.0
    """
    return contract(f, x, Biharmonic())


def _as_seeds(directions: Tensor) -> Seeds:
    return Shared(directions) if directions.ndim == 2 else PerPoint(directions)


@runtime_checkable
class SumOfSquares(Protocol):
    """An operator ``sum_k s_k (sigma_k . grad)^2`` that knows its columns, such as ``Weighted``."""

    def check(self, d: int) -> None:
        """Compare with the number of coordinates."""
        ...

    def blocks(self) -> Iterable[Any]:
        """Columns ``sigma_k`` that have a sign in common: ``sign``, ``columns.count``, ``columns.pick``."""
        ...


def _squares(f: Function, x: Float[Tensor, "n d"], operator: SumOfSquares) -> Float[Tensor, "n m"]:
    operator.check(x.shape[-1])
    total: Any = None
    for block in operator.blocks():
        numbers = torch.arange(block.columns.count, device=x.device)
        seeds, weights = block.columns.pick(numbers, x.dtype, x.device), numbers.new_full(numbers.shape, block.sign)
        part = directional_sum(f, x, seeds, weights.to(torch.float64), 2, chunk=PER_PASS)
        total = part if total is None else total + part
    return torch.zeros_like(f(x)) if total is None else total


@dataclass(frozen=True)
class Exact:
    """Estimator that is no estimate: every term of the operator, summed exactly."""

    def family(self, trace: Trace, d: int) -> None:
        """No random directions."""

    def __call__(
        self, f: Function, x: Float[Tensor, "n d"], operator: LinearOperator, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n m"]:
        """Apply the operator; the generator is not used."""
        return contract(f, x, operator)


def _check_coefficients(varying: Mapping[Derivative, Tensor], x: Tensor) -> None:
    for derivative, c in varying.items():
        if c.numel() not in (1, len(x)):
            name = derivative if derivative.traces or x.shape[1] > 10 else dense(derivative.index, x.shape[1])
            raise ConfigError(
                f"coefficient of {name} has shape {tuple(c.shape)}; expected one value for each of {len(x)} points"
            )


def _check_points(x: Tensor) -> None:
    if x.ndim != 2 or x.shape[1] == 0:
        raise ConfigError(f"points must have shape (n, d) with d >= 1; got {tuple(x.shape)}")
    if not x.is_floating_point():
        raise ConfigError(f"points must be floating point; got {x.dtype}. Use x.double()")
