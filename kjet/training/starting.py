"""Fit last layers of networks to the problem before training, by linear least squares."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from ..constraints import Initial
from ..operators import solve_last_layer
from ..problem import Problem
from ..typing import Float, Tensor
from .model import Model
from .objective import ResidualObjective, Term

__all__ = ["fit_start"]

_logger = logging.getLogger(__name__)
_RCOND = 1e-8  # singular values below this part of the largest are rounding, and would make large weights


def fit_start(problem: Problem, objective: ResidualObjective) -> tuple[str, ...]:
    """Set the last layer of networks that ask for it to the least-squares solution of what is linear.

    A network asks by a method ``start_layer()``, which returns its last linear layer; parts of a network may ask, too.
    Residuals that are linear in the solution are linear in these layers: initial and boundary values, fluxes,
    integrals, observations, and the equation if it is linear. Where the equation is not, the initial values are carried
    on to all times in its place, so that the network starts as the initial state at rest. Each residual has the weight
    that it has in the loss.

    Args:
        problem: What is solved.
        objective: Residuals at the first points; last layers of its model are changed in place.

    Returns:
        Names of the terms that were fitted; none where no network asks for it, or nothing is linear.

    Cost: one Jacobian of the linear residuals by the last layers, and a singular-value decomposition of it.

    Ref: Wang, Li, Chen, Perdikaris, *PirateNets: physics-informed deep learning with residual adaptive networks*, 2024,
    section 4.

    >>> from kjet.operators import PirateNetConfig
    >>> from kjet.problems import Poisson2DProblem
    >>> from kjet.training import solve
    >>> limits = {"optimizer": "adam", "max_steps": 1, "progress": False}
    >>> solution = solve(Poisson2DProblem().build(), network=PirateNetConfig(width=48, depth=1), **limits)
    >>> solution.errors["u"]["rel_l2"] < 0.05
    True
    """
    layers = _layers(objective.model)
    if not layers:
        return ()
    with _alone(objective.model, layers) as model:
        terms = [replace(term, others=None) for term in objective.terms]
        alone = ResidualObjective(model, terms)
        theta = model.flat()
        fitted = [term for term in terms if _linear(alone.with_terms([term]), theta)]
        if not any(term.name == "equation" for term in fitted):
            carried = _carried(problem, terms[0])
            fitted += [term for term in carried if _linear(alone.with_terms([term]), theta)]
        if not fitted:
            model.load_flat(theta)
            _logger.warning("%s has no residual that is linear: the last layer keeps its random values", problem.name)
            return ()
        residual, jacobian = alone.with_terms(fitted).residual_and_jacobian(torch.zeros_like(theta))
        found = solve_last_layer(jacobian, -residual[:, None], rcond=_RCOND)[:, 0]
        model.load_flat(found.to(theta))
    names = tuple(term.name for term in fitted)
    _logger.info("fitted the last layer to %s", ", ".join(names))
    return names


def _layers(model: Model) -> list[nn.Linear]:
    """Return the layers that are to be fitted."""
    methods = [getattr(module, "start_layer", None) for module in model.network.modules()]
    named = [method() for method in methods if callable(method)]
    return [layer for layer in named if isinstance(layer, nn.Linear)]


@contextmanager
def _alone(model: Model, layers: Sequence[nn.Linear]) -> Iterator[Model]:
    """Yield a model of the same network in which these layers alone are trained."""
    kept = [(p, p.requires_grad) for p in model.network.parameters()]
    try:
        for parameter, _ in kept:
            parameter.requires_grad_(False)
        for layer in layers:
            layer.requires_grad_(True)
        yield Model(model.network, {**model.known, **model.found()}, model.fields, model.coords)
    finally:
        for parameter, trained in kept:
            parameter.requires_grad_(trained)


def _linear(objective: ResidualObjective, theta: Float[Tensor, " p"]) -> bool:
    """Tell whether residuals are affine in the parameters, along the line through zero and the random start."""
    low, middle, high = (objective.residual(factor * theta) for factor in (0.0, 1.0, 2.0))
    size = float(torch.stack([low, middle, high]).abs().max())
    bend = float((low - 2 * middle + high).abs().max())
    return bend <= torch.finfo(theta.dtype).eps ** 0.6 * size


def _carried(problem: Problem, equation: Term) -> list[Term]:
    """Initial values as residuals at the points of the equation, at all times."""
    recorded = problem.record()
    found = []
    for condition in problem.conditions:
        if isinstance(condition, Initial) and not recorded[condition.name].data:
            found.append(Term(f"{condition.name} at all times", recorded[condition.name], equation.points))
    return found
