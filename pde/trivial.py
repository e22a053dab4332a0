"""What predictors without a network reach: the bar that errors in very many dimensions have to be compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import ConfigError
from ..typing import Float, Tensor

__all__ = ["TrivialPredictor", "best_trivial_predictor", "trivial_predictors"]

Solution = Callable[[Any], Any]


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
    """Measure the predictors of :func:`trivial_predictors`.

    Args:
        solution: Points to values, differentiable.
        fit: Points that they are fitted to.
        test: Points at which all of them are compared with the solution.
        time: Whether the last column is time.

    Raises:
        ConfigError: If the points differ in dimension, or the solution is zero at the test points.

    Cost: O(k min(k, d) d) for the fit.

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
    predictors = trivial_predictors(solution, fit, time=time)
    errors = {
        name: float(torch.linalg.vector_norm(predict(test) - expected) / size) for name, predict in predictors.items()
    }
    name = min(errors, key=lambda key: errors[key])
    return TrivialPredictor(name, errors[name], errors)


def trivial_predictors(
    solution: Solution, fit: Float[Tensor, "k d"], *, time: bool = False, ball: bool = True
) -> dict[str, Solution]:
    """Make predictors that know the zero boundary values on the unit ball, and hardly anything else.

    - ``constant``: ``a (1 - |x|^2)``, by least squares at the points `fit`.
    - ``linear``: ``(1 - |x|^2) (a + b . x)``, by least squares there, of least norm where there are fewer points than
      coordinates.
    - ``tangent``: the same with the value and the gradient of the solution at the center. In many dimensions hardly
      anything is better within that form, however many points are given.

    Elsewhere the factor ``1 - |x|^2`` is left out, and ``c |x|^2`` is added to the first two. With time as last
    coordinate, their coefficients are polynomials of degree two in time, and the tangent is taken at the time of each
    point.

    Args:
        solution: Points to values, differentiable.
        fit: Points that the first two are fitted to.
        time: Whether the last column is time.
        ball: Whether the solution vanishes on the unit sphere.

    Returns:
        Functions of points (n, d) to values (n,), by name.

    Cost: O(k min(k, d) d); one gradient of the solution when the tangent is evaluated.
    """
    values = solution(fit).detach()
    return {
        "constant": _fitted(_Basis(False, time, ball), values, fit),
        "linear": _fitted(_Basis(True, time, ball), values, fit),
        "tangent": _tangent(solution, time, ball),
    }


@dataclass(frozen=True)
class _Basis:
    """Functions of the points whose combinations a predictor is."""

    linear: bool
    time: bool
    ball: bool

    def __call__(self, points: Tensor) -> Tensor:
        x, t = _split(points, self.time)
        d, radius = x.shape[1], x.square().sum(-1, keepdim=True)
        parts = [x.new_ones(len(x), 1)]
        if self.linear:
            parts.append(d**0.5 * x)  # entries are about 1 / sqrt(d): in this scale least norm treats a and b alike
        if not self.ball:
            parts.append(radius)
        b = torch.cat(parts, dim=1) * (1 - radius) if self.ball else torch.cat(parts, dim=1)
        return b if t is None else torch.cat([b, b * t, b * t**2], dim=1)


def _fitted(basis: _Basis, values: Tensor, fit: Tensor) -> Solution:
    a = basis(fit)
    if a.shape[0] >= a.shape[1]:
        coefficients = _inverse(a.T @ a) @ (a.T @ values)
    else:
        coefficients = a.T @ (_inverse(a @ a.T) @ values)
    return lambda points: basis(points) @ coefficients


def _inverse(gram: Tensor) -> Tensor:
    return torch.linalg.pinv(gram.double(), hermitian=True).to(gram)


def _tangent(solution: Solution, time: bool, ball: bool) -> Solution:
    def predict(points: Tensor) -> Tensor:
        x, t = _split(points, time)
        center = torch.zeros_like(x[:1]) if t is None else torch.cat([torch.zeros_like(x), t], dim=1)
        with torch.enable_grad():
            center = center.requires_grad_()
            value = solution(center)
            (slope,) = torch.autograd.grad(value.sum(), center)
        found = value.detach() + (x * slope[:, : x.shape[1]]).sum(-1)
        return (1 - x.square().sum(-1)) * found if ball else found

    return predict


def _split(points: Tensor, time: bool) -> tuple[Tensor, Tensor | None]:
    return (points[:, :-1], points[:, -1:]) if time else (points, None)
