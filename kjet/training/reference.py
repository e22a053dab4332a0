"""Comparison with a known solution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ..data import Points
from ..errors import ConfigError, unknown
from ..pde import PointFunction
from ..problem import Problem
from ..typing import Float, Tensor
from .model import Model

__all__ = ["ErrorMeter", "measure_errors", "reference_values", "rows_at_once"]

_NUMBERS = 2**23  # numbers in the points that are handled at once: 64 MiB in float64
_MOST = 2**27  # numbers in all test points, where their number is not given
_POINTS, _FEWEST = 10_000, 200
_FITTED = 1000  # side of the linear systems in which predictors without a network are fitted
_TEST_SEED, _FIT_SEED = 20240229, 20240301


def rows_at_once(d: int) -> int:
    """Points of `d` coordinates that are handled at once."""
    return max(1, _NUMBERS // d)


def reference_values(problem: Problem | None, x: Float[Tensor, "n d"]) -> dict[str, Float[Tensor, " n"]]:
    """Evaluate the reference solution at points.

    Raises:
        ConfigError: If the problem has none, or it names a field that does not exist or has the wrong shape.
    """
    if problem is None or problem.reference is None:
        raise ConfigError("the problem has no reference solution")
    reference, coords = problem.reference, problem.domain.coords
    if isinstance(reference, PointFunction) and reference.coords == coords:
        return _named(problem, reference.at(x), x)
    return _named(problem, reference(**{name: x[:, i] for i, name in enumerate(coords)}), x)


def _named(problem: Problem, values: Any, x: Float[Tensor, "n d"]) -> dict[str, Float[Tensor, " n"]]:
    """Sort values by field, and check their shapes."""
    named = dict(values) if isinstance(values, Mapping) else {problem.outputs[0]: values}
    for name in named:
        if name not in problem.outputs:
            raise ConfigError(unknown("field", name, problem.outputs, "the reference"))
    found = {name: torch.as_tensor(value).to(x) for name, value in named.items()}
    for name, value in found.items():
        if value.shape not in ((), (len(x),)):
            raise ConfigError(
                f'the reference of "{name}" has shape {tuple(value.shape)} at {len(x)} points; expected one number each'
            )
    return {name: value.expand(len(x)) for name, value in found.items()}


def measure_errors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, dict[str, float]]:
    """Relative L2 and maximum errors by field.

    >>> measure_errors({"u": torch.tensor([1.0, 2.0])}, {"u": torch.tensor([1.0, 1.0])})["u"]["rel_linf"]
    1.0
    """
    result = {}
    for name, exact in expected.items():
        difference = found[name] - exact
        scale, peak = exact.norm().clamp(min=1e-300), exact.abs().max().clamp(min=1e-300)
        result[name] = {"rel_l2": float(difference.norm() / scale), "rel_linf": float(difference.abs().max() / peak)}
    return result


class ErrorMeter:
    """Errors of a model at fixed test points, which do not depend on the seed of the run.

    Few enough points are kept. Others are drawn anew, part by part, from the same random numbers at each measurement,
    so that no array holds them all; what the reference has there is kept.

    Args:
        problem: What is solved.
        model: Network and unknowns.
        count: Number of test points; None for 10,000, less where points have more than 13,000 coordinates.
        dtype: Floating type of the model.
        device: Where to measure.
    """

    def __init__(
        self, problem: Problem, model: Model, count: int | None, dtype: torch.dtype, device: torch.device | str
    ) -> None:
        d = problem.domain.dim
        self.problem, self.model, self.dtype, self.device = problem, model, dtype, device
        self.count = count or min(_POINTS, max(_FEWEST, _MOST // d))
        self._kept: Tensor | None = None
        self.expected: dict[str, Tensor] = {}
        if problem.reference is None:
            return
        if self.count <= rows_at_once(d):
            self._kept = self._draw(_generator(device, _TEST_SEED), self.count, torch.float64)
        parts = [reference_values(problem, x.to(torch.float64)) for x in self._parts()]
        self.expected = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        if self._kept is not None:
            self._kept = self._kept.to(dtype)

    def found(self) -> dict[str, Float[Tensor, " n"]]:
        """Fields of the model at the test points, in float64."""
        with torch.no_grad():
            report = self.problem.equation.report
            values = torch.cat([report(x, self.model(x.to(self.dtype))) for x in self._parts()]).to(torch.float64)
        return {name: values[:, i] for i, name in enumerate(self.problem.outputs)}

    def errors(self) -> dict[str, dict[str, float]]:
        """Relative errors of the model by field; nothing without a reference."""
        return measure_errors(self.found(), self.expected) if self.expected else {}

    def __call__(self) -> float | None:
        """Relative L2 error of all fields together."""
        return self._relative(self.found()) if self.expected else None

    def trivial(self) -> tuple[str, float] | None:
        """Name and relative L2 error of the best predictor without a network; None where the problem has none.

        Raises:
            ConfigError: If a predictor gives values of the wrong shape.
        """
        problem = self.problem
        if problem.trivial is None or not self.expected:
            return None
        d = problem.domain.dim
        count = 4 * _FITTED if 4 * d <= _FITTED else max(16, min(_FITTED, 2 * rows_at_once(d)))
        fit = self._draw(_generator(self.device, _FIT_SEED), count, torch.float64)
        predictors = problem.trivial(fit)
        found: dict[str, list[dict[str, Tensor]]] = {name: [] for name in predictors}
        for x in self._parts():
            points = x.to(torch.float64)
            for name, predict in predictors.items():
                found[name].append(_named(problem, predict(points), points))
        errors = {name: self._relative(_joined(parts)) for name, parts in found.items()}
        best = min(errors, key=errors.__getitem__)
        return best, errors[best]

    def _relative(self, found: Mapping[str, Tensor]) -> float:
        difference = sum((found[k] - v).square().sum() for k, v in self.expected.items())
        return float((difference / sum(v.square().sum() for v in self.expected.values())) ** 0.5)

    def _parts(self) -> Iterator[Float[Tensor, "k d"]]:
        if self._kept is not None:
            yield self._kept
            return
        generator, size = _generator(self.device, _TEST_SEED), rows_at_once(self.problem.domain.dim)
        for start in range(0, self.count, size):
            yield self._draw(generator, min(size, self.count - start), self.dtype)

    def _draw(self, generator: torch.Generator, n: int, dtype: torch.dtype) -> Float[Tensor, "n d"]:
        domain = self.problem.domain
        points: Points = domain.interior(n, sampler="uniform", generator=generator, dtype=dtype, device=self.device)
        return points.x


def _joined(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _generator(device: torch.device | str, seed: int) -> torch.Generator:
    return torch.Generator(device=device).manual_seed(seed)
