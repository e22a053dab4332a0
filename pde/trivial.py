"""What predictors without a network reach: the bar that errors in very many dimensions have to be compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor

__all__ = ["TrivialPredictor", "best_trivial_predictor"]

Solution = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TrivialPredictor:
    """The best of some simple predictors.

    Attributes:
        name: Which one.
        error: Its relative L2 error.
        errors: Errors of all of them.
    """

    name: str
    error: float
    errors: Mapping[str, float]


def best_trivial_predictor(
    solution: Solution, fit: Float[Tensor, "k d"], test: Float[Tensor, "n d"], *, time: bool = False
) -> TrivialPredictor:
    """Measure predictors that know the zero boundary values on the unit ball, and hardly anything else.

    - ``constant``: ``a (1 - |x|^2)``, by least squares at the points `fit`.
    - ``linear``: ``(1 - |x|^2) (a + b . x)``, by least squares there, of least norm where there are fewer points than
      coordinates.
    - ``tangent``: the same with the value and the gradient of the solution at the center. In many dimensions hardly
      anything is better within that form, however many points are given.

    With time as last coordinate, a and b of the first two are polynomials of degree two in time, and the tangent is
    taken at the time of each point.

    Args:
        solution: Points to values, differentiable.
        fit: Points that the first two are fitted to.
        test: Points at which all of them are compared with the solution.
        time: Whether the last column is time.

    Raises:
        ConfigError: If the points differ in dimension, or the solution is zero at the test points.

    Cost: O(k min(k, d) d) for the fit, one gradient of the solution at the test points.

    >>> from kjet.pde import ball_solution
    >>> x = torch.randn(3000, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> x = 0.5 * x / x.norm(dim=1, keepdim=True)
    >>> found = best_trivial_predictor(ball_solution(20, "low_rank").value, x[:2000], x[2000:])
    >>> found.error > 0.9
    True
    """
    if fit.shape[1] != test.shape[1]:
        raise ConfigError(f"points of {fit.shape[1]} and of {test.shape[1]} columns cannot be compared")
    expected = solution(test).detach()
    size = torch.linalg.vector_norm(expected)
    if not bool(size > 0):
        raise ConfigError("the solution is zero at all test points; there is nothing to compare with")
    values = solution(fit).detach()
    predictions = {
        "constant": _fitted(_constant, values, fit, test, time),
        "linear": _fitted(_linear, values, fit, test, time),
        "tangent": _tangent(solution, test, time),
    }
    errors = {name: float(torch.linalg.vector_norm(p - expected) / size) for name, p in predictions.items()}
    name = min(errors, key=lambda key: errors[key])
    return TrivialPredictor(name, errors[name], errors)


Basis = Callable[[Tensor], Tensor]


def _constant(x: Tensor) -> Tensor:
    return x.new_ones(len(x), 1)


def _linear(x: Tensor) -> Tensor:
    # entries of x are about 1 / sqrt(d): in this scale least norm treats a and b alike
    return torch.cat([_constant(x), x.shape[1] ** 0.5 * x], dim=1)


def _fitted(basis: Basis, values: Tensor, fit: Tensor, test: Tensor, time: bool) -> Tensor:
    def columns(points: Tensor) -> Tensor:
        x, t = _split(points, time)
        b = _weight(x)[:, None] * basis(x)
        return b if t is None else torch.cat([b, b * t, b * t**2], dim=1)

    a = columns(fit)
    if a.shape[0] >= a.shape[1]:
        return columns(test) @ (_inverse(a.T @ a) @ (a.T @ values))
    return columns(test) @ (a.T @ (_inverse(a @ a.T) @ values))


def _inverse(gram: Tensor) -> Tensor:
    return torch.linalg.pinv(gram.double(), hermitian=True).to(gram)


def _tangent(solution: Solution, test: Tensor, time: bool) -> Tensor:
    x, t = _split(test, time)
    center = torch.zeros_like(x) if t is None else torch.cat([torch.zeros_like(x), t], dim=1)
    center = (center[:1] if t is None else center).requires_grad_()
    value = solution(center)
    (slope,) = torch.autograd.grad(value.sum(), center)
    return _weight(x) * (value.detach() + (x * slope[:, : x.shape[1]]).sum(-1))


def _split(points: Tensor, time: bool) -> tuple[Tensor, Tensor | None]:
    return (points[:, :-1], points[:, -1:]) if time else (points, None)


def _weight(x: Tensor) -> Tensor:
    return 1 - x.square().sum(-1)
