"""Comparison with a known solution."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..errors import ConfigError, unknown
from ..problem import Problem
from ..typing import Float, Tensor

__all__ = ["measure_errors", "reference_values"]


def reference_values(problem: Problem | None, x: Float[Tensor, "n d"]) -> dict[str, Float[Tensor, " n"]]:
    """Evaluate the reference solution at points.

    Raises:
        ConfigError: If the problem has none, or it names a field that does not exist or has the wrong shape.
    """
    if problem is None or problem.reference is None:
        raise ConfigError("the problem has no reference solution")
    columns = {name: x[:, i] for i, name in enumerate(problem.domain.coords)}
    values = problem.reference(**columns)
    named = dict(values) if isinstance(values, Mapping) else {problem.fields[0]: values}
    for name in named:
        if name not in problem.fields:
            raise ConfigError(unknown("field", name, problem.fields, "the reference"))
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
