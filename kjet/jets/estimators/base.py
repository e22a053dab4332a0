"""What every estimator makes of an operator: directions whose weighted derivatives have the right expectation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch

from ...errors import ConfigError
from ...typing import Float, Tensor
from ..derivative import Trace
from ..layout import Layout
from ..operator import LinearOperator
from ..seeds import Seeds

__all__ = ["Estimator", "EstimatorError", "Family", "Function", "Stratum"]

Function = Callable[[Any], Any]


class EstimatorError(ConfigError):
    """An estimator was asked for what it cannot estimate without bias."""


@dataclass(frozen=True)
class Stratum:
    """Samples of one kind within a draw.

    Attributes:
        samples: How many.
        directions: Directions that each takes: the first ones of all samples, then the second ones, and so on.
        population: What they are drawn from without replacement; None where they are independent.
    """

    samples: int
    directions: int = 1
    population: int | None = None

    @property
    def complete(self) -> bool:
        """Whether the whole population is taken, so that nothing is left to chance."""
        return self.samples == self.population

    @property
    def count(self) -> int:
        """Directions in all."""
        return self.samples * self.directions


@dataclass(frozen=True, eq=False)
class Family:
    """Random directions ``v_r`` with constant weights: ``sum_r w_r D^K_{v_r} u`` has the operator's value as its mean.

    Only the directions are drawn anew, so that the layout of the jets is static and drawing can stay outside of a
    compiled region.

    Attributes:
        order: K.
        weights: One for each direction (s,), float64.
        strata: How the directions come about, in their order.
        sample: ``(n, generator, dtype)`` to random numbers, on the generator's device.
        build: ``(random numbers, dtype, device)`` to seeds; no randomness, so that a test can run over all outcomes.
        layout: Jets along all directions, with their weighted sum at the top order.
    """

    order: int
    weights: Float[Tensor, " s"]
    strata: tuple[Stratum, ...]
    sample: Callable[[int, torch.Generator | None, torch.dtype], Any]
    build: Callable[[Any, torch.dtype, torch.device], Seeds]
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        lower: list[Tensor | None] = [None] * (self.order - 1)
        layout = Layout((len(self.weights),) * (self.order - 1) + (0,), (*lower, self.weights.reshape(1, -1)))
        object.__setattr__(self, "layout", layout)  # made once: a compiled step is specialised to it
        expected = sum(stratum.count for stratum in self.strata)
        if self.weights.shape != (expected,):
            raise ConfigError(f"{expected} directions need as many weights; got shape {tuple(self.weights.shape)}")

    @property
    def count(self) -> int:
        """Number of directions s."""
        return len(self.weights)

    @property
    def exact(self) -> bool:
        """Whether nothing is left to chance: a draw needs no generator and gives the value to rounding."""
        return all(stratum.complete for stratum in self.strata)

    def draw(
        self, n: int, generator: torch.Generator | None, dtype: torch.dtype, device: torch.device | str = "cpu"
    ) -> Seeds:
        """Draw seeds for n points.

        Args:
            n: Number of points.
            generator: Source of all randomness; numbers are drawn on its device and moved.
            dtype: Type of the vectors.
            device: Where the seeds go.

        Raises:
            ConfigError: If the generator is missing, or a weight belongs to another number of points.
        """
        if generator is None and not self.exact:
            raise ConfigError(
                "a random estimate needs a generator; pass torch.Generator(device).manual_seed(seed), or use Exact()"
            )
        return self.build(self.sample(n, generator, dtype), dtype, torch.device(device))

    def variance(self, values: Float[Tensor, "s *rest"]) -> Float[Tensor, "*rest"]:
        """Estimate, without bias, the variance of the estimate from the directions of one draw.

        A stratum of R samples with contributions ``z_r`` has variance ``R S^2(z)``, times ``1 - R/P`` where they are
        drawn without replacement from P.

        Args:
            values: ``D^K_{v_r} u``, one row for each direction.

        Raises:
            ConfigError: If a stratum has a single sample, which tells nothing about its variance.
        """
        parts = (self.weights.to(values).reshape(-1, *(1,) * (values.ndim - 1)) * values).split(
            [stratum.count for stratum in self.strata]
        )
        total = torch.zeros_like(values[0])
        for stratum, part in zip(self.strata, parts, strict=True):
            if stratum.complete:
                continue
            if stratum.samples < 2:
                raise ConfigError("one sample tells nothing about its variance; take two at least")
            contributions = part.reshape(stratum.directions, stratum.samples, *part.shape[1:]).sum(0)
            spared = 0.0 if stratum.population is None else stratum.samples / stratum.population
            total = total + stratum.samples * (1 - spared) * contributions.var(0)
        return total


@runtime_checkable
class Estimator(Protocol):
    """An unbiased estimate of differential operators."""

    def family(self, trace: Trace, d: int) -> Family:
        """Make directions for a power of the Laplacian over some of ``d`` coordinates.

        Raises:
            EstimatorError: If the estimate would be biased.
            ConfigError: If samples or axes do not fit.
        """
        ...

    def __call__(
        self, f: Function, x: Float[Tensor, "n d"], operator: LinearOperator, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n m"]:
        """Estimate the operator applied to ``f`` at the points."""
        ...
