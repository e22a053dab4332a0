"""Residuals of a solution at few of its points, and at fresh ones."""

from __future__ import annotations

from dataclasses import replace

import torch

from ...constraints import Draw
from ...data import Points
from ...problem import Problem
from ...typing import Float, Tensor
from ..objective import ResidualObjective, Term

__all__ = ["fresh", "root_mean_square", "squares", "thinned", "unscaled"]


def squares(objective: ResidualObjective) -> ResidualObjective:
    """Return the objective as a plain sum of squares, with eager gradients."""
    return ResidualObjective(objective.model, [replace(term, others=None) for term in objective.terms])


def thinned(objective: ResidualObjective, rows: int, *, generator: torch.Generator) -> ResidualObjective:
    """Keep at most some residuals of each expression, drawn at random; means over them stay what they are.

    Terms whose points belong together, such as integrals, are kept whole.

    Args:
        objective: Residuals.
        rows: Points of each term.
        generator: Chooses them.
    """
    return squares(objective).with_terms([_fewer(term, rows, generator) for term in squares(objective).terms])


def _fewer(term: Term, rows: int, generator: torch.Generator) -> Term:
    n = len(term.points)
    if n <= rows or not term.divisible:
        return term
    index = torch.randperm(n, generator=generator, device=generator.device)[:rows].to(term.points.x.device)
    columns = {name: column[index] for name, column in term.data().items()}
    return replace(term.at(replace(term.points, weights=None)[index]), columns=columns)


def fresh(
    objective: ResidualObjective, problem: Problem, n: int, boundary: int, *, generator: torch.Generator
) -> ResidualObjective:
    """Return the residuals at points that training has not seen, drawn uniformly; given points stay.

    Args:
        objective: Residuals.
        problem: What was solved.
        n: Points inside.
        boundary: Points of each condition.
        generator: Source of the points.
    """
    like = next(objective.model.parameters())
    draw = Draw("uniform", generator, like.dtype, like.device)
    terms = []
    for term in squares(objective).terms:
        if term.condition is None:
            terms.append(term.at(draw.boundary(problem.domain, n, "interior")))
        elif term.condition.fixed:
            terms.append(term)
        else:
            points = term.condition.sample(problem.domain, max(boundary, 2), draw)
            terms.append(replace(term.at(points), columns=None))
    return squares(objective).with_terms(terms)


def unscaled(objective: ResidualObjective, term: Term) -> list[Float[Tensor, " r"]]:
    """Residuals of a term by expression, without weights."""
    with torch.no_grad():
        return [term.collapse(value) - term.offset for value in objective.values(term)]


def root_mean_square(rows: list[Tensor]) -> float:
    """Root mean square of several residuals together: of the sum of their squares at a point."""
    return float(sum(row.double().square().mean() for row in rows)) ** 0.5 if rows else 0.0


def interior(problem: Problem, n: int, like: Tensor, *, generator: torch.Generator) -> Points:
    """Draw uniform points inside."""
    return problem.domain.interior(n, sampler="uniform", generator=generator, dtype=like.dtype, device=like.device)
