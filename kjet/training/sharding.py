"""Residuals spread over processes, for methods that need them one by one."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.distributed as dist

from ..distributed import Axis
from ..typing import Float, Tensor
from .objective import ResidualObjective, Term

__all__ = ["ShardedObjective"]


class ShardedObjective:
    """The residuals of an objective, each process with those of its own points.

    Every process makes the same objective, from generators in the same state, and takes a run of the points of each
    term. The loss and its gradient are those of all points; residuals and rows of the Jacobian are those of this
    process, which :class:`kjet.optim.GaussNewton` and :class:`kjet.optim.LevenbergMarquardt` put together
    (:class:`kjet.optim.capabilities.Spread`). So a run on any number of processes is that of one, up to the order of
    summation. Integrals, whose residual takes all points together, stay with one process.

    Args:
        objective: Residuals of all points.
        axis: The processes, such as ``Mesh.build().data``.

    Cost: per loss one number is exchanged, per gradient p, per Gauss-Newton step p^2 in parameter space; in residual
    space the Jacobian and r^2. The factorization is repeated on every process.

    >>> from kjet.constraints import Draw
    >>> from kjet.data import make_sampler
    >>> from kjet.operators import MLPConfig
    >>> from kjet.problems import Poisson2DProblem
    >>> from kjet.training import ConstraintConfig, SamplerConfig
    >>> from kjet.training.setup import build_model, build_objective
    >>> problem, generator = Poisson2DProblem().build(), torch.Generator().manual_seed(0)
    >>> network, how = MLPConfig(width=4, depth=1), {"dtype": torch.float64, "device": "cpu"}
    >>> model, soft = build_model(problem, network, ConstraintConfig(), generator=generator, **how)
    >>> whole = build_objective(problem, model, soft, SamplerConfig(), Draw(make_sampler("sobol"), generator))
    >>> parts = [ShardedObjective(whole, Axis(rank, 2)) for rank in range(2)]
    >>> whole.size == sum(len(part.residual(model.flat())) for part in parts)
    True
    """

    def __init__(self, objective: ResidualObjective, axis: Axis) -> None:
        self.axis = axis
        parts = [_part(term, axis, i % axis.size) for i, term in enumerate(objective.terms)]
        self.local = objective.with_terms([part for part in parts if part is not None])

    @property
    def rank(self) -> int:
        """Place of this process."""
        return self.axis.rank

    @property
    def stochastic(self) -> bool:
        """Whether another draw of directions would give another loss."""
        return self.local.stochastic

    @property
    def shapes(self) -> tuple[torch.Size, ...]:
        """Shapes of the trainable parameters."""
        return self.local.shapes

    def total(self, value: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Return the sum over the processes."""
        if self.axis.group is None:
            return value
        found = value.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(found, group=self.axis.group)
        return found

    def gather(self, rows: Float[Tensor, "r *rest"]) -> list[Float[Tensor, "*rest"]]:
        """Return the rows of all processes."""
        if self.axis.group is None:
            return [rows]
        counts = torch.zeros(self.axis.size, dtype=torch.int64, device=rows.device)
        counts[self.rank] = len(rows)
        dist.all_reduce(counts, group=self.axis.group)
        padded = rows.new_zeros(int(counts.max()), *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in range(self.axis.size)]
        dist.all_gather(found, padded, group=self.axis.group)
        return [part[:count] for part, count in zip(found, counts.tolist(), strict=True)]

    def loss(self, theta: Float[Tensor, " p"]) -> Float[Tensor, ""]:
        """Return the loss of all points."""
        return self.total(self.local.loss(theta) if self.local.terms else theta.new_zeros(()))

    def value_and_gradient(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, ""], Float[Tensor, " p"]]:
        """Return the loss of all points and its gradient."""
        if self.local.terms:
            loss, gradient = self.local.value_and_gradient(theta)
        else:
            loss, gradient = theta.new_zeros(()), torch.zeros_like(theta)
        both = self.total(torch.cat([loss[None], gradient]))
        return both[0], both[1:]

    def residual(self, theta: Float[Tensor, " p"]) -> Float[Tensor, " r"]:
        """Return the residuals of this process."""
        return self.local.residual(theta) if self.local.terms else theta.new_zeros(0)

    def residual_and_jacobian(self, theta: Float[Tensor, " p"]) -> tuple[Float[Tensor, " r"], Float[Tensor, "r p"]]:
        """Return the residuals of this process and their Jacobian."""
        if not self.local.terms:
            return theta.new_zeros(0), theta.new_zeros(0, theta.numel())
        return self.local.residual_and_jacobian(theta)


def _part(term: Term, axis: Axis, owner: int) -> Term | None:
    """Return what a process has of a term: a run of its points, with their share of the weight; None for nothing."""
    if not term.divisible:
        return term if owner == axis.rank else None
    first, last = axis.run(len(term.points))
    if first == last:
        return None
    part = term.part(first, last)
    return replace(part, weight=term.weight * part.rows / term.rows)
