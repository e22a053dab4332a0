"""Residual vectors of a problem, their gradient and their Jacobian."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..constraints import Condition
from ..data import Points
from ..errors import ConfigError, DivergenceError
from ..jets.estimators import squared_loss, two_sample_loss
from ..jets.seeds import Seeds
from ..pde import Recorded, Values
from ..typing import Float, Int, Tensor
from .jacobian import Taps
from .model import Model
from .products import HessianOfLoss, JacobianOfResidual

__all__ = ["ResidualObjective", "Term"]

_ENTRIES = 2**25  # of the Jacobian that one backward pass makes, beside its own work space: 256 MB in float64

Gradient = Callable[["ResidualObjective", Tensor], tuple[Tensor, Tensor]]
"""Objective and parameters to the loss and its gradient, by other means: see :mod:`kjet.training.compiling`."""


@dataclass(frozen=True, eq=False)
class Term:
    """One group of residuals: the equation inside, or a condition on its part.

    Attributes:
        name: Name in logs.
        recorded: Expressions that vanish.
        points: Where they are evaluated.
        condition: How values at points become residuals; None for one residual at each point.
        weight: Factor of the mean square in the loss.
        draws: Directions for the sums that are estimated.
        others: Directions of a second draw, for the unbiased loss; None where the loss is a sum of squares.
        columns: Columns that came with the points, of a part of a term; None where the condition tells.
        factors: Weight of each point's squares in the mean; None for equal ones. Quadrature weights of the equation's
            points are factors besides. They enter residuals as square roots, so that the loss is a sum of squares
            still.
    """

    name: str
    recorded: Recorded
    points: Points
    condition: Condition | None = None
    weight: float = 1.0
    draws: tuple[Seeds, ...] = ()
    others: tuple[Seeds, ...] | None = None
    columns: Mapping[str, Tensor] | None = None
    factors: Float[Tensor, " n"] | None = None

    @property
    def rows(self) -> int:
        """Residuals for each expression."""
        return len(self.points) if self.condition is None else self.condition.rows(self.points)

    @property
    def scale(self) -> float:
        """Factor of the residuals, so that the loss is their squared norm."""
        return math.sqrt(self.weight / self.rows)

    def scaled(self, rows: Float[Tensor, "r *"], offset: float = 0.0) -> Float[Tensor, "r *"]:
        """Scale residuals, or their derivatives, for the loss: by the weight, and by the factors of their points."""
        roots = self.roots
        found = self.scale * (rows - offset)
        return found if roots is None else found * roots.reshape(-1, *[1] * (rows.ndim - 1))

    @property
    def roots(self) -> Float[Tensor, " n"] | None:
        """Square roots of what the points of the equation weigh, on average one; None where all weigh the same."""
        quadrature = self.points.weights if self.condition is None else None
        if quadrature is None:
            return None if self.factors is None else self.factors.sqrt()
        shares = quadrature * (len(self.points) / self.points.measure)
        return (shares if self.factors is None else shares * self.factors).sqrt()

    @property
    def stochastic(self) -> bool:
        """Whether another draw would give other residuals."""
        return any(not getattr(family, "exact", False) for family in self.recorded.plan.sources)

    def drawn(self, generator: torch.Generator, unbiased: bool = False) -> Term:
        """Return the term with directions drawn anew; the term itself where nothing is drawn."""
        plan, x = self.recorded.plan, self.points.x
        if not plan.random:
            return self
        draws = plan.draw(len(x), generator, x.dtype, x.device)
        others = plan.draw(len(x), generator, x.dtype, x.device) if unbiased and self.stochastic else None
        return replace(self, draws=draws, others=others)

    def at(self, points: Points) -> Term:
        """Return the term at other points, along the same directions; those that belong to points are repeated."""
        if not self.draws:
            return replace(self, points=points, factors=None)
        index = torch.arange(len(points), device=points.x.device) % len(self.points)
        draws = tuple(seeds.points(index) for seeds in self.draws)
        return replace(self, points=points, draws=draws, others=None, factors=None)

    @property
    def divisible(self) -> bool:
        """Whether each point has a residual of its own, so that the term is a mean over its parts."""
        return self.condition is None or type(self.condition).collapse is Condition.collapse

    def part(self, first: int, last: int) -> Term:
        """Return the term at the points ``first`` to ``last - 1``, with their directions and data."""
        return self.chosen(torch.arange(first, last, device=self.points.x.device))

    def chosen(self, index: Int[Tensor, " j"]) -> Term:
        """Return the term at some of its points, with their directions and data."""
        columns = {name: column[index] for name, column in self.data().items()}
        others = None if self.others is None else tuple(seeds.points(index) for seeds in self.others)
        draws = tuple(seeds.points(index) for seeds in self.draws)
        factors = None if self.factors is None else self.factors[index]
        points = self.points[index]
        if points.weights is not None:  # relative to the measure, which a part has its share of
            points = replace(points, measure=points.measure * len(index) / len(self.points))
        return replace(self, points=points, draws=draws, others=others, columns=columns, factors=factors)

    def collapse(self, values: Tensor) -> Tensor:
        """Turn values at points into residuals, without the offset."""
        return values if self.condition is None else self.condition.collapse(values, self.points)

    @property
    def offset(self) -> float:
        """What is subtracted from the residuals."""
        return 0.0 if self.condition is None else self.condition.offset

    def data(self) -> Mapping[str, Tensor]:
        """Columns that came with the points, where the expressions read any."""
        if self.columns is not None:
            return self.columns
        return {} if self.condition is None or not self.recorded.data else self.condition.data(self.points)


class ResidualObjective:
    """``loss(theta) = sum over terms of weight * mean(residual^2) = |r(theta)|^2``.

    Residuals stay vectors: a curvature method needs them and their Jacobian one by one. The Jacobian takes one backward
    pass for each expression, whatever the number of points.

    Where sums over coordinates are estimated, the residual is that along the directions drawn last. With `unbiased`
    such a term enters by ``weight * mean(r_1 r_2)`` of two draws, whose mean is that of the squared exact residual.
    That is no sum of squares, and of a single draw it can be negative.

    Args:
        model: Network and unknown parameters; its trainable parameters become views of the vector evaluated last.
        terms: Groups of residuals.
        unbiased: Whether estimated terms enter by two draws.
        gradient: Other means of getting the loss and its gradient; None for eager ones.
    """

    def __init__(
        self, model: Model, terms: Sequence[Term], unbiased: bool = False, gradient: Gradient | None = None
    ) -> None:
        self.model, self.terms, self.unbiased, self.gradient = model, tuple(terms), unbiased, gradient

    def with_terms(self, terms: Sequence[Term]) -> ResidualObjective:
        """Return the objective of other terms."""
        return ResidualObjective(self.model, terms, self.unbiased, self.gradient)

    def with_points(self, points: Mapping[str, Points]) -> ResidualObjective:
        """Return the objective with other points for some terms."""
        return self.with_terms(
            [replace(t, points=points[t.name], factors=None) if t.name in points else t for t in self.terms]
        )

    def weighed(self, factors: Float[Tensor, " n"] | None) -> ResidualObjective:
        """Return the objective with other factors of the equation's points."""
        return self.with_terms([replace(self.terms[0], factors=factors), *self.terms[1:]])

    def drawn(self, generator: torch.Generator) -> ResidualObjective:
        """Return the objective along directions that are drawn anew; nothing is drawn where all sums are exact."""
        return self.with_terms([term.drawn(generator, self.unbiased) for term in self.terms])

    @property
    def stochastic(self) -> bool:
        """Whether another draw of directions would give another loss."""
        return any(term.stochastic for term in self.terms)

    @property
    def shapes(self) -> tuple[torch.Size, ...]:
        """Shapes of the trainable parameters, in the order of the flat vector."""
        return tuple(p.shape for p in self.model.trainable())

    @property
    def size(self) -> int:
        """Number of residuals."""
        return sum(term.rows * len(term.recorded.names) for term in self.terms)

    def values(self, term: Term, free: Mapping[str, Tensor] | None = None) -> list[Float[Tensor, " n"]]:
        """Evaluate the expressions of a term at its points, with a graph if one is being recorded."""
        y = term.recorded.plan(self.model, term.points.x, term.draws)
        fields = term.recorded.field_values(y)
        return term.recorded(Values(term.points.x, fields, self.model.parameter_values(free), term.data()))

    def rows(self, term: Term) -> list[Float[Tensor, " r"]]:
        """Residuals of a term by expression, scaled for the loss."""
        return [term.scaled(term.collapse(v), term.offset) for v in self.values(term)]

    def shares(self) -> dict[str, list[Float[Tensor, ""]]]:
        """Share in the loss of each term's expressions, with a graph if one is being recorded."""
        found = {}
        for term in self.terms:
            rows = self.rows(term)
            if term.others is None:
                found[term.name] = [squared_loss(row).sum() for row in rows]
            else:
                pairs = zip(rows, self.rows(replace(term, draws=term.others)), strict=True)
                found[term.name] = [two_sample_loss(a, b).sum() for a, b in pairs]
        return found

    def total(self) -> Float[Tensor, ""]:
        """Loss at the parameters that the model has, with a graph if one is being recorded."""
        return torch.stack([share for shares in self.shares().values() for share in shares]).sum()

    @property
    def sizes(self) -> tuple[int, ...]:
        """Residuals of each expression of each term, in the order of the Jacobian's rows."""
        return tuple(term.rows for term in self.terms for _ in term.recorded.names)

    def loss_terms(self, theta: Float[Tensor, " p"]) -> SplitLoss:
        """Evaluate the share of each expression of each term, to be weighed anew.

        Raises:
            ConfigError: If gradients are taken by other means than eager ones, which know the sum only.
        """
        if self.gradient is not None:
            raise ConfigError(
                f"{type(self.gradient).__name__} evaluates the sum of all terms, which a balance takes apart; use "
                "balance=none, or leave trainer.compile, trainer.memory_mb and trainer.precision as they are"
            )
        self.model.load_flat(theta)
        return SplitLoss(
            torch.stack([share for shares in self.shares().values() for share in shares]), self.model.trainable()
        )

    def residual(self, theta: Float[Tensor, " p"]) -> Float[Tensor, " r"]:
        """Return all scaled residuals, terms in order.

        Raises:
            ConfigError: If the loss is no sum of squares.
        """
        self._require_squares()
        self.model.load_flat(theta)
        with torch.no_grad():
            return torch.cat([row for term in self.terms for row in self.rows(term)])

    def loss(self, theta: Float[Tensor, " p"]) -> Float[Tensor, ""]:
        """Return the loss."""
        if all(term.others is None for term in self.terms):
            return self.residual(theta).square().sum()
        self.model.load_flat(theta)
        with torch.no_grad():
            return self.total()

    def parts(self, theta: Float[Tensor, " p"]) -> dict[str, float]:
        """Return the share of each term in the loss."""
        self.model.load_flat(theta)
        with torch.no_grad():
            return {name: float(sum(shares)) for name, shares in self.shares().items()}

    def value_and_gradient(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
        """Return the loss and its gradient."""
        self.model.load_flat(theta)
        if self.gradient is not None:
            return self.gradient(self, theta)
        return flat_gradient(self.total(), self.model.trainable())

    def residual_and_jacobian(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "r p"]]:
        """Return the residuals and their derivatives with respect to every parameter.

        Raises:
            ConfigError: If the loss is no sum of squares.
        """
        return self.residual_and_columns(theta, 0, theta.numel())

    def residual_and_columns(
        self, theta: Float[Tensor, " p"], first: int, last: int
    ) -> tuple[Float[Tensor, " r"], Float[Tensor, "r q"]]:
        """Return the residuals and their derivatives with respect to the parameters ``first`` to ``last - 1``.

        Raises:
            ConfigError: If the loss is no sum of squares.
        """
        self._require_squares()
        self.model.load_flat(theta)
        residual, jacobian = theta.new_empty(self.size), theta.new_empty(self.size, last - first)
        start = 0
        for term in self.terms:
            for a, b, part in _pieces(term, theta.numel()):
                rows = [start + i * term.rows for i in range(len(term.recorded.names))]
                where = [slice(row + a, row + b) for row in rows]
                self._differentiate(term, part, (first, last), [(residual[w], jacobian[w]) for w in where])
            start += term.rows * len(term.recorded.names)
        return residual, jacobian

    def _differentiate(
        self, term: Term, part: Term, columns: tuple[int, int], targets: Sequence[tuple[Tensor, Tensor]]
    ) -> None:
        """Write the rows of a part of a term, and their derivatives, where they belong."""
        with Taps(self.model, len(part.points), columns) as taps:
            values = self.values(part, taps.free)
            for i, (value, (residual, jacobian)) in enumerate(zip(values, targets, strict=True)):
                room = jacobian if len(jacobian) == len(part.points) else None
                block = part.collapse(taps.jacobian(value, room, last=i == len(values) - 1))
                if block is not jacobian:
                    jacobian.copy_(block)
                jacobian.mul_(term.scale)
                roots = part.roots
                if roots is not None:
                    jacobian.mul_(roots[:, None])
                    residual.copy_(term.scale * roots * (part.collapse(value.detach()) - part.offset))
                else:
                    residual.copy_(term.scale * (part.collapse(value.detach()) - part.offset))

    def products(self, theta: Float[Tensor, " p"]) -> JacobianOfResidual:
        """Return the residuals and products with their Jacobian, which is never formed.

        Raises:
            ConfigError: If the loss is no sum of squares.
        """
        self._require_squares()
        self.model.load_flat(theta)
        residual = torch.cat([row for term in self.terms for row in self.rows(term)])
        return JacobianOfResidual(self.model, theta, residual, self._in_one_pass)

    def hessian(self, theta: Float[Tensor, " p"]) -> HessianOfLoss:
        """Return the gradient of the loss and products with its Hessian."""
        self.model.load_flat(theta)
        return HessianOfLoss(self.model, theta, self.total(), self._in_one_pass)

    @property
    def _in_one_pass(self) -> bool:
        """Whether no part of a residual is computed again in the backward pass."""
        return not any(term.recorded.plan.outer for term in self.terms)

    def subset(self, fraction: float, generator: torch.Generator) -> ResidualObjective:
        """Return the objective at a random part of the points of each term, whose loss has the mean of the whole one.

        Integrals and pairs of points, whose residuals take all points together, stay whole.
        """
        return self.with_terms([_part(term, fraction, generator) for term in self.terms])

    def _require_squares(self) -> None:
        if any(term.others is not None for term in self.terms):
            raise ConfigError(
                "the unbiased loss is a mean of products of two residuals and no sum of squares, which curvature "
                "methods build on; use optimizer=soap, adam or auto, or estimator.unbiased=false"
            )

    def scores(self, points: Points, limit: int = 20000) -> Float[Tensor, " n"]:
        """Size of the equation's residual at other points: what adaptive sampling draws by.

        Raises:
            DivergenceError: If the residual is not finite somewhere.
        """
        parts = []
        with torch.no_grad():
            for start in range(0, len(points), limit):
                piece = self.terms[0].at(points[slice(start, start + limit)])
                parts.append(torch.stack(self.values(piece)).square().sum(0).sqrt())
        found = torch.cat(parts)
        bad = int((~torch.isfinite(found)).sum())
        if bad:
            raise DivergenceError(
                f"the equation's residual is not finite at {bad} of {len(found)} new points; look for a division by "
                "zero or a logarithm in the equation, and resume from the last checkpoint with a smaller step"
            )
        return found


def _pieces(term: Term, parameters: int) -> list[tuple[int, int, Term]]:
    """Cut a term where the Jacobian of all its points at once would take too much room; as few as will do."""
    n = len(term.points)
    count = math.ceil(n * parameters / _ENTRIES) if term.divisible and n else 1
    if count <= 1:
        return [(0, term.rows, term)]
    ends = [n * i // count for i in range(count + 1)]
    return [(a, b, term.part(a, b)) for a, b in itertools.pairwise(ends)]


@dataclass(frozen=True, eq=False)
class SplitLoss:
    """Terms of a loss with the graph that they share.

    Attributes:
        losses: The terms.
        parameters: What they are differentiated by.
    """

    losses: Float[Tensor, " k"]
    parameters: Sequence[Any]

    @property
    def values(self) -> Float[Tensor, " k"]:
        """The terms without the graph."""
        return self.losses.detach()

    def gradients(self, which: Sequence[int] | None = None) -> Float[Tensor, "j p"]:
        """Return the gradients of some terms; of all by default."""
        chosen = range(len(self.losses)) if which is None else which
        return torch.stack([self._gradient(self.losses[i]) for i in chosen])

    def gradient(self, weights: Float[Tensor, " k"]) -> Float[Tensor, " p"]:
        """Return the gradient of a weighted sum."""
        return self._gradient(self.losses @ weights.to(self.losses))

    def _gradient(self, loss: Tensor) -> Tensor:
        return flat_gradient(loss, self.parameters, keep=True)[1]


def flat_gradient(
    loss: Float[Tensor, ""], parameters: Sequence[Any], keep: bool = False
) -> tuple[Tensor, Float[Tensor, " p"]]:
    """Return a loss without its graph, and its gradient as one vector; the graph may be kept for another."""
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=keep)
    flat = [torch.zeros_like(p) if g is None else g for g, p in zip(gradients, parameters, strict=True)]
    return loss.detach(), torch.cat([g.reshape(-1) for g in flat])


def _part(term: Term, fraction: float, generator: torch.Generator) -> Term:
    count = max(round(fraction * len(term.points)), 1)
    if not term.divisible or count >= len(term.points):
        return term
    order = torch.randperm(len(term.points), generator=generator, device=generator.device)
    return term.chosen(order[:count].sort().values.to(term.points.x.device))
