"""From recorded expressions to a program that runs on tensors, and the derivatives that it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..errors import ConfigError, unknown
from ..jets import Plan, Quantity
from ..jets.plan import Source
from ..typing import Float, Tensor
from ._composite import evaluate_composite, substitute
from ._linear import check_linear
from .expression import (
    Apply,
    Composite,
    Coordinate,
    Data,
    Expression,
    Field,
    Frame,
    Number,
    Parameter,
    Product,
    Sum,
    Total,
    Vector,
)
from .gathering import gathered

__all__ = ["Recorded", "Values", "collect"]

_SHORT = 1000


@dataclass
class Values:
    """What the leaves of a program stand for at a batch of points.

    Attributes:
        x: Coordinates (n, d).
        fields: For each field and sum of derivatives, and each sum over coordinates by its key, a value at each point.
        parameters: A scalar, or one value at each point, for each parameter.
        data: Columns that came with the points (n,).
    """

    x: Float[Tensor, "n d"]
    fields: Mapping[Any, Float[Tensor, " n"]]
    parameters: Mapping[str, Tensor | float] = field(default_factory=dict)
    data: Mapping[str, Tensor] = field(default_factory=dict)


class Recorded:
    """Named residuals, recorded: a graph in evaluation order and the jets that it reads.

    Args:
        outputs: Expressions by name.
        frame: Names in use.
        estimator: What becomes of sums over coordinates; None to sum them exactly.
        scales: Lengths by coordinate over which the fields change, such as the extents of the domain; they keep digits
            of mixed derivatives. See :meth:`kjet.jets.Plan.build`.
    """

    def __init__(
        self,
        outputs: Mapping[str, Expression],
        frame: Frame,
        estimator: Source | None = None,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        self.names = tuple(outputs)
        self.frame = frame
        self._outputs = tuple(outputs.values())
        self._order = _topological(self._outputs)
        leaves = [node for node in self._order if isinstance(node, Field)]
        self.leaves: tuple[tuple[str, Quantity], ...] = tuple(dict.fromkeys((n._name, n._terms) for n in leaves))
        self.totals = tuple({n._key: n for n in self._order if isinstance(n, Total)}.values())
        self.parameters = tuple(dict.fromkeys(n._name for n in self._order if isinstance(n, Parameter)))
        self.data = tuple(dict.fromkeys(n._name for n in self._order if isinstance(n, Data)))
        self.estimator, self.scales = estimator, scales
        # Sums that may be too long to write out are planned when an estimator is known, or when asked for.
        whole = len(self.frame.space) * len(self.totals)
        short = whole + sum(derivative.terms for _, terms in self.leaves for derivative, _ in terms) <= _SHORT
        self._plan = self._planned() if short or estimator is not None else None

    def _planned(self) -> Plan:
        scales = None if self.scales is None else tuple(self.scales[name] for name in self.frame.coords)
        names = [*(terms for _, terms in self.leaves), *(total._wanted for total in self.totals)]
        plan = Plan.build(names, self.frame.d, self.estimator, scales=scales)
        check_linear(self._order, plan)
        return plan

    @property
    def plan(self) -> Plan:
        """Derivatives that the residuals need, from one Taylor pass."""
        if self._plan is None:
            self._plan = self._planned()
        return self._plan

    @property
    def outputs(self) -> dict[str, Expression]:
        """Recorded expressions by name."""
        return dict(zip(self.names, self._outputs, strict=True))

    @property
    def order(self) -> int:
        """Highest derivative order read."""
        orders = [terms.order for _, terms in self.leaves]
        return max([*orders, *(total._wanted.order for total in self.totals)], default=0)

    def to(self, device: torch.device | str) -> Recorded:
        """Return the same residuals with their plan on a device, so that evaluating them copies nothing there."""
        moved = self._again(self._outputs, self.estimator, self.scales)
        moved._plan = self.plan.to(device)
        return moved

    def estimated(self, estimator: Source | None) -> Recorded:
        """Return the same residuals with sums over coordinates (``lap``, ``grad_dot``) left to an estimator.

        Its plan needs draws: ``recorded.plan(f, x, recorded.plan.draw(len(x), generator, x.dtype, x.device))``.

        Args:
            estimator: Such as ``kjet.jets.STDE(samples=16)``; None to sum exactly.

        Raises:
            EstimatorError: If a residual is no linear function of the estimates, which would be biased.
        """
        return self._again(self._outputs, estimator, self.scales)

    def scaled(self, scales: Mapping[str, float] | None) -> Recorded:
        """Return the same residuals with directions of mixed derivatives scaled, which keeps digits in float32.

        Args:
            scales: A length for each coordinate, such as the extent of the domain.

        Raises:
            ConfigError: If a coordinate is missing or a length is not positive.
        """
        for name in self.frame.coords if scales is not None else ():
            if name not in scales:  # type: ignore[operator]
                raise ConfigError(unknown("coordinate", name, scales, "the scales"))  # type: ignore[arg-type]
        return self._again(self._outputs, self.estimator, scales)

    def _again(
        self, outputs: Sequence[Expression], estimator: Source | None, scales: Mapping[str, float] | None
    ) -> Recorded:
        return Recorded(dict(zip(self.names, outputs, strict=True)), self.frame, estimator, scales)

    def gathered(self, known: Mapping[str, float]) -> Recorded:
        """Return the same residuals with sums of derivatives taken together, if that makes the Taylor pass cheaper.

        Args:
            known: Values of the parameters that stay fixed.

        >>> from kjet.pde import Burgers
        >>> recorded = Burgers().record()
        >>> recorded.plan.cost(), recorded.gathered({"nu": 0.01}).plan.cost()
        (4, 3)
        """
        other = self._again(gathered(self._outputs, known), self.estimator, self.scales)
        return other if other.plan.cost() < self.plan.cost() else self

    def field_values(self, y: Mapping[Any, Float[Tensor, "n m *"]]) -> dict[Any, Tensor]:
        """Pick each field's column from what the plan read of the network's outputs."""
        columns = {(name, terms): y[terms][..., self.frame.fields.index(name)] for name, terms in self.leaves}
        return columns | {total._key: total._pick(y) for total in self.totals}

    def __call__(self, values: Values) -> list[Float[Tensor, " n"]]:
        """Evaluate every output at the points."""
        known: dict[Expression, Any] = {}
        for node in self._order:
            known[node] = _evaluate(node, known, values)
        n = values.x.shape[0]
        return [_column(known[node], n, values.x) for node in self._outputs]

    def describe(self) -> str:
        """Write the residuals and the plan in words."""
        lines = [f"{name}: {node} = 0" for name, node in zip(self.names, self._outputs, strict=True)]
        return "\n".join([*lines, self.plan.summary()])


def _column(value: Any, n: int, like: Tensor) -> Tensor:
    tensor = value if isinstance(value, Tensor) else like.new_tensor(float(value))
    return tensor.expand(n) if tensor.ndim == 0 else tensor


def _topological(outputs: Sequence[Expression]) -> list[Expression]:
    order: dict[Expression, None] = {}
    pending: list[tuple[Expression, bool]] = [(node, False) for node in reversed(outputs)]
    while pending:
        node, ready = pending.pop()
        if node in order:
            continue
        if ready:
            order[node] = None
        else:
            pending.append((node, True))
            pending += [(child, False) for child in node._children() if child not in order]
    return list(order)


def _evaluate(node: Expression, known: Mapping[Expression, Any], values: Values) -> Any:
    match node:
        case Field():
            return values.fields[node._name, node._terms]
        case Total():
            return values.fields[node._key]
        case Coordinate():
            return values.x[..., node._axis]
        case Number():
            return node._value.to(values.x) if isinstance(node._value, Tensor) else node._value
        case Parameter():
            return values.parameters[node._name]
        case Data():
            return values.data[node._name]
        case Sum():
            return known[node._left] + known[node._right]
        case Product():
            return known[node._left] * known[node._right]
        case Composite():
            return evaluate_composite(node._call, node._weights, node._inputs, known.__getitem__)
        case Apply():
            arguments = [_tensor(known[child], values.x) for child in node._children()]
            return node._function(*substitute(node._args, arguments), **node._kwargs)
        case _:
            raise TypeError(f"cannot evaluate {type(node).__name__}")


def _tensor(value: Any, like: Tensor) -> Any:
    return value if isinstance(value, Tensor) else like.new_tensor(float(value))


def collect(result: Any, frame: Frame, default: str = "residual") -> dict[str, Expression]:
    """Name the residuals that a function returned: one, a sequence, a vector or a mapping.

    Raises:
        ConfigError: If there is none, or something else was returned.
    """
    if isinstance(result, Mapping):
        named = {key: value for name, part in result.items() for key, value in _components(str(name), part, frame)}
    elif isinstance(result, Vector | tuple | list):
        flat = [part for item in result for part in (item if isinstance(item, Vector | tuple | list) else (item,))]
        named = (
            {f"{default}_{i}": value for i, value in enumerate(flat)}
            if len(flat) > 1
            else dict.fromkeys([default], flat[0])
            if flat
            else {}
        )
    else:
        named = {default: result}
    if not named:
        raise ConfigError("the residual returned nothing; return an expression, a tuple or a dict of them")
    for name, value in named.items():
        if isinstance(value, int | float | Tensor):
            raise ConfigError(f'residual "{name}" does not depend on any field; got {value!r}')
        if not isinstance(value, Expression):
            raise ConfigError(f'residual "{name}" must be an expression of the fields; got {type(value).__name__}')
    return named


def _components(name: str, value: Any, frame: Frame) -> list[tuple[str, Any]]:
    """Name the components of a vector by the spatial coordinates, of any other tuple by number."""
    if not isinstance(value, Vector | tuple | list):
        return [(name, value)]
    spatial = isinstance(value, Vector) and len(value) == len(frame.space)
    return [
        (f"{name}_{key}", part) for key, part in zip(frame.space if spatial else range(len(value)), value, strict=True)
    ]


def check_finite(values: Sequence[Tensor], names: Sequence[str]) -> None:
    """Refuse residuals that are not finite on trial points.

    Raises:
        ConfigError: Naming the first such residual.
    """
    for name, value in zip(names, values, strict=True):
        if not bool(torch.isfinite(value).all()):
            raise ConfigError(f'residual "{name}" is not finite on trial points; check its coefficients and divisions')
